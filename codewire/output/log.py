"""The output log: every byte a PTY printed, once, at an offset that never changes (design, P1).

One writer (the drain), any number of readers, each with an offset of its own. Bytes leave only at
the head, as holes (the budget), or never arrive (a full disk); both are gaps that readers are told.
"""

from __future__ import annotations

import bisect
import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from codewire.io.clock import CLOCK, Moment
from codewire.io.filecalls import FileCalls, call_here
from codewire.io.holes import find_data, find_written, punch_head
from codewire.io.pipes import move_to_file
from codewire.io.ptys import unread_bytes
from codewire.io.transient import PAUSE_SECONDS, is_transient, persist
from codewire.io.wait import give_way

log = logging.getLogger(__name__)

# Holes are freed in whole file-system blocks.
BLOCK = 4096
SCAN_BYTES = 65536
# How much of a scan may pass before others get a turn.
SCAN_TURN_BYTES = 4 << 20
# How often a write that failed for want of memory is tried again: 3 seconds, then bytes are lost.
TRIES = 60


class Chunk(NamedTuple):
    """Bytes of a log: `gap` bytes are missing, then `data` starts at `offset`."""

    offset: int
    data: bytes
    gap: int

    @property
    def end(self) -> int:
        """The offset after the chunk, where the next read goes on."""
        return self.offset + len(self.data)


class Waker(Protocol):
    """Who wants to know of new bytes: an Event, or what behaves like one."""

    def set(self) -> None:
        """Be told; must not block."""


class Span(NamedTuple):
    """Where bytes of a log are: `gap` bytes are missing, then `size` follow at `offset`."""

    offset: int
    size: int
    gap: int


class OutputLog:
    """One session's log file. Offsets are bytes since the session began."""

    def __init__(
        self,
        fd: int,
        max_bytes: int = 0,
        gaps: list[tuple[int, int]] | None = None,
        calls: FileCalls = call_here,
    ) -> None:
        """Take over `fd`; -1 is a log that keeps nothing. `opening.py` makes them."""
        self._fd = fd
        self._calls = calls
        self._set_budget(max_bytes)
        self._lock = threading.Lock()
        self._wakers: tuple[Waker, ...] = ()
        self._can_punch = True
        self.first = self.end = 0
        # Shared with the session's record, which is how it gets written down.
        self._gaps = [] if gaps is None else gaps
        self.on_gap: Callable[[], None] = lambda: None
        # When the last byte came; also after a restart, from the file.
        self.grown_at_ns = 0
        # The same on the steady clock, 0 until this worker has seen some; and what the file said.
        self.grown_steady_ns = self.found_steady_ns = 0
        # Why nothing can be written now, "" while it can; and what tries to have it opened for
        # writing where it is not, until that returns True.
        self.failure = ""
        self.recover: Callable[[], bool] | None = None
        self._users = 1

    def _set_budget(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._slack = min(1 << 20, max_bytes // 4)

    def measure(self, least: int = 0) -> None:
        """Learn from the file where the log begins and ends. Raises OSError.

        What it lacks of `least` bytes is a gap: somebody cut it, or took it away.
        """
        if self.is_lost:
            self.end = max(least, *(end for _, end in self._gaps), 0)
            return
        found = os.fstat(self._fd)
        self.end = found.st_size
        self.first = self._find_first()
        self.grown_at_ns = found.st_mtime_ns if self.end else 0
        # Whatever the time of day is set to from here on; at most now, where the file is ahead.
        found_at = Moment(found.st_mtime_ns, 0, "")
        self.found_steady_ns = CLOCK.steady_of(found_at) if self.end else 0
        self._find_last_gap()
        if self.end < least:
            self._skip(least - self.end)

    def adopt(self, fd: int, max_bytes: int) -> bool:
        """Go on with a file that can be written; False where it is another one. Takes over `fd`.

        What was lost meanwhile stays lost, and its offsets with it. Raises OSError.
        """
        if self.is_lost:
            self._fd = fd
            self._widen_last_gap(os.fstat(fd).st_size)
        else:
            is_same = os.path.sameopenfile(fd, self._fd)
            if is_same:
                # Readers go on with the number that they have.
                os.dup2(fd, self._fd, inheritable=False)
            os.close(fd)
            if not is_same:
                return False
        self._set_budget(max_bytes)
        self.measure(self.end)
        return True

    def _widen_last_gap(self, size: int) -> None:
        """What was counted before there was a file is in it only as far as it goes."""
        if self._gaps and self._gaps[-1][1] == self.end:
            self._gaps[-1] = (min(size, self._gaps[-1][0]), self.end)

    @property
    def is_lost(self) -> bool:
        """Whether there is no file: what is printed is counted and dropped, nothing can be read."""
        return self._fd < 0

    def _find_first(self) -> int:
        """Return where the bytes that were not freed begin (SEEK_DATA, lseek(2))."""
        try:
            return find_data(self._fd, 0)
        except OSError as error:
            # ENXIO: nothing but a hole; EINVAL: the file system has no holes.
            return self.end if error.errno == errno.ENXIO else 0

    def _find_last_gap(self) -> None:
        """A worker killed on a full disk noted where the last gap began, not where it ended."""
        if not self._gaps:
            return
        start, end = self._gaps[-1]
        try:
            end = max(end, find_written(self._fd, end))
        except OSError:
            end = max(end, self.end)
        self._gaps[-1] = (start, end)
        self.end = max(self.end, end)

    # The writer

    def take_pipe(self, pipe: int, count: int) -> None:
        """Move `count` bytes from a pipe to the end of the log, then wake the readers.

        Raises nothing: what the disk refuses is read off and becomes a gap.
        """
        self._try_again()
        left = count
        patience = TRIES
        while left:
            try:
                moved = self._calls(move_to_file, pipe, self._fd, left, self.end)
            except OSError as error:
                if is_transient(error) and patience and unread_bytes(pipe):
                    patience -= 1
                    time.sleep(PAUSE_SECONDS)
                    continue
                if error.errno not in (errno.EINVAL, errno.ENOSYS):
                    self._lose(_discard(pipe, left), error)
                    break
                # A file system that cannot take a pipe's pages: it takes bytes.
                data = os.read(pipe, min(left, SCAN_BYTES))
                self._append(data)
                left -= len(data)
                continue
            left -= moved
            self._advance(moved)
        self._grew()

    def take_bytes(self, data: bytes) -> None:
        """Append bytes that were read into memory; as `take_pipe` where splice does not work."""
        self._try_again()
        self._append(data)
        self._grew()

    def _try_again(self) -> None:
        if self.recover is not None and self.recover():
            self.recover = None

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        patience = TRIES
        while view:
            try:
                written = self._calls(os.pwrite, self._fd, view, self.end)
            except OSError as error:
                if is_transient(error) and patience:
                    patience -= 1
                    time.sleep(PAUSE_SECONDS)
                    continue
                self._lose(len(view), error)
                break
            view = view[written:]
            self._advance(written)

    def _advance(self, count: int) -> None:
        self.end += count
        if self.failure:
            log.warning("%s: logging resumed", self.failure)
            self.failure = ""
            self.on_gap()

    def _lose(self, count: int, error: OSError) -> None:
        """Count bytes that could not be written, so that later offsets stay true."""
        if not count:
            return
        self._skip(count)
        if not self.failure:
            self.failure = f"writing a log failed: {error.strerror}"
            log.warning("%s; output is lost until there is space", self.failure)

    def _skip(self, count: int) -> None:
        """Make the next `count` bytes a gap."""
        start, self.end = self.end, self.end + count
        goes_on = bool(self._gaps) and self._gaps[-1][1] == start
        if goes_on:
            self._gaps[-1] = (self._gaps[-1][0], self.end)
        else:
            self._gaps.append((start, self.end))
        try:
            # Extending costs no block; the next worker then finds the true end.
            self._calls(os.ftruncate, self._fd, self.end)
        except OSError:
            pass
        if not goes_on:
            self.on_gap()

    def _grew(self) -> None:
        self.grown_at_ns = time.time_ns()
        self.grown_steady_ns = CLOCK.steady_ns()
        if self._max_bytes and self.end - self.first > self._max_bytes + self._slack:
            self._trim()
        self.wake()

    def _trim(self) -> None:
        """Free the oldest bytes: first readers are sent past them, then the hole is made."""
        if not self._can_punch:
            return
        first = (self.end - self._max_bytes) // BLOCK * BLOCK
        before, self.first = self.first, max(first, self.first)
        if not self._calls(punch_head, self._fd, self.first):
            self._can_punch = False
            self.first = before
            log.warning("this file system cannot free the head of a file: logs keep growing")

    # The readers

    def read(self, offset: int, limit: int) -> Chunk:
        """Return up to `limit` bytes from `offset`; empty data at the end. Raises OSError."""
        if self.is_lost:
            return Chunk(self.end, b"", max(0, self.end - offset))
        while True:
            start, count, gap = self.span(offset, limit)
            data = self._read(count, start) if count else b""
            if self.holds(start):
                return Chunk(start, data, gap)

    def _read(self, count: int, offset: int) -> bytes:
        data: bytes = persist(self._calls, os.pread, self._fd, count, offset)
        return data

    def span(self, offset: int, limit: int) -> Span:
        """Return where the next at most `limit` bytes from `offset` are."""
        if not self._gaps and offset >= self.first:
            return Span(offset, max(0, min(self.end - offset, limit)), 0)
        start = self._readable_from(max(offset, self.first))
        stop = min(self.end, start + limit, self._readable_to(start))
        return Span(start, max(0, stop - start), max(0, start - offset))

    def holds(self, offset: int) -> bool:
        """Say whether the byte at `offset` has not been freed."""
        return offset >= self.first

    @property
    def is_sendable(self) -> bool:
        """Whether the file can be sent from (sendfile(2)): its file system does not hang."""
        return self._calls is call_here

    def fileno(self) -> int:
        """Return the file's descriptor, for sending from it."""
        return self._fd

    def _readable_from(self, offset: int) -> int:
        for start, end in self._gaps:
            if start <= offset < end:
                return end
        return offset

    def _readable_to(self, offset: int) -> int:
        if not self._gaps:
            return self.end
        at = bisect.bisect_right(self._gaps, (offset, offset))
        return self._gaps[at][0] if at < len(self._gaps) else self.end

    def line_start(self, lines: int, until: int | None = None) -> int:
        """Return the offset where the last `lines` lines before `until` (default: the end) begin.

        A final newline ends the last line, it begins none (spec/wire.md 9.2). Blocks: it scans.
        """
        end = self.end if until is None else until
        if lines <= 0 or end <= self.first or self.is_lost:
            return end
        position = end - 1 if self._read(1, end - 1) == b"\n" else end
        scanned = 0
        while position > self.first:
            start = max(self.first, position - SCAN_BYTES)
            block = self._read(position - start, start)
            found = block.count(b"\n")
            if found >= lines:
                return start + _nth_last(block, lines) + 1
            lines -= found
            position = start
            scanned += len(block)
            if scanned >= SCAN_TURN_BYTES:
                scanned = 0
                give_way()
        return self.first

    def watch(self, waker: Waker) -> None:
        """Set `waker` whenever the log grows, until `unwatch`."""
        with self._lock:
            self._wakers = (*self._wakers, waker)

    def unwatch(self, waker: Waker) -> None:
        """Undo `watch`. Idempotent."""
        with self._lock:
            self._wakers = tuple(w for w in self._wakers if w is not waker)

    def wake(self) -> None:
        """Wake every reader: there are new bytes, or news about the session."""
        for waker in self._wakers:
            waker.set()

    def retain(self) -> bool:
        """Count one more user; False when the file has been closed already."""
        with self._lock:
            if self._users:
                self._users += 1
            return self._users > 0

    def release(self) -> None:
        """Count one user less (whoever opened the log is one); the last one closes the file."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
        if self._fd >= 0:
            self._calls(os.close, self._fd)


def _nth_last(block: bytes, count: int) -> int:
    """Return the index of the `count`-th newline from the end; there are that many."""
    at = len(block)
    for _ in range(count):
        at = block.rindex(b"\n", 0, at)
    return at


def _discard(pipe: int, count: int) -> int:
    """Read `count` bytes off a pipe and drop them; return how many there were."""
    left = count
    while left:
        try:
            data = os.read(pipe, min(left, 65536))
        except BlockingIOError:
            break
        if not data:
            break
        left -= len(data)
    return count - left
