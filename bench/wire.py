"""A small client of the node's wire format (spec/wire.md 2-4), independent of codewire."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any


class Connection:
    """One connection to a node's Unix socket; every wait is bounded by `timeout` seconds."""

    def __init__(self, path: str, timeout: float = 60.0) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(path)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.sock.close()

    def send(self, message: dict[str, Any]) -> None:
        payload = json.dumps(message).encode()
        self.sock.sendall(struct.pack(">BI", 0, len(payload)) + payload)

    def receive(self) -> tuple[int, bytes] | None:
        """Return the next frame, None when the node has closed."""
        header = self._take(5)
        if len(header) < 5:
            return None
        kind, length = struct.unpack(">BI", header)
        return kind, self._take(length)

    def answer(self) -> dict[str, Any]:
        """Return the next control frame. Raises RuntimeError for an Error."""
        while True:
            frame = self.receive()
            if frame is None:
                raise ConnectionResetError("the node closed instead of answering")
            if frame[0] == 0:
                message: dict[str, Any] = json.loads(frame[1])
                if message["type"] == "Error":
                    raise RuntimeError(message["message"])
                return message

    def _take(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self.sock.recv(min(count - len(data), 1 << 18))
            if not part:
                break
            data += part
        return bytes(data)


def call(path: str, message: dict[str, Any]) -> dict[str, Any]:
    """Send one request on its own connection and return the answer."""
    with Connection(path) as connection:
        connection.send(message)
        return connection.answer()
