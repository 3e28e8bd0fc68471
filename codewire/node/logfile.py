"""The node's log: lines in upstream's format, to stderr or to node.log with one old generation."""

from __future__ import annotations

import contextlib
import logging
import os
import sys

# Two files of this size hold weeks of a busy node.
MAX_BYTES = 4 << 20


class NodeLog(logging.Handler):
    """Appends to a file (mode 0600) and renames it to `.1` when it is full; never raises."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._fd = -1
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            self._fd = os.open(self._path, flags, 0o600)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        line = self.format(record).encode("utf-8", "replace") + b"\n"
        with contextlib.suppress(OSError):
            if self._fd < 0 or os.fstat(self._fd).st_size >= MAX_BYTES:
                self._rotate()
            os.write(self._fd, line)

    def _rotate(self) -> None:
        with contextlib.suppress(OSError):
            os.replace(self._path, f"{self._path}.1")
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._open()


def set_up_logging(path: str) -> None:
    """Send all logging to `path`, or to stderr when it is empty. CW_DEBUG=1 shows DEBUG too."""
    handler: logging.Handler = NodeLog(path) if path else logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y/%m/%d %H:%M:%S")
    )
    level = logging.DEBUG if os.environ.get("CW_DEBUG") == "1" else logging.INFO
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.raiseExceptions = False
