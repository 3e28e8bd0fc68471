"""A second, independent reading of spec/wire.md 2-3: what a client written by others would send.

Deliberately imports nothing of codewire, so that a mistake in our codec cannot hide from the suite.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

CONTROL = 0
DATA = 1


class RawConnection:
    """One connection to a node's Unix socket. `timeout` (seconds) bounds every single wait."""

    def __init__(self, path: str, timeout: float = 20.0) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise
        self._unread = bytearray()

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send_raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_frame(self, kind: int, payload: bytes) -> None:
        self.sock.sendall(struct.pack(">BI", kind, len(payload)) + payload)

    def send_control(self, message: dict[str, Any]) -> None:
        self.send_frame(CONTROL, json.dumps(message).encode())

    def send_data(self, data: bytes) -> None:
        self.send_frame(DATA, data)

    def receive(self) -> tuple[int, bytes] | None:
        """Return the next frame, None when the node has closed. Raises TimeoutError."""
        header = self._take(5)
        if header is None:
            return None
        kind, length = struct.unpack(">BI", header)
        payload = self._take(length)
        assert payload is not None, "the node closed inside a frame"
        return kind, payload

    def receive_control(self) -> dict[str, Any]:
        """Return the next frame, which must be a control frame, as a dict."""
        frame = self.receive()
        assert frame is not None, "the node closed instead of answering"
        assert frame[0] == CONTROL, f"a data frame came instead of an answer: {frame[1][:80]!r}"
        message = json.loads(frame[1])
        assert isinstance(message, dict)
        return message

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one control frame and return the first answer."""
        self.send_control(message)
        return self.receive_control()

    def read_rest(self) -> list[tuple[int, bytes]]:
        """Return every frame up to the node's close."""
        frames = []
        while (frame := self.receive()) is not None:
            frames.append(frame)
        return frames

    def read_stream(self) -> tuple[bytes, list[dict[str, Any]]]:
        """Return all data bytes joined and all control messages, up to the node's close."""
        output = bytearray()
        messages = []
        while (frame := self.receive()) is not None:
            if frame[0] == DATA:
                output += frame[1]
            else:
                messages.append(json.loads(frame[1]))
        return bytes(output), messages

    def read_output_until(self, wanted: bytes, timeout: float = 20.0) -> bytes:
        """Return the data bytes so far once they contain `wanted`; skips control frames."""
        output = bytearray()
        deadline = time.monotonic() + timeout
        while wanted not in output:
            assert time.monotonic() < deadline, f"{wanted!r} not in {bytes(output[-400:])!r}"
            frame = self.receive()
            assert frame is not None, f"closed before {wanted!r}: {bytes(output[-400:])!r}"
            if frame[0] == DATA:
                output += frame[1]
        return bytes(output)

    def _take(self, count: int) -> bytes | None:
        """Return exactly `count` bytes, None if the peer has closed before the last of them."""
        while len(self._unread) < count:
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionResetError:
                data = b""  # closed with our bytes unread: spec/wire.md 2 says EOF
            if not data:
                return None
            self._unread += data
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken
