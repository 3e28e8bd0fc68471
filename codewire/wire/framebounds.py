"""Where the frames of a WebSocket begin and end, in bytes that are passed on as they are.

Looks at headers only and judges nothing: whoever the bytes are for does. So that whoever passes
them on knows when a frame of its own may come between (io/websockets.py).
"""

from __future__ import annotations

from codewire.wire.websocket import CLOSE

MASK_BYTES = 4


class FrameBounds:
    """Follows one direction of a connection; feed it all that is passed on, cut anywhere."""

    __slots__ = ("_header", "_is_close", "_left", "has_closed")

    def __init__(self) -> None:
        # Bytes of the frame that are still to come, and a header as long as it is not whole.
        self._left = 0
        self._header = b""
        self._is_close = False
        # Whether a close frame has gone by: nothing may follow it.
        self.has_closed = False

    @property
    def is_between(self) -> bool:
        """Say whether what has gone by ended with the last byte of a frame."""
        return not self._left and not self._header

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self._left and not self._header and _is_keystroke(data):
            return
        if self._header:
            data, self._header = self._header + data, b""
        at, end = 0, len(data)
        while not self.has_closed:
            step = min(self._left, end - at)
            at += step
            self._left -= step
            if self._left:
                return
            self.has_closed = self._is_close
            if at == end:
                return
            size = self._begin(data, at)
            if not size:
                self._header = data[at:]
                return
            at += size

    def _begin(self, data: bytes, at: int) -> int:
        """Read the header at a place; return its size without the mask, 0 if it is not whole."""
        if len(data) < at + 2:
            return 0
        second = data[at + 1]
        count, size = second & 0x7F, 2
        if count >= 126:
            size = 4 if count == 126 else 10
            if len(data) < at + size:
                return 0
            count = int.from_bytes(data[at + 2 : at + size], "big")
        self._left = count + (MASK_BYTES if second & 0x80 else 0)
        self._is_close = data[at] & 0x0F == CLOSE
        return size


def _is_keystroke(data: bytes) -> bool:
    """Say whether it is one short frame and no goodbye: what need not be gone through."""
    size = len(data)
    if not 2 <= size < 126 or data[0] & 0x0F == CLOSE:
        return False
    second = data[1]
    return size == second + 2 or size == second - 0x80 + 2 + MASK_BYTES
