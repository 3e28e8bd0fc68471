"""Behind the proxies docs/remote.md names, with the configurations it gives and TLS: same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.client import Client
from codewire.wire.frames import DATA
from tests import printer
from tests.remote import free_port
from tests.support import REPOSITORY, Home, wait_until


@pytest.fixture
def site(runtime: str) -> Iterator[tuple[Home, Path, int]]:
    """A node that listens, a directory with a certificate for localhost, a free port."""
    home = Home(runtime)
    home.env["CODEWIRE_LISTEN"] = "127.0.0.1:0"
    directory = Path(home.path)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    files = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files += ["-out", "cert.pem", "-keyout", "key.pem"]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    try:
        subprocess.run([*command, *files], cwd=directory, check=True, capture_output=True)
        home.start_node()
        yield home, directory, free_port()
    finally:
        home.close()


def documented(start: str) -> str:
    """Return the configuration in docs/remote.md that begins with a line."""
    text = (REPOSITORY / "docs" / "remote.md").read_text()
    block = text[text.index(f"    {start}\n") :]
    lines = []
    for line in block.split("\n"):
        if line and not line.startswith("    "):
            break
        lines.append(line[4:])
    return "\n".join(lines)


def check(home: Home, directory: Path, port: int, process: subprocess.Popen[bytes]) -> None:
    """Follow a session through the proxy, past the worker's end, and compare every byte."""
    try:
        wait_until(lambda: _answers(port, process), 20, "the proxy answers")
        token = Path(home.data_dir, "token").read_text()
        client = Client(f"https://localhost:{port}", token, ca=str(directory / "cert.pem"))
        stop, total = str(directory / "stop"), str(directory / "total")
        session = client.launch(printer.command("flood", 2, 0, 40, 100_000, stop, total))
        digest, size = hashlib.sha256(), 0
        for chunk in client.watch(session):
            data = chunk.text.encode()
            digest.update(data)
            before, size = size, size + len(data)
            if before < 100_000 <= size:
                home.kill_worker()
            if size > 300_000:
                Path(stop).touch()
        log = home.log(session)
        assert log == printer.lines(2, 0, int(Path(total).read_text()))
        assert (size, digest.digest()) == (len(log), hashlib.sha256(log).digest())
        assert attached(client, session) == log
        typed = b"a line of input\n" * 10_000
        assert client.send_input(client.launch(["cat"]), typed) == len(typed)
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            # A failed test may have left it a connection that it waits for.
            process.kill()
            process.wait(20)


def attached(client: Client, session: int) -> bytes:
    """Return what an attachment that resumes at the beginning is sent, up to the session's end."""
    stream = client.connect()
    try:
        stream.set_timeout(30)
        stream.send_control({"type": "Attach", "id": session, "from_offset": 0})
        output = b""
        while (frame := stream.receive()) is not None:
            output += frame[1] if frame[0] == DATA else b""
        return output
    finally:
        stream.close()


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the proxy ended"
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_nginx(site: tuple[Home, Path, int]) -> None:
    home, directory, port = site
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.path.exists(nginx):
        pytest.skip("nginx is not installed")
    server = documented("server {")
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("gpu.example.com", "localhost"),
        ("/etc/ssl/gpu.pem", str(directory / "cert.pem")),
        ("/etc/ssl/gpu.key", str(directory / "key.pem")),
        ("127.0.0.1:9100", home.node_status()["listen"]),
    ):
        assert old in server
        server = server.replace(old, new)
    temporary = "".join(
        f"{name}_temp_path {directory}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = directory / "nginx.conf"
    config.write_text(
        f"daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{server}\n}}\n"
    )
    command = [nginx, "-c", str(config), "-p", str(directory), "-e", str(directory / "error.log")]
    check(home, directory, port, subprocess.Popen(command))


def test_caddy(site: tuple[Home, Path, int]) -> None:
    home, directory, port = site
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("caddy is not installed")
    text = documented("gpu.example.com {")
    text = text.replace("gpu.example.com", f"localhost:{port}")
    text = text.replace("127.0.0.1:9100", home.node_status()["listen"])
    text = text.replace("{\n", f"{{\ntls {directory}/cert.pem {directory}/key.pem\n", 1)
    config = directory / "Caddyfile"
    config.write_text("{\nadmin off\nauto_https disable_redirects\nskip_install_trust\n}\n" + text)
    process = subprocess.Popen(
        [caddy, "run", "--config", str(config), "--adapter", "caddyfile"],
        env={**os.environ, "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)},
        stderr=subprocess.DEVNULL,
    )
    check(home, directory, port, process)
