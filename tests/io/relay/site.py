"""A whole relay on a port of this machine, in this process, and clients of it."""

from __future__ import annotations

import json
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from codewire.credentials.vault import Vault
from codewire.io.tcp import read_head
from codewire.io.websockets import WebSocketStream
from codewire.relay.serve import Relay
from codewire.relay.settings import Settings
from codewire.relay.store.database import open_database
from codewire.wire.handshake import new_key, status_of, upgrade_request
from codewire.wire.http import encode_head, parse_head
from tests.io.relay.desk import ADMIN

PATIENCE = 30.0


class Site:
    """A running relay. `ask` is one request on a connection of its own."""

    def __init__(self, directory: Path, url: str = "", **settings: Any) -> None:
        given = Settings(
            base_url="https://relay.example",
            listen="127.0.0.1:0",
            ssh_listen="off",
            data_dir=str(directory),
            auth_mode="token",
            auth_token=ADMIN,
        )
        vault = Vault.open(str(directory / "secret.key"))
        self.store = open_database(url, str(directory), vault)
        self.relay = Relay(replace(given, **settings), self.store)
        self.address = self.relay.start()
        self._clients: list[socket.socket] = []

    def close(self) -> None:
        for sock in self._clients:
            sock.close()
        self.relay.stop()
        self.store.close()

    def connect(self) -> socket.socket:
        self._clients.append(socket.create_connection(self.address, PATIENCE))
        return self._clients[-1]

    def send(self, method: str, path: str, body: Any = None, token: str = ADMIN, **fields: str):
        """Return a connection on which a request has been sent."""
        data = b"" if body is None else json.dumps(body).encode()
        head = [("Host", "relay.example"), ("Content-Length", str(len(data)))]
        head += [("Authorization", f"Bearer {token}")] if token else []
        head += [(name.replace("_", "-"), value) for name, value in fields.items()]
        sock = self.connect()
        sock.sendall(encode_head(f"{method} {path} HTTP/1.1", tuple(head)) + data)
        return sock

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Return status and body of an answer, JSON decoded."""
        with self.send(method, path, body, Connection="close", **options) as sock:
            data = b"".join(iter(lambda: sock.recv(65536), b""))
        head, _, rest = data.partition(b"\r\n\r\n")
        parsed = parse_head(head)
        is_json = parsed.fields.get("content-type") == "application/json"
        return status_of(parsed), json.loads(rest) if is_json else rest.decode()

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, said = self.ask(method, path, body, **options)
        assert status in (200, 204), said
        return said

    def enrol(self, name: str = "dev-1", network: str = "proj") -> str:
        self.ok("POST", "/api/v1/networks", {"network_id": network})
        made = self.ok("POST", "/api/v1/node-enrollments", {"network_id": network})
        body = {"enrollment_token": made["enrollment_token"], "node_name": name}
        redeem = "/api/v1/node-enrollments/redeem"
        return str(self.ok("POST", redeem, body, token="")["node_token"])

    def dial(self, path: str, token: str, **fields: str) -> tuple[int, WebSocketStream | None]:
        """Return the status of an upgrade, and the stream when there is one."""
        sock = self.connect()
        given = [("Authorization", f"Bearer {token}")]
        given += [(name.replace("_", "-"), value) for name, value in fields.items()]
        key = new_key(os.urandom(16))
        sock.sendall(upgrade_request("relay.example", path, key, tuple(given)))
        import time

        head, rest = read_head(sock, time.monotonic() + PATIENCE)
        status = status_of(parse_head(head))
        if status != 101:
            return status, None
        sock.settimeout(PATIENCE)
        return status, WebSocketStream(sock, is_server=False, received=rest)

    def uplink(self, token: str, **fields: str) -> WebSocketStream:
        status, stream = self.dial("/node/connect", token, **fields)
        assert stream is not None, status
        return stream


def next_message(stream: WebSocketStream) -> dict[str, Any] | None:
    """Return the next message, None at the end."""
    frame = stream.receive()
    return None if frame is None else json.loads(frame[1])


class Events:
    """A reader of a stream of events."""

    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass

    def next(self) -> dict[str, str]:
        """Return the next event's fields, {} at the end; comments are skipped."""
        found: dict[str, str] = {}
        while line := self._file.readline():
            text = line.decode().rstrip("\n")
            if not text and found:
                return found
            name, _, value = text.partition(": ")
            if name and not text.startswith(":"):
                found[name] = value
        return found


def in_parallel(number: int, job: Any) -> list[Any]:
    """Return what `number` calls at the same time return."""
    results: list[Any] = [None] * number
    barrier = threading.Barrier(number)

    def run(index: int) -> None:
        barrier.wait(PATIENCE)
        results[index] = job(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return results
