"""The node's log: lines in upstream's format, to stderr or to node.log with one old generation."""

from __future__ import annotations

import logging
import os
import time

from codewire.io.logfile import LogFile

STAMP = "%Y/%m/%d %H:%M:%S"


class NodeLog(logging.Handler):
    """Appends to the log file, or to stderr when `path` is empty; never raises, never blocks."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = LogFile(path)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a record that cannot be formatted costs only itself
            text = f"{record.levelname} {record.msg!r}"
        self._file.write(time.strftime(STAMP, time.localtime(record.created)), text)


def set_up_logging(path: str) -> None:
    """Send all logging to `path`, or to stderr when it is empty. CW_DEBUG=1 shows DEBUG too."""
    handler = NodeLog(path)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    level = logging.DEBUG if os.environ.get("CW_DEBUG") == "1" else logging.INFO
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.raiseExceptions = False
