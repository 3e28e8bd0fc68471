"""A relay to measure, and many clients of it in one process: plain sockets and one epoll."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "bench-token"
PATIENCE = 60.0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Server:
    """One relay in a directory of its own, ended by `close`."""

    def __init__(
        self,
        runtime: str,
        url: str = "",
        preload: str = "",
        ssh: str = "off",
        sibling_key: str = "",
    ) -> None:
        """With `sibling_key`, a secret key file, others on the database at `url` reach it."""
        self.directory = tempfile.mkdtemp(prefix="cwb-", dir="/tmp")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        base = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, str(ROOT / "cw.py"), "relay", "serve", "--base-url", base]
        command += ["--listen", f"127.0.0.1:{self.port}", "--data-dir", self.directory]
        command += ["--ssh-listen", ssh]
        environment = {**os.environ, "CW_RUNTIME": runtime, "CW_AUTH_TOKEN": TOKEN}
        environment.pop("DATABASE_URL", None)
        if url:
            environment["CW_DATABASE_URL"] = url
        if sibling_key:
            command += ["--secret-key-file", sibling_key, "--advertise-url", base]
        if preload:
            environment["LD_PRELOAD"] = preload
        # A thousand clients come from one address here.
        command += ["--trusted-proxy", "127.0.0.1"]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "HTTP listening" in line:
                break
        # Its later lines are nobody's; a full pipe would stop it.
        self._drain = subprocess.Popen(
            ["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL
        )

    def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> Any:
        with self.connect() as sock:
            sock.sendall(request(method, path, body, token, "Connection: close\r\n"))
            data = b"".join(iter(lambda: sock.recv(65536), b""))
        head, _, text = data.partition(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0] or b" 204 " in head, data[:300]
        return json.loads(text) if text else None

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def memory(self) -> int:
        """Return RSS in bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024

    def cpu(self) -> float:
        """Return processor seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> float:
        """End it orderly; return the seconds that took."""
        start = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        return time.perf_counter() - start

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self._drain.wait(PATIENCE)
        subprocess.run(["rm", "-rf", self.directory], check=True)


def request(method: str, path: str, body: Any = None, token: str = TOKEN, more: str = "") -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n{more}"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def upgrade(path: str, token: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


class Crowd:
    """Many sockets, looked at together."""

    def __init__(self) -> None:
        self.poller = select.epoll()
        self.socks: dict[int, socket.socket] = {}
        self.received: dict[int, bytearray] = {}

    def add(self, sock: socket.socket) -> int:
        sock.setblocking(False)
        self.socks[sock.fileno()] = sock
        self.received[sock.fileno()] = bytearray()
        self.poller.register(sock, select.EPOLLIN)
        return sock.fileno()

    def await_all(self, marker: bytes, fds: list[int]) -> float:
        """Return when (perf_counter) the last of these has received the marker."""
        waiting = {fd for fd in fds if marker not in self.received[fd]}
        deadline = time.monotonic() + PATIENCE
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} wait for {marker!r}"
            for fd, _ in self.poller.poll(1.0):
                data = self.socks[fd].recv(65536)
                assert data, (marker, bytes(self.received[fd][-300:]))
                self.received[fd] += data
                if marker in self.received[fd]:
                    waiting.discard(fd)
        return time.perf_counter()

    def forget(self) -> None:
        for data in self.received.values():
            data.clear()

    def close(self) -> None:
        for sock in self.socks.values():
            sock.close()
        self.poller.close()


def raise_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
