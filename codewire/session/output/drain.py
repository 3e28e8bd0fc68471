"""The drain: moves what PTYs print into their logs. The only reader of every master (design 4).

One loop for all sessions: an edge-triggered epoll says which master has bytes, each ready one gets
a bounded turn. Bytes go master → pipe → log with splice(2); the keeper holds the pipe, so what a
killed worker had in flight is flushed by the next one, which finds the session in the note.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import select
import struct
import threading
import time
from collections import deque
from typing import Protocol

from codewire.io.ptys import open_pty, unread_bytes
from codewire.io.wait import give_way, wait_readable
from codewire.session.output.log import OutputLog

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
READ_EVENTS = select.EPOLLIN | select.EPOLLET
BOTH_EVENTS = READ_EVENTS | select.EPOLLOUT


class Source(Protocol):
    """What the drain needs of a session."""

    id: int
    master: int
    has_exited: bool

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
    """The loop. `run` belongs to one greenlet or thread; the rest may be called from any."""

    def __init__(self, pipe_read: int, pipe_write: int, note_fd: int) -> None:
        self._pipe_read = pipe_read
        self._pipe_write = pipe_write
        self._note = mmap.mmap(note_fd, 16)
        self._rounds = _pipe_slots(pipe_write) // 2
        self._epoll = select.epoll()
        self._nudge_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._nudge_fd, select.EPOLLIN)
        self._nudged: deque[Source] = deque()
        self._sources: dict[int, Source] = {}
        self._ready: dict[int, Source] = {}
        self._aftermath: dict[int, int] = {}
        self._typed_at = -TYPING_SECONDS
        # Whose echo the floods (those that had more to say after their turn) wait for, and till
        # when: 0 for none. Set anew only when they had a turn in between.
        self._typed_into: Source | None = None
        self._echo_by = 0.0
        self._floods: frozenset[int] = frozenset()
        self._splice = splice_works()
        self._lock = threading.Lock()

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

    def add(self, source: Source) -> None:
        """Start reading `source.master`."""
        with self._lock:
            self._sources[source.master] = source
            self._epoll.register(source.master, READ_EVENTS)

    def exited(self, source: Source) -> None:
        """Note that the child is gone: once its output is read, `on_drained` is called."""
        self._nudged.append(source)
        os.eventfd_write(self._nudge_fd, 1)

    def watch_writable(self, source: Source, wanted: bool) -> None:
        """Call `source.on_writable` when its master takes input again."""
        with self._lock:
            if self._sources.get(source.master) is source:
                self._epoll.modify(source.master, BOTH_EVENTS if wanted else READ_EVENTS)

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
        epoll_fd = self._epoll.fileno()
        while True:
            if not self._ready:
                wait_readable(epoll_fd)
            for fd, events in self._epoll.poll(0):
                self._collect(fd, events)
            rest = self._round()
            if rest > 0:
                wait_readable(epoll_fd, rest)
            elif self._ready:
                give_way()

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
        if fd == self._nudge_fd:
            os.eventfd_read(fd)
            while self._nudged:
                source = self._nudged.popleft()
                # Set here, not by the caller: until `on_drained` has run, a hangup is no end.
                source.has_exited = True
                self._aftermath[source.id] = 0
                self._ready[source.master] = source
            return
        source_or_none = self._sources.get(fd)
        if source_or_none is not None:
            self._ready[fd] = source_or_none
            if events & select.EPOLLOUT:
                source_or_none.on_writable()

    def _turn_safely(self, fd: int, source: Source) -> bool:
        try:
            return self._turn(fd, source)
        except Exception:
            log.exception("session %d: drain failed", source.id)
            return False

    def _turn(self, fd: int, source: Source) -> bool:
        """Move one turn's bytes; return whether more may be waiting."""
        cap = TYPING_CAP if self.is_typing() else FLOOD_CAP
        moved, end = self._move(fd, source, cap) if fd >= 0 else (0, errno.EIO)
        if source.id in self._aftermath:
            self._aftermath[source.id] += moved
            if end or self._aftermath[source.id] >= AFTERMATH_BYTES:
                del self._aftermath[source.id]
                source.on_drained()
        if end == errno.EIO and source.has_exited and source.id not in self._aftermath:
            self._drop(fd, source)
        return not end

    def _move(self, fd: int, source: Source, cap: int) -> tuple[int, int]:
        """Return (bytes moved, 0 or why the master has no more now: EAGAIN or EIO)."""
        if not self._splice:
            return self._copy(fd, source, cap)
        self._note[: NOTE.size] = NOTE.pack(source.id)
        moved, end = 0, 0
        try:
            for _ in range(self._rounds):
                count = os.splice(fd, self._pipe_write, cap - moved)
                moved += count
                if not count or moved >= cap:
                    end = 0 if count else errno.EIO
                    break
        except OSError as error:
            end = errno.EAGAIN if error.errno == errno.EAGAIN else errno.EIO
        if moved:
            source.log.take_pipe(self._pipe_read, moved)
        return moved, end

    def _copy(self, fd: int, source: Source, cap: int) -> tuple[int, int]:
        try:
            data = os.read(fd, cap)
        except OSError as error:
            return 0, errno.EAGAIN if error.errno == errno.EAGAIN else errno.EIO
        if not data:
            return 0, errno.EIO
        source.log.take_bytes(data)
        return len(data), 0

    def _drop(self, fd: int, source: Source) -> None:
        with self._lock:
            if self._sources.pop(fd, None) is not None:
                self._epoll.unregister(fd)
        source.on_hangup()


def _pipe_slots(pipe: int) -> int:
    """Enlarge the pipe if we may; return how many reads of a tty (a page each) it can hold."""
    set_size, get_size = 1031, 1032
    try:
        fcntl.fcntl(pipe, set_size, 256 * 1024)
    except OSError:
        pass
    return int(fcntl.fcntl(pipe, get_size)) // 4096


def splice_works() -> bool:
    """Try splice(2) from a PTY of our own to a pipe: old kernels and sandboxes refuse it."""
    if not hasattr(os, "splice"):
        return False
    master, slave, _ = open_pty(24, 80)
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.write(slave, b"x")
        return os.splice(master, write_end, 64) == 1
    except OSError:
        return False
    finally:
        for fd in (master, slave, read_end, write_end):
            os.close(fd)
