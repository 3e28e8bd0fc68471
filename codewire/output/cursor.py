"""A reader of an output log: an offset of its own, and one use of the file."""

from __future__ import annotations

import threading

from codewire.output.log import Chunk, OutputLog, Span


class Cursor:
    """One reader's place in a log. `waker` is set on news until `close`."""

    def __init__(self, output: OutputLog, offset: int, waker: threading.Event) -> None:
        """Take over one use of `output`, as counted by `retain`."""
        self.log = output
        self.offset = offset
        self._waker = waker
        output.watch(waker)

    def read(self, limit: int) -> Chunk:
        """Return the next bytes and move past them; empty data at the end."""
        chunk = self.log.read(self.offset, limit)
        self.offset = chunk.end
        return chunk

    def claim(self, limit: int) -> Span:
        """Return where the next bytes are and move past them: the caller sends them itself."""
        span = self.log.span(self.offset, limit)
        self.offset = span.offset + span.size
        return span

    def close(self) -> None:
        """Give the log back. Call once."""
        self.log.unwatch(self._waker)
        self.log.release()
