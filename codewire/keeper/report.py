"""What the keeper says: lines in the node's log, and words to whoever runs it in a terminal.

Nothing here raises or blocks: no word is worth a session.
"""

from __future__ import annotations

import os
import time

from codewire.io.logfile import LogFile, last_error_line, write_stderr


class Report:
    """The keeper's voice. A node in the foreground says everything on stderr."""

    def __init__(self, path: str, detached: bool) -> None:
        self._path = path
        self._is_detached = detached
        self._log = LogFile(path if detached else "")
        self._mark = self._size()

    def line(self, level: str, text: str) -> None:
        """Write one line to the node's log, in the format of the worker's lines."""
        self._log.write(time.strftime("%Y/%m/%d %H:%M:%S"), f"{level} {text}")

    def tell(self, text: str) -> None:
        """Say something to the person in front of a node in the foreground; else log it."""
        if self._is_detached:
            self.line("INFO", text)
        else:
            write_stderr(f"[cw] {text}\n".encode("utf-8", "replace"))

    def mark(self) -> None:
        """Count the log from here: what went wrong earlier explains nothing now."""
        self._mark = self._size()

    def last_error(self) -> str:
        """Return the last error in the node's log since the mark, "" when there is none."""
        return last_error_line(self._path, self._mark) if self._is_detached else ""

    def place(self) -> str:
        """Return in words where the node's log is."""
        return self._path if self._is_detached else "the node's own output"

    def _size(self) -> int:
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0
