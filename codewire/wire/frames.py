"""The frame codec: type byte, 4-byte big-endian length, payload. Used by both ends of a Unix socket."""

from __future__ import annotations

from codewire.errors import ProtocolError

CONTROL = 0
DATA = 1
HEADER_BYTES = 5
MAX_PAYLOAD = 16 * 1024 * 1024


def encode_frame(kind: int, payload: bytes) -> bytes:
    """Return one frame. Raises ProtocolError past MAX_PAYLOAD (upstream's writers do not check)."""
    if len(payload) > MAX_PAYLOAD:
        raise ProtocolError(f"frame payload too large: {len(payload)} bytes")
    return bytes((kind,)) + len(payload).to_bytes(4, "big") + payload


class FrameDecoder:
    """Incremental decoder: feed it bytes cut anywhere, take whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self._buffer += data

    def next_frame(self) -> tuple[int, bytes] | None:
        """Return (kind, payload), or None when more bytes are needed.

        Raises ProtocolError on a length past MAX_PAYLOAD, at once, and on an unknown type, once
        its payload is there: upstream's order. The connection is then unusable.
        """
        if len(self._buffer) < HEADER_BYTES:
            return None
        length = int.from_bytes(self._buffer[1:HEADER_BYTES], "big")
        if length > MAX_PAYLOAD:
            raise ProtocolError(f"frame payload too large: {length} bytes")
        end = HEADER_BYTES + length
        if len(self._buffer) < end:
            return None
        kind, payload = self._buffer[0], bytes(self._buffer[HEADER_BYTES:end])
        del self._buffer[:end]
        if kind not in (CONTROL, DATA):
            raise ProtocolError(f"unknown frame type: 0x{kind:02x}")
        return kind, payload

    def finish(self) -> None:
        """Say that the stream ended. Raises ProtocolError inside a payload; in a header it is clean."""
        if len(self._buffer) >= HEADER_BYTES:
            raise ProtocolError("connection closed inside a frame")
