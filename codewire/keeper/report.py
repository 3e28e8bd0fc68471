"""What the keeper says: lines in the node's log, and words to whoever runs it in a terminal.

Nothing here raises, or blocks for more than a moment (scout.py): no word is worth a session.
"""

from __future__ import annotations

import os
import time
from functools import partial

from codewire.io.logfile import LogFile, last_error_line, write_stderr
from codewire.keeper.place.scout import Messenger, Scout


class Report:
    """The keeper's voice. A node in the foreground says everything on stderr."""

    def __init__(self, path: str, detached: bool) -> None:
        self._path = path
        self._is_detached = detached
        self._log = LogFile(path if detached else "")
        self._messenger = Messenger()
        self._reader = Scout(self._read)
        self._mark = self._seen = 0
        self._error = ""
        self.mark()

    def line(self, level: str, text: str) -> None:
        """Write one line to the node's log, in the format of the worker's lines."""
        stamp = time.strftime("%Y/%m/%d %H:%M:%S")
        self._messenger.do(partial(self._log.write, stamp, f"{level} {text}"))

    def tell(self, text: str) -> None:
        """Say something to the person in front of a node in the foreground; else log it."""
        if self._is_detached:
            self.line("INFO", text)
        else:
            words = f"[cw] {text}\n".encode("utf-8", "replace")
            self._messenger.do(partial(write_stderr, words))

    def mark(self) -> None:
        """Count the log from here: what went wrong earlier explains nothing now."""
        if self._is_detached and self._reader.find():
            self._mark = self._seen

    def last_error(self) -> str:
        """Return the last error in the node's log since the mark, "" when there is none."""
        return self._error if self._is_detached and self._reader.find() else ""

    def place(self) -> str:
        """Return in words where the node's log is."""
        return self._path if self._is_detached else "the node's own output"

    def _read(self) -> bool:
        """Look at the log; may hang."""
        self._error = last_error_line(self._path, self._mark)
        try:
            self._seen = os.stat(self._path).st_size
        except OSError:
            self._seen = 0
        return True
