"""A log file with a bound: appended to by several processes, one old generation, never raises.

The node's keeper and worker write to the same file, and what their stderr gets goes there too;
whoever finds it full renames it. Imports little: the keeper uses it.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import time

# Two files of this size hold weeks of a busy node, and stay below 10 MB.
MAX_BYTES = 4 << 20
# A line that comes again and again is counted; the count is written after so long at the latest.
COUNT_SECONDS = 60.0
# One line is one write(2): whole also beside other writers, and what a pipe takes (PIPE_BUF).
MAX_LINE = 4096

STDERR = 2


class LogFile:
    """Appends lines to a file (mode 0600) and renames it to `.1` when it is full.

    A stderr that is the same file follows it. `path` "" stands for stderr itself.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = STDERR if not path else -1
        self._last = b""
        self._count = 0
        self._counted_at = 0.0

    def write(self, stamp: str, text: str) -> None:
        """Write `stamp` and `text` as one line, unless it only repeats the last."""
        line = text.encode("utf-8", "replace")
        if line == self._last:
            self._count += 1
            if time.monotonic() < self._counted_at + COUNT_SECONDS:
                return
        self._tell_count(stamp)
        if line != self._last:
            self._last = line
            self._put(stamp.encode() + b" " + line)

    def _tell_count(self, stamp: str) -> None:
        if self._count:
            self._put(f"{stamp} last line repeated {self._count} times".encode())
        self._count = 0
        self._counted_at = time.monotonic()

    def _put(self, line: bytes) -> None:
        try:
            if self._path:
                self._refresh()
                write_all(self._fd, line + b"\n")
            else:
                write_stderr(line + b"\n")
        except (OSError, ValueError, MemoryError):
            # A log line is never worth more than itself.
            pass

    def _refresh(self) -> None:
        """Have `_fd` open on the file that stands at the path, and that file not full."""
        try:
            there: os.stat_result | None = os.stat(self._path)
        except OSError:
            there = None
        if self._fd < 0 or there is None or not _is_same(self._fd, there):
            self._open()
        if os.fstat(self._fd).st_size >= MAX_BYTES:
            self._rotate()

    def _open(self) -> None:
        """Open the file, if it can be: the one we have is better than none."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            fd = os.open(self._path, flags, 0o600)
        except OSError:
            return
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return
        if self._fd >= 0:
            old = os.fstat(self._fd)
            for stream in (1, STDERR):
                if _is_same(stream, old):
                    os.dup2(fd, stream)
            os.close(self._fd)
        else:
            self._move_stderr(fd)
        self._fd = fd

    def _move_stderr(self, fd: int) -> None:
        """Move a stderr that is still on the old generation, renamed by another process."""
        try:
            old = os.stat(f"{self._path}.1")
        except OSError:
            return
        for stream in (1, STDERR):
            if _is_same(stream, old):
                os.dup2(fd, stream)

    def _rotate(self) -> None:
        """Rename the full file, once among all who find it full."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        if _is_same(self._fd, os.stat(self._path)):
            os.replace(self._path, f"{self._path}.1")
        self._open()


def _is_same(fd: int, there: os.stat_result) -> bool:
    try:
        here = os.fstat(fd)
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a regular file. Raises OSError."""
    while data:
        data = data[os.write(fd, data) :]


def write_stderr(data: bytes) -> None:
    """Write to descriptor 2 what it takes at once; never blocks, never raises.

    A pipe that nobody reads, a terminal that is stopped or closed: then the words are lost.
    """
    try:
        poller = select.poll()
        poller.register(STDERR, select.POLLOUT)
        while data and poller.poll(0):
            data = data[os.write(STDERR, data[:MAX_LINE]) :]
    except (OSError, ValueError, MemoryError):
        pass


def last_error_line(path: str, start: int = 0) -> str:
    """Return the last line of a log after byte `start` that tells of an error, "" if none does.

    Looks at the last 8 KiB. Never raises.
    """
    import re

    tells = re.compile(r"^Error: |^\S+ \S+ ERROR |^[\w.]*(Error|Exception)\b|can't open file")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return ""
            start = start if start <= found.st_size else 0
            data = os.pread(fd, 8192, max(start, found.st_size - 8192))
        finally:
            os.close(fd)
    except (OSError, MemoryError):
        return ""
    for line in reversed(data.decode("utf-8", "replace").splitlines()):
        if tells.search(line):
            return re.sub(r"^Error: |^\S+ \S+ ERROR ", "", line).strip()
    return ""
