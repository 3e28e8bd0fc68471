"""`cw relay serve` as a process: its start and end, its operator's commands, its death."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.remote import free_port
from tests.support import Home, wait_until

TOKEN = "secret-of-the-admin"


class Relay:
    """A relay of a home. `kill` and `start` may follow each other."""

    def __init__(self, home: Home, runtime: str) -> None:
        self.home = home
        home.env["CW_RUNTIME"] = runtime
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = Path(home.path, "data")
        self.start()

    def start(self, *more: str) -> None:
        listen = ("--listen", f"127.0.0.1:{self.port}", "--data-dir", str(self.directory))
        self.process = self.home.popen(
            "relay", "serve", "--base-url", self.url, *listen, *more,
            env={"CW_AUTH_TOKEN": TOKEN}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.said = ""
        while "HTTP listening" not in self.said:
            line = self.process.stderr.readline().decode()
            assert line, self.said
            self.said += line

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End it; return what it said at last."""
        self.process.send_signal(number)
        assert self.process.stderr is not None
        said = self.process.stderr.read().decode()
        self.process.wait(20)
        return said

    def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> Any:
        """Return the answer's JSON; None is nothing. Raises OSError, HTTPException, ValueError."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            fields = {"Authorization": f"Bearer {token}"} if token else {}
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, fields)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status not in (200, 204):
                raise ValueError(f"{answer.status} {text!r}")
            return json.loads(text) if text.startswith((b"{", b"[")) else text.decode() or None
        finally:
            connection.close()


@pytest.fixture
def relay(home: Home, runtime: str) -> Iterator[Relay]:
    yield Relay(home, runtime)


@pytest.mark.smoke
def test_start_and_end(relay: Relay) -> None:
    wanted = f"[relay] HTTP listening on 127.0.0.1:{relay.port} (base_url={relay.url})\n"
    assert relay.said == wanted
    assert relay.ask("GET", "/healthz", token="") == "ok"
    # TLS on the same port, for peers of the mesh.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", relay.port), 20)
    with plain, context.wrap_socket(plain) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
    # The admin's token is nowhere to be seen, and all files are the owner's.
    proc = Path(f"/proc/{relay.process.pid}")
    for name in ("cmdline", "environ"):
        assert TOKEN.encode() not in (proc / name).read_bytes()
    assert stat.S_IMODE(relay.directory.stat().st_mode) == 0o700
    for path in relay.directory.iterdir():
        assert stat.S_ISREG(path.lstat().st_mode) and stat.S_IMODE(path.stat().st_mode) == 0o600
    # A second one is kept out.
    again = relay.home.cw(
        "relay", "serve", "--base-url", relay.url, "--listen", "127.0.0.1:0",
        "--data-dir", str(relay.directory),
    )  # fmt: skip
    assert again.returncode == 1
    assert again.stderr == f"Error: another relay serves from {relay.directory}: give --data-dir\n"
    assert relay.stop() == "[cw] relay shutting down...\n"
    assert relay.process.returncode == 0


def test_what_its_operator_does(home: Home) -> None:
    relay = Relay(home, "gevent")
    env = {"CW_AUTH_TOKEN": TOKEN, "CODEWIRE_RELAY_URL": relay.url}
    relay.ask("POST", "/api/v1/networks", {"network_id": "proj"})
    none = home.cw("relay", "keys", "rotate", env=env)
    assert none.returncode == 0 and "No network has signed anything yet" in none.stderr
    relay.ask("POST", "/api/v1/network-auth/runtime/client?network_id=proj", {})
    status = json.loads(home.cw("relay", "status", "--json", env=env).stdout)
    assert (status["store"], status["runtime"], status["uplinks"]) == ("sqlite", "gevent", 0)
    rotated = home.cw("relay", "keys", "rotate", "--network", "proj", env=env)
    assert rotated.stdout.startswith("proj ") and "kid_" in rotated.stdout
    keys = relay.ask("GET", "/api/v1/network-auth/bundle?network_id=proj")["keys"]
    assert len(keys) == 2
    wrong = home.cw("relay", "status", env={**env, "CW_AUTH_TOKEN": "wrong"})
    assert wrong.stderr == f"Error: relay {relay.url} does not accept this token\n"
    copy = Path(home.path, "copy.db")
    made = home.cw("relay", "backup", str(copy), "--data-dir", str(relay.directory))
    assert made.returncode == 0 and "secret.key is not in it" in made.stderr
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    relay.stop()
    relay.start("--metrics-listen", "127.0.0.1:0")
    (address,) = re.findall(r"^\[relay\] metrics on (\S+)$", relay.said, re.MULTILINE)
    with urlopen(f"http://{address}/metrics", timeout=20) as answer:
        assert b"codewire_relay_uplinks 0\n" in answer.read()
    relay.stop()
    down = home.cw("relay", "status", env=env)
    assert down.returncode == 1 and "connection refused" in down.stderr
    # The copy serves as well as the original.
    os.replace(copy, relay.directory / "relay.db")
    relay.start()
    assert relay.ask("GET", "/api/v1/network-auth/bundle?network_id=proj")["keys"] == keys
    relay.stop()


# What is confirmed, is there


class Load:
    """Clients that write without pause, and remember what was confirmed."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.confirmed: set[str] = set()
        self.joined: set[str] = set()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(6)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)

    def has_confirmed(self, number: int) -> bool:
        return len(self.confirmed) > number

    def _run(self, number: int) -> None:
        count = 0
        while not self._is_over.is_set():
            count += 1
            key = f"{number}-{count}"
            try:
                self.relay.ask("PUT", f"/api/v1/kv/ns/{key}?network_id=proj", key)
                self.confirmed.add(key)
            except (OSError, HTTPException, ValueError):
                self._is_over.wait(0.02)


# The mechanism is the store's, tested there on both; here it is the whole way from a client.
def test_kills_lose_nothing_confirmed(home: Home) -> None:
    relay = Relay(home, "gevent")
    home.expects_leftovers = True
    relay.ask("POST", "/api/v1/networks", {"network_id": "proj"})
    kills = int(os.environ.get("CW_TEST_KILLS", "3"))
    with Load(relay) as load:
        for _ in range(kills):
            before = len(load.confirmed)
            wait_until(partial(load.has_confirmed, before + 50), 60)
            relay.stop(signal.SIGKILL)
            relay.start()
    kept = {entry["key"] for entry in relay.ask("GET", "/api/v1/kv/ns?network_id=proj")}
    assert len(load.confirmed) > 50 * kills and load.confirmed <= kept
    relay.stop()


def test_kills_lose_no_invite(home: Home) -> None:
    relay = Relay(home, "gevent")
    home.expects_leftovers = True
    relay.ask("POST", "/api/v1/networks", {"network_id": "proj"})
    made = relay.ask("POST", "/api/v1/invites", {"network_id": "proj", "uses": 5})

    def join(index: int) -> None:
        body = {"node_name": f"n{index}", "invite_token": made["token"]}
        for _ in range(2):
            try:
                relay.ask("POST", "/api/v1/join", body, token="")
                return
            except (OSError, HTTPException, ValueError):
                continue

    threads = [threading.Thread(target=join, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    relay.stop(signal.SIGKILL)
    for thread in threads:
        thread.join(60)
    relay.start()
    nodes = len(relay.ask("GET", "/api/v1/nodes?network_id=proj"))
    left = relay.ask("GET", "/api/v1/invites?network_id=proj")
    assert nodes + sum(invite["uses_remaining"] for invite in left) == 5
    relay.stop()


URL = ["--base-url", "http://h"]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([], "--base-url is required"),
        (["--base-url", "h"], "--base-url 'h': must be http://host or https://host"),
        ([*URL, "--listen", "8080"], "listen '8080': must be host:port"),
        ([*URL, "--data-dir", "/proc/x"], "--data-dir /proc/x: no such file or directory"),
        ([*URL, "--auth-token-file", "/no"], "reading /no: no such file or directory"),
    ],
)
def test_what_it_cannot_serve_with(home: Home, flags: list[str], text: str) -> None:
    done = home.cw("relay", "serve", *flags)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"Error: {text}")


def test_a_port_that_is_taken(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = home.cw("relay", "serve", "--base-url", "http://h", "--listen", address)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Error: listen tcp {address}: bind: address already in use"
    )
    assert "listening" not in done.stderr
