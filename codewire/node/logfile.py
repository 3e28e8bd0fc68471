"""The node's log: lines in upstream's format, to stderr or to node.log with one old generation."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque

from codewire.errors import OutOfThreads
from codewire.io.filecalls import FileCalls, call_here
from codewire.io.logfile import LogFile
from codewire.io.wait import spawn

STAMP = "%Y/%m/%d %H:%M:%S"
# Of lines that a file system which hangs does not take; the oldest goes.
MAX_WAITING = 1000
# How long whoever tells of an error waits for it to be written: it may be the last thing it does.
ERROR_SECONDS = 0.2


class NodeLog(logging.Handler):
    """Appends to the log file, or to stderr when `path` is empty; never raises.

    Blocks for the disk only where that is sure to answer: see filecalls.py.
    """

    def __init__(self, path: str, calls: FileCalls = call_here) -> None:
        super().__init__()
        self._file = LogFile(path)
        self._calls = calls
        self._waiting: deque[tuple[str, str]] = deque(maxlen=MAX_WAITING)
        self._turn = threading.Lock()
        self._is_writing = False
        self._is_idle = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. The handler's lock is held."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a record that cannot be formatted costs only itself
            text = f"{record.levelname} {record.msg!r}"
        stamp = time.strftime(STAMP, time.localtime(record.created))
        if self._calls is call_here:
            self._file.write(stamp, text)
        else:
            self._write_soon(stamp, text, record.levelno >= logging.ERROR)

    def _write_soon(self, stamp: str, text: str, waits: bool) -> None:
        with self._turn:
            self._waiting.append((stamp, text))
            begins, self._is_writing = not self._is_writing, True
            self._is_idle.clear()
        try:
            if begins:
                spawn(self._write_waiting)
            if waits:
                self._is_idle.wait(ERROR_SECONDS)
        except OutOfThreads:
            self._is_writing = False
        except Exception:  # noqa: BLE001 - gevent's own loop may log, and must not wait
            pass

    def _write_waiting(self) -> None:
        while True:
            with self._turn:
                if not self._waiting:
                    self._is_writing = False
                    self._is_idle.set()
                    return
                stamp, text = self._waiting.popleft()
            self._calls(self._file.write, stamp, text)


def set_up_logging(path: str, calls: FileCalls = call_here) -> None:
    """Send all logging to `path`, or to stderr when it is empty. CW_DEBUG=1 shows DEBUG too."""
    handler = NodeLog(path, calls if path else call_here)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    level = logging.DEBUG if os.environ.get("CW_DEBUG") == "1" else logging.INFO
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.raiseExceptions = False
