"""The drain: moves what PTYs print into their logs. The only reader of every master (design 4).

One loop for all sessions: io/readiness.py says which master has bytes, each ready one gets a
bounded turn. Bytes go master → pipe → log with splice(2); the keeper holds the pipe, so what a
killed worker had in flight is flushed by the next one, which finds the session in the note.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mmap
import os
import select
import struct
import threading
import time
from collections import deque
from typing import Protocol

from codewire.io.pipes import Bell, enlarge_pipe, move_to_pipe, open_pipe
from codewire.io.ptys import open_pty, unread_bytes
from codewire.io.readiness import WRITABLE, new_readiness
from codewire.io.transient import PAUSE_SECONDS, is_transient, persist
from codewire.io.wait import give_way
from codewire.output.log import OutputLog

log = logging.getLogger(__name__)

# What one session may move before the others get their turn: the small cap is what a keystroke
# waits under a flood (measured: 424 µs at 4 KiB, 1409 µs at 64 KiB).
TYPING_CAP = 4096
FLOOD_CAP = 1 << 17
TYPING_SECONDS = 1.0
# After a key is typed, floods rest until its echo is there, but no longer than this.
ECHO_SECONDS = 0.0005

# The kernel holds at most 640 KiB of a dead child's output (TTYB_DEFAULT_MEM_LIMIT): once this
# much has come since its exit, the rest is a grandchild's.
AFTERMATH_BYTES = 1 << 20

NOTE = struct.Struct("<Q")
NOTE_BYTES = 16
# A read of a terminal gives a page at most.
PAGE_BYTES = 4096

# Not an errno(3): there may be more, but not before a pause.
AGAIN = -1
# What a kernel or sandbox without splice(2) for terminals says.
NO_SPLICE = frozenset((errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES))
# At a stretch, with a pause after each: a terminal that says nothing else for 5 s is given up.
MAX_FAILURES = 100
IN_OR_HUP = select.POLLIN | select.POLLHUP


class Source(Protocol):
    """What the drain needs of a session."""

    id: int
    master: int

    @property
    def log(self) -> OutputLog:
        """Where its output goes."""

    def on_writable(self) -> None:
        """The master may take input again."""

    def on_drained(self) -> None:
        """The child has exited and its last byte is in the log. Called once; must not block."""

    def on_hangup(self) -> None:
        """Nobody has the terminal open and the child has exited: close the master."""


class Drain:
    """The loop. `run` belongs to one greenlet or thread; the rest may be called from any.

    A machine short of memory fails calls here for a while. What cannot be watched or moved now is
    looked at again after a pause (`_later`), and never taken for the end of a session.
    """

    def __init__(self, pipe_read: int, pipe_write: int, note_fd: int) -> None:
        self._pipe_read = pipe_read
        self._pipe_write = pipe_write
        self._note_fd = note_fd
        self._nudged: deque[Source] = deque()
        self._sources: dict[int, Source] = {}
        self._unwatched: set[int] = set()
        self._ready: dict[int, Source] = {}
        # To be given a turn after a pause; and how often each has failed at a stretch.
        self._later: dict[int, Source] = {}
        self._later_at = 0.0
        self._failures: dict[int, int] = {}
        # Whose child is gone; and of those whose `on_drained` is due, the bytes read since.
        self._over: set[int] = set()
        self._aftermath: dict[int, int] = {}
        self._typed_at = -TYPING_SECONDS
        # Whose echo the floods (those that had more to say after their turn) wait for, and till
        # when: 0 for none. Set anew only when they had a turn in between.
        self._typed_into: Source | None = None
        self._echo_by = 0.0
        self._floods: frozenset[int] = frozenset()
        self._splice = True
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make what the loop waits with. Blocks while the machine has none. Raises OSError."""
        self._note = persist(_map_note, self._note_fd)
        self._rounds = enlarge_pipe(self._pipe_write) // PAGE_BYTES // 2
        self._bell = persist(Bell)
        self._readiness = new_readiness(self._bell)
        self._splice = splice_works()

    @property
    def uses_splice(self) -> bool:
        """False where a tty cannot be spliced: a killed worker may then lose what it had read."""
        return self._splice

    def pending(self) -> tuple[int, int]:
        """Return (session id, byte count) of what the last worker left in the pipe."""
        (session_id,) = NOTE.unpack(self._note[: NOTE.size])
        return session_id, unread_bytes(self._pipe_read)

    def flush_pending(self, output: OutputLog, count: int) -> None:
        """Write what the last worker left in the pipe to the log it belongs to."""
        output.take_pipe(self._pipe_read, count)

    def add(self, source: Source, *, is_over: bool = False) -> None:
        """Start reading `source.master`; `is_over`: its child is gone, `on_drained` not due."""
        if is_over:
            self._over.add(source.id)
        with self._lock:
            self._sources[source.master] = source
            is_watched = self._register(source.master)
        if not is_watched:
            self._nudge()

    def _register(self, fd: int) -> bool:
        """Have `fd` reported; one that is refused now is looked at every few moments."""
        try:
            self._readiness.add(fd)
        except OSError as error:
            if fd not in self._unwatched:
                log.warning("watching a terminal failed: %s; trying on", error.strerror)
            self._unwatched.add(fd)
            return False
        self._unwatched.discard(fd)
        return True

    def exited(self, source: Source) -> None:
        """Note that the child is gone: once its output is read, `on_drained` is called."""
        self._nudged.append(source)
        self._nudge()

    def _nudge(self) -> None:
        persist(self._bell.ring)

    def watch_writable(self, source: Source, wanted: bool) -> None:
        """Call `source.on_writable` when its master takes input again."""
        with self._lock:
            if self._sources.get(source.master) is source:
                # Without it a writer looks for itself, if less often (input.RETRY_SECONDS).
                with contextlib.suppress(OSError):
                    self._readiness.watch_writable(source.master, wanted)

    def typed(self, source: Source) -> None:
        """Somebody types into this one: keep turns short for a while, and look for the echo."""
        self._typed_at = time.monotonic()
        if not self._echo_by:
            self._typed_into = source
            self._echo_by = self._typed_at + ECHO_SECONDS

    def is_typing(self) -> bool:
        """Say whether somebody typed within the last second."""
        return time.monotonic() - self._typed_at < TYPING_SECONDS

    def run(self) -> None:
        """Move bytes for ever."""
        while True:
            has_troubles = bool(self._later or self._unwatched)
            if not self._ready:
                self._readiness.wait(PAUSE_SECONDS if has_troubles else None)
            if has_troubles:
                self._take_up()
            for fd, events in self._look():
                self._collect(fd, events)
            rest = self._round()
            if rest > 0:
                self._readiness.wait(rest)
            elif self._ready:
                give_way()

    def _look(self) -> list[tuple[int, int]]:
        """Return which descriptors have news."""
        try:
            return self._readiness.take()
        except OSError as error:
            log.warning("watching terminals failed: %s; trying on", error.strerror)
            time.sleep(PAUSE_SECONDS)
            return []

    def _take_up(self) -> None:
        """Give those a turn that have waited long enough."""
        if self._later and time.monotonic() >= self._later_at:
            self._ready.update(self._later)
            self._later.clear()
        with self._lock:
            for fd in list(self._unwatched):
                self._register(fd)
                if fd in self._sources and fd not in self._later:
                    self._put_off(fd, self._sources[fd])

    def _round(self) -> float:
        """Give every ready one a turn, but no flood that rests; return how long they rest yet."""
        rest = self._echo_by - time.monotonic()
        if rest <= 0:
            self._echo_by = 0.0
        for fd, source in list(self._ready.items()):
            is_awaited = source is self._typed_into
            if rest > 0 and fd in self._floods and not is_awaited:
                continue
            if not self._turn_safely(fd, source):
                self._ready.pop(fd, None)
            if rest > 0 and is_awaited:
                # Long past: the floods go on, and only then may they be made to rest again.
                self._echo_by = -1.0
        self._floods = frozenset(self._ready)
        return min(rest, self._echo_by - time.monotonic()) if self._floods else 0.0

    def _collect(self, fd: int, events: int) -> None:
        if fd == self._bell.fd:
            # Should it fail, the next look reports it again.
            with contextlib.suppress(OSError):
                self._bell.silence()
            while self._nudged:
                source = self._nudged.popleft()
                # Set here, not by the caller: until `on_drained` has run, a hangup is no end.
                self._over.add(source.id)
                self._aftermath[source.id] = 0
                self._ready[source.master] = source
            return
        source_or_none = self._sources.get(fd)
        if source_or_none is not None:
            self._ready[fd] = source_or_none
            if events & WRITABLE:
                source_or_none.on_writable()

    def _turn_safely(self, fd: int, source: Source) -> bool:
        try:
            return self._turn(fd, source)
        except Exception as error:
            if is_transient(error):
                self._put_off(fd, source)
            else:
                log.exception("session %d: drain failed", source.id)
                self._readiness.rearm(fd)
            return False

    def _turn(self, fd: int, source: Source) -> bool:
        """Move one turn's bytes; return whether more may be waiting."""
        cap = TYPING_CAP if self.is_typing() else FLOOD_CAP
        moved, end = self._move(fd, source, cap) if fd >= 0 else (0, errno.EIO)
        if moved and self._failures:
            self._failures.pop(fd, None)
        # It was said to have bytes, or is to have no more: no other word of it may come.
        must_be_sure = end == errno.EAGAIN and (not moved or source.id in self._aftermath)
        if must_be_sure and self._is_doubtful(fd, _state(fd) & select.POLLIN != 0):
            end = AGAIN
        if source.id in self._aftermath:
            self._aftermath[source.id] += moved
            if end > 0 or self._aftermath[source.id] >= AFTERMATH_BYTES:
                del self._aftermath[source.id]
                source.on_drained()
        if end == AGAIN:
            self._put_off(fd, source)
        if end == errno.EIO and source.id in self._over and source.id not in self._aftermath:
            self._drop(fd, source)
        elif end == errno.EAGAIN:
            self._readiness.rearm(fd)
        elif end == errno.EIO and not self._readiness.sees_reopening:
            self._put_off(fd, source)
        return not end

    def _move(self, fd: int, source: Source, cap: int) -> tuple[int, int]:
        """Return (bytes moved, why the master has no more now).

        That is 0 while it may have more, EAGAIN, EIO at its end, or AGAIN: look once more later.
        """
        if not self._splice:
            return self._copy(fd, source, cap)
        self._note[: NOTE.size] = NOTE.pack(source.id)
        moved, end = 0, 0
        try:
            for _ in range(self._rounds):
                count = move_to_pipe(fd, self._pipe_write, cap - moved)
                moved += count
                if not count or moved >= cap:
                    end = 0 if count else errno.EIO
                    break
        except OSError as error:
            end = self._judge(fd, error)
        if moved:
            source.log.take_pipe(self._pipe_read, moved)
        return moved, end

    def _copy(self, fd: int, source: Source, cap: int) -> tuple[int, int]:
        try:
            data = os.read(fd, cap)
        except OSError as error:
            return 0, self._judge(fd, error)
        if not data:
            return 0, errno.EIO
        source.log.take_bytes(data)
        return len(data), 0

    def _judge(self, fd: int, error: OSError) -> int:
        """Return what an error of a master means, as `_move` does."""
        if error.errno == errno.EAGAIN:
            return error.errno
        if error.errno in NO_SPLICE and self._splice:
            log.warning("splice does not work here: a killed worker may lose output")
            self._splice = False
            return 0
        # EIO is the end only where the kernel says so otherwise, too, and nothing is left to read.
        is_over = error.errno == errno.EIO and _state(fd) & IN_OR_HUP == select.POLLHUP
        is_over = is_over or error.errno == errno.EBADF
        return AGAIN if self._is_doubtful(fd, not is_over) else errno.EIO

    def _is_doubtful(self, fd: int, doubt: bool) -> bool:
        """Say whether to look again, which is not done for ever."""
        if not doubt:
            return False
        self._failures[fd] = self._failures.get(fd, 0) + 1
        return self._failures[fd] <= MAX_FAILURES

    def _put_off(self, fd: int, source: Source) -> None:
        """Give a turn after a pause."""
        if not self._later:
            self._later_at = time.monotonic() + PAUSE_SECONDS
        self._later[fd] = source

    def _drop(self, fd: int, source: Source) -> None:
        with self._lock:
            self._failures.pop(fd, None)
            self._later.pop(fd, None)
            self._unwatched.discard(fd)
            self._over.discard(source.id)
            if self._sources.pop(fd, None) is not None:
                # Refused, it is gone all the same once the master is closed.
                with contextlib.suppress(OSError):
                    self._readiness.remove(fd)
        source.on_hangup()


def _map_note(fd: int) -> mmap.mmap:
    return mmap.mmap(fd, NOTE_BYTES)


def _state(fd: int) -> int:
    """Return what poll(2) says of a descriptor now; 0 is nothing, or that it cannot say."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    try:
        return poller.poll(0)[0][1]
    except (OSError, IndexError):
        return 0


def splice_works() -> bool:
    """Try splice(2) from a PTY of our own to a pipe: old kernels and sandboxes refuse it."""
    fds: list[int] = []
    try:
        master, slave, _ = open_pty(24, 80)
        fds += (master, slave)
        read_end, write_end = open_pipe()
        fds += (read_end, write_end)
        os.write(slave, b"x")
        return move_to_pipe(master, write_end, 64) == 1
    except OSError as error:
        # No terminal is left, say: the first real one will tell.
        return error.errno not in NO_SPLICE
    finally:
        for fd in fds:
            os.close(fd)
