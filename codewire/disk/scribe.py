"""Writes, soon, the lines that nobody waits for."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from codewire.disk.lines import Lines

# Of one file, while the disk hangs; what comes then is not written.
MAX_WAITING = 10_000


class Scribe:
    """The lines that are due. `run` belongs to one greenlet or thread, the rest to all."""

    def __init__(self) -> None:
        self._due: deque[Lines] = deque()
        self._news = threading.Event()

    def add(self, lines: Lines, value: Any) -> None:
        """Have a line written soon. Waits for nothing."""
        if lines.waiting() < MAX_WAITING:
            lines.add(value)
        self.remind(lines)

    def remind(self, lines: Lines) -> None:
        """Have what is in the queue of `lines` written soon."""
        if lines.waiting() < MAX_WAITING:
            self._due.append(lines)
        self._news.set()

    def run(self) -> None:
        """Write for ever."""
        while True:
            self._news.wait()
            self._news.clear()
            self.write()

    def write(self) -> None:
        """Write what is due. Blocks for the disk."""
        while self._due:
            self._due.popleft().write()
