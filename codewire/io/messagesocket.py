"""A byte stream over a WebSocket's binary messages, as a socket (spec/peer.md 2).

Where messages begin and end means nothing: what is sent in one may come in two, and a large one is
cut to what the peer takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.errors import ConnectionLost, ProtocolError
from codewire.io.streams import FrameStream
from codewire.wire.frames import DATA

if TYPE_CHECKING:
    from codewire.io.websockets import WebSocketStream

# Of one message: what any peer takes, and no more than a writer should hold the connection for.
PIECE_BYTES = 32768


class MessageSocket:
    """What FrameStream needs of a socket. Any one thread may read, any one may write."""

    def __init__(self, messages: WebSocketStream) -> None:
        self._messages = messages

    def recv(self, limit: int) -> bytes:
        """Return some bytes (may exceed `limit`), b"" at the end. Blocks.

        Raises ProtocolError for a text message, after ending the connection (1003).
        """
        while True:
            frame = self._messages.receive()
            if frame is None:
                return b""
            kind, data = frame
            if kind != DATA:
                self._messages.shutdown(1003, "binary messages only")
                raise ProtocolError("a text message in a byte stream")
            if data:
                return data

    def sendall(self, data: bytes) -> None:
        """Send all of it. Blocks; raises ConnectionResetError where the connection has ended."""
        try:
            for start in range(0, len(data), PIECE_BYTES):
                self._messages.send_data(data[start : start + PIECE_BYTES])
        except ConnectionLost as error:
            raise ConnectionResetError(str(error)) from error

    def settimeout(self, seconds: float | None) -> None:
        """Bound every later read and write."""
        self._messages.set_timeout(seconds)

    def fileno(self) -> int:
        """Return the descriptor, for waiting."""
        return self._messages.fileno()

    def shutdown(self, how: int) -> None:
        """End the connection with a goodbye, whatever `how` says: halves have none here."""
        self._messages.shutdown()

    def close(self) -> None:
        """Close it."""
        self._messages.close()


class MessageStream(FrameStream):
    """Frames whose bytes travel in a WebSocket's binary messages."""

    def __init__(self, messages: WebSocketStream) -> None:
        super().__init__(MessageSocket(messages))
        self._messages = messages

    def probe(self) -> bool:
        return self._messages.probe()

    def has_left(self) -> bool:
        return self._closed or self._messages.has_left()

    def is_half_open(self) -> bool:
        return False
