"""The worker's end of a link to a keeper: one reader, one writer, both with deadlines.

An error is not a lost keeper: only the end of the stream, EPIPE and ECONNRESET are. After any
other the call is tried again in a moment.
"""

from __future__ import annotations

import socket
import time

from codewire.errors import KeeperError
from codewire.io.transient import PAUSE_SECONDS, is_gone
from codewire.io.unix import receive_message, send_with_fds
from codewire.io.wait import wait_readable, wait_writable
from codewire.keeper import protocol

# Waiting is looked after so often: somebody may have closed the channel meanwhile.
TURN_SECONDS = 1.0


class Channel:
    """Messages over a socket to a keeper."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._reader = protocol.MessageReader()
        self.is_closed = False

    def receive(self) -> tuple[protocol.Message, list[int]] | None:
        """Return the next message; None when the keeper has gone. Blocks.

        Raises KeeperError when what comes is no message: the channel is then unusable.
        """
        while True:
            item = self._reader.next_message()
            if item is not None:
                return item
            if not self._fill():
                return None

    def _fill(self) -> bool:
        try:
            if not wait_readable(self._sock.fileno(), TURN_SECONDS):
                return not self.is_closed
            data, fds, is_cut = receive_message(self._sock, 1 << 16)
        except BlockingIOError:
            return not self.is_closed
        except (OSError, MemoryError, ValueError) as error:
            if self.is_closed or isinstance(error, OSError) and is_gone(error):
                return False
            time.sleep(PAUSE_SECONDS)
            return True
        self._reader.feed(data, fds, is_cut)
        return bool(data)

    def send(
        self, message: protocol.Message, fds: list[int] | None = None, seconds: float | None = None
    ) -> None:
        """Send a whole message. Raises KeeperError when the keeper has gone, or after `seconds`.

        After a failure in the middle the channel is unusable; nobody else may send meanwhile.
        """
        if fds:
            message = {**message, "fds": len(fds)}
        data, left = protocol.encode(message), list(fds or [])
        deadline = None if seconds is None else time.monotonic() + seconds
        while data:
            sent = self._send_some(data, left)
            if sent:
                data, left = data[sent:], []
            elif deadline is not None and time.monotonic() > deadline:
                raise KeeperError(f"the keeper takes nothing for {seconds:.0f}s")

    def _send_some(self, data: bytes, fds: list[int]) -> int:
        if self.is_closed:
            raise KeeperError("the keeper went away")
        try:
            return send_with_fds(self._sock, data, fds)
        except BlockingIOError:
            pass
        except (OSError, MemoryError) as error:
            if self.is_closed or isinstance(error, OSError) and is_gone(error):
                raise KeeperError("the keeper went away") from error
            time.sleep(PAUSE_SECONDS)
            return 0
        try:
            wait_writable(self._sock.fileno(), TURN_SECONDS)
        except (OSError, MemoryError, ValueError):
            time.sleep(PAUSE_SECONDS)
        return 0

    def shut_down(self) -> None:
        """Have every call in here return soon. Idempotent."""
        self.is_closed = True
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The other end has gone.
            pass

    def close(self) -> None:
        """Close the socket; the caller knows that nobody is in a call. Idempotent."""
        self.is_closed = True
        self._sock.close()
