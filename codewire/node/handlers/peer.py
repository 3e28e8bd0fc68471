"""One streaming client: its frames are read in the connection's own greenlet or thread, what it
is sent is written by a second one. A stalled client blocks only its own writer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from codewire.errors import ConnectionLost, ProtocolError
from codewire.io.streams import FrameStream
from codewire.io.wait import spawn

log = logging.getLogger(__name__)

# How often a client that only stopped writing is checked for being gone altogether.
HALF_OPEN_SECONDS = 1.0

OnFrame = Callable[[int, bytes], None]


def ignore_frame(kind: int, payload: bytes) -> None:
    """Most streams expect nothing from their client."""


class Peer:
    """The two sides of one stream. `waker` is set when the writer should look around."""

    def __init__(self, stream: FrameStream) -> None:
        self.stream = stream
        self.waker = threading.Event()
        self.is_gone = False
        self._finished = threading.Event()

    def run(
        self,
        write: Callable[[], None],
        on_frame: OnFrame = ignore_frame,
        outlives_half_close: bool = False,
        on_half_close: Callable[[], None] | None = None,
    ) -> None:
        """Serve until `write` returns or the client goes. Blocks; the caller closes the stream.

        `on_half_close` is called for a client that stopped writing but still reads, and has the
        writer end, for which there is HALF_OPEN_SECONDS.

        Raises OutOfThreads; then nothing was sent.
        """
        spawn(self._write, write)
        self._read(on_frame)
        if on_half_close is not None and self.stream.is_half_open():
            on_half_close()
            self._finished.wait(HALF_OPEN_SECONDS)
        if outlives_half_close:
            while not self._finished.is_set() and self.stream.is_half_open():
                self._finished.wait(HALF_OPEN_SECONDS)
        self.is_gone = True
        self.waker.set()
        if outlives_half_close or not self._finished.is_set():
            # Unblocks a writer that is stuck in a send.
            self.stream.shutdown()
        self._finished.wait()

    def _write(self, write: Callable[[], None]) -> None:
        try:
            self._write_or_say_why(write)
        except ConnectionLost:
            pass
        except Exception:
            log.exception("stream failed")
        finally:
            self._finished.set()
            self.stream.shutdown()

    def _write_or_say_why(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            # A log that cannot be read: the disk says no.
            text = f"failed to read session log: {error.strerror or error}"
            self.stream.send_control({"type": "Error", "message": text})

    def _read(self, on_frame: OnFrame) -> None:
        try:
            while (frame := self.stream.receive()) is not None:
                on_frame(*frame)
        except ProtocolError as error:
            log.info("client dropped: %s", error)

    def wait(self, timeout: float | None = None) -> None:
        """Block the writer until there is news. Clear `waker` before looking, then call this."""
        self.waker.wait(timeout)
