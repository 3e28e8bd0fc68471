"""Opening a session's log: for a launch, after a worker's end, for a session that has ended.

What stands in a log's place may be anything: only a regular file is opened, and what cannot be
used costs the output of its session alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time

from codewire.errors import LogUnavailable
from codewire.files import open_regular
from codewire.io.filecalls import FileCalls, call_here
from codewire.io.transient import persist
from codewire.output.log import OutputLog

log = logging.getLogger(__name__)

Gaps = list[tuple[int, int]]

# How often a log that can only be read, or not even that, is tried again while there is output.
RETRY_SECONDS = 1.0


def open_log(
    path: str,
    max_bytes: int = 0,
    gaps: Gaps | None = None,
    flags: int = os.O_RDWR | os.O_CREAT,
    least: int = 0,
    calls: FileCalls = call_here,
) -> OutputLog:
    """Open or create a log; `max_bytes` is the budget (0: none), `least` what it should hold.

    `calls` is how it is written and read from then on. Blocks for the disk. Raises OSError.
    """
    fd = open_regular(path, flags)
    output = OutputLog(fd, max_bytes, gaps, calls)
    try:
        output.measure(least)
    except BaseException:
        os.close(fd)
        raise
    return output


def reopen_log(
    path: str, max_bytes: int, gaps: Gaps, least: int, calls: FileCalls = call_here
) -> OutputLog:
    """Open the log of a session that lives, `least` bytes of which have been counted.

    Raises nothing: one that cannot be written can perhaps still be read; one that cannot be opened
    at all is replaced by a log that counts bytes and drops them, for the program must not block.
    """
    try:
        # What was removed is made again: what is printed from now on is kept.
        with contextlib.suppress(FileExistsError):
            # Said of a directory, too, that cannot be looked at now.
            persist(os.makedirs, os.path.dirname(path), 0o700, True)
        flags = os.O_RDWR | os.O_CREAT
        return persist(open_log, path, max_bytes, gaps, flags, least, calls)
    except OSError as error:
        failure = f"{path} cannot be written: {error.strerror or error}"
    try:
        output = persist(open_log, path, 0, gaps, os.O_RDONLY, least, calls)
    except OSError as error:
        failure = f"{path} cannot be opened: {error.strerror or error}"
        output = OutputLog(-1, 0, gaps)
        output.measure(max(least, _size(path)))
    output.failure = failure
    output.recover = Recovery(path, output, max_bytes, calls)
    log.error("%s; the session's output is lost until it can", failure)
    return output


class Recovery:
    """Has a log opened for writing once its disk allows it: asked now and then, at no more cost."""

    def __init__(self, path: str, output: OutputLog, max_bytes: int, calls: FileCalls) -> None:
        self._path, self._output, self._max_bytes = path, output, max_bytes
        self._calls = calls
        self._next = time.monotonic() + RETRY_SECONDS

    def __call__(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + RETRY_SECONDS
        try:
            fd = self._calls(open_regular, self._path, os.O_RDWR | os.O_CREAT)
            return self._output.adopt(fd, self._max_bytes)
        except OSError:
            return False


def read_log(path: str, gaps: Gaps, calls: FileCalls = call_here) -> OutputLog:
    """Open the log of a session that has ended, only to read it. Raises LogUnavailable."""
    try:
        return calls(open_log, path, 0, gaps, os.O_RDONLY, 0, calls)
    except OSError as error:
        raise LogUnavailable(error.strerror or str(error)) from error


def _size(path: str) -> int:
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
