"""What was typed into a session lately: a terminal echoes it, and it is no program's output."""

from __future__ import annotations

import re
import threading

MAX_LINES = 64
MAX_LINE_BYTES = 4096
# Keys that end, drop or shorten the line at a terminal: what came before them counts no more.
EDITS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


class Typed:
    """The last lines typed, each with the log's end when its first byte was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[tuple[int, int, bytes]] = []
        self._numbers = 0
        self._start = 0
        self._open = b""
        self._length = 0

    def note(self, offset: int, data: bytes) -> None:
        """Take what is about to be typed while the log ends at `offset`."""
        with self._lock:
            for piece in data.replace(b"\r", b"\n").splitlines(keepends=True):
                if not self._open:
                    self._start = offset
                self._open = (self._open + piece)[:MAX_LINE_BYTES]
                *edited, rest = EDITS.split(piece)
                self._length = len(rest) + (0 if edited else self._length)
                if piece.endswith(b"\n"):
                    self._length = 0
                    self._add(self._open.strip())
                    self._open = b""

    def _add(self, line: bytes) -> None:
        if line:
            self._numbers += 1
            self._lines.append((self._numbers, self._start, line))
            del self._lines[:-MAX_LINES]

    @property
    def unfinished(self) -> int:
        """How many bytes of a line are typed whose end is not; 0 too where it was edited."""
        return self._length

    def since(self, number: int) -> list[tuple[int, int, bytes]]:
        """Return (number, offset, line) of those after a number; one not yet ended comes last.

        That one's number is of no use for the next call.
        """
        with self._lock:
            found = [entry for entry in self._lines if entry[0] > number]
            if self._open.strip():
                found.append((0, self._start, self._open.strip()))
            return found
