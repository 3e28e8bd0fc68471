"""The frame codec of Unix sockets: type byte, 4-byte big-endian length, payload (spec/wire.md 2).

Knows nothing of what a payload means. `io.streams` drives it on both ends of a connection.
"""

from __future__ import annotations

from codewire.errors import ProtocolError

# Frame types. A control frame is one JSON object, a data frame is bytes of a terminal.
CONTROL = 0
DATA = 1

HEADER_BYTES = 5
# The payload alone; a frame of exactly this size is legal.
MAX_PAYLOAD = 16 * 1024 * 1024


def encode_header(kind: int, length: int) -> bytes:
    """Return the bytes before a payload. Raises ProtocolError past MAX_PAYLOAD: nobody reads it."""
    if length > MAX_PAYLOAD:
        raise ProtocolError(f"frame payload too large: {length} bytes")
    return bytes((kind,)) + length.to_bytes(4, "big")


def encode_frame(kind: int, payload: bytes) -> bytes:
    """Return one frame. Raises ProtocolError past MAX_PAYLOAD."""
    return encode_header(kind, len(payload)) + payload


class FrameDecoder:
    """Incremental decoder: feed it bytes cut anywhere, take whole frames.

    Holds one unfinished frame (at most `max_payload` and its header) and what was fed behind it.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self.max_payload = max_payload
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self._buffer += data

    def next_frame(self) -> tuple[int, bytes] | None:
        """Return (kind, payload), or None when more bytes are needed.

        Raises ProtocolError on a length past `max_payload` as soon as the header is there, and on
        an unknown type once its payload is there: upstream's order. The stream is then unusable,
        and every later call raises the same.
        """
        buffer = self._buffer
        if len(buffer) < HEADER_BYTES:
            return None
        length = int.from_bytes(buffer[1:HEADER_BYTES], "big")
        if length > self.max_payload:
            raise ProtocolError(f"frame payload too large: {length} bytes")
        end = HEADER_BYTES + length
        if len(buffer) < end:
            return None
        kind = buffer[0]
        if kind not in (CONTROL, DATA):
            raise ProtocolError(f"unknown frame type: 0x{kind:02x}")
        # The view saves a copy; it is released before the buffer changes size.
        with memoryview(buffer) as view:
            payload = bytes(view[HEADER_BYTES:end])
        del buffer[:end]
        return kind, payload

    def finish(self) -> None:
        """Say that the stream ended, after `next_frame` has returned None.

        Raises ProtocolError if that cut a payload short; an end inside a header counts as clean.
        """
        if len(self._buffer) >= HEADER_BYTES:
            raise ProtocolError("connection closed inside a frame")
