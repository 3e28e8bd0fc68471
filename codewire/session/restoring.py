"""Bringing sessions back at a worker's start: records from the disk, processes from the keeper.

Nothing here raises: one session whose record, directory or log cannot be used costs only itself,
and a live one not even that: it gets a new log where the old one is no file any more.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence

from codewire.disk.filing import move_aside
from codewire.disk.journal import Journal
from codewire.io.transient import persist
from codewire.keeper.workerside.custody import Kept
from codewire.output.drain import Drain
from codewire.paths import DataDir
from codewire.session.life import Life, State
from codewire.session.records.archive import read_archive
from codewire.session.records.record import Record, Status, record_from_json
from codewire.session.records.store import Store
from codewire.session.registry import Registry
from codewire.session.session import Session
from codewire.wire.exits import Exit

log = logging.getLogger(__name__)


class Restorer:
    """One worker's start. What it needs of the lifecycle it gets as functions."""

    def __init__(
        self,
        paths: DataDir,
        registry: Registry,
        store: Store,
        journal: Journal,
        drain: Drain,
        *,
        make: Callable[[Record], Session],
        open_terminal: Callable[[Session], None],
        on_exit: Callable[[int, Exit], None],
        kill: Callable[[Sequence[Session]], object],
    ) -> None:
        self._paths = paths
        self._registry = registry
        self._store = store
        self._journal = journal
        self._drain = drain
        self._make = make
        self._open_terminal = open_terminal
        self._on_exit = on_exit
        self._kill = kill

    def run(self, kept: Sequence[Kept]) -> None:
        """Bring back what was; `kept` is what the keeper has. Blocks for the disk."""
        make_directory(self._paths.sessions)
        alive = {entry.id for entry in kept}
        found = read_archive(self._paths, self._journal, alive)
        self._store.begin(found.records.values(), found.next_id, is_whole=found.is_whole)
        self._registry.skip_to(found.next_id)
        for number in found.taken_up:
            log.warning("session %d is known from its own directory only", number)
            self._store.changed(number)
        records = [*found.records.values(), *found.taken_up.values()]
        # Those that were lost with the node ended last.
        for record in sorted(records, key=lambda r: r.status is Status.RUNNING):
            if record.id not in alive:
                self._restore_finished(record)
        sessions = [self._restore_kept(entry, found.records.get(entry.id)) for entry in kept]
        self._flush_pending()
        for session, entry in zip(sessions, kept, strict=True):
            self._resume(session, entry)

    def _restore_finished(self, record: Record) -> None:
        session = self._make(record)
        if record.status is Status.RUNNING:
            # It died with the node: how is unknown, unless the exit had been noted.
            has_code = record.exit_code is not None and record.exit_code >= 0
            record.end_reason = record.end_reason or ("exited" if has_code else "lost")
            record.is_restorable = not (has_code or record.kill_requested or record.is_final)
            record.completed_ns = record.completed_ns or time.time_ns()
            record.status = Status.COMPLETED
            self._registry.count_end(session)
            self._store.changed(record.id)
        session.life = Life(State.CLOSED)
        self._registry.add(session)

    def _restore_kept(self, entry: Kept, on_disk: Record | None) -> Session:
        """The keeper's copy is the newer one; only the counters may be on disk alone."""
        record = _kept_record(entry, on_disk)
        record.pid = entry.pid
        if on_disk is not None and on_disk.counted > record.counted:
            record.counted, record.lines = on_disk.counted, on_disk.lines
        session = self._make(record)
        session.master = entry.master
        session.tells_stops = entry.halted is not None
        session.life = Life(_state(record, entry))
        if entry.master >= 0:
            self._open_somehow(session)
        self._registry.add(session)
        return session

    def _flush_pending(self) -> None:
        """Write what the last worker left in the drain's pipe to the log it belongs to."""
        session_id, size = self._drain.pending()
        session = self._registry.find(session_id)
        output = session.live_log if session is not None else None
        if size and output is not None:
            self._drain.flush_pending(output, size)

    def _resume(self, session: Session, entry: Kept) -> None:
        if session.master >= 0 and session.live_log is not None:
            self._drain.add(session, is_over=not session.is_running())
        # The files may lack what the keeper knew; if not, nothing is written.
        self._store.changed(session.id)
        if not session.is_running():
            return
        if entry.exit is not None:
            self._on_exit(session.id, entry.exit)
        elif session.record.kill_requested:
            self._kill([session])

    def _open_somehow(self, session: Session) -> None:
        """Open the terminal of a live session; what is no file makes room for a new log.

        Without one it is listed all the same, and can be killed.
        """
        if not _may_be(session.log_path, stat.S_ISREG):
            move_aside(session.log_path, "no log")
        try:
            self._open_terminal(session)
        except OSError as error:
            log.error("session %d: its terminal cannot be used: %s", session.id, error.strerror)


def _may_be(path: str, is_kind: Callable[[int], bool]) -> bool:
    """Say no of what is there and surely of another kind: os.path says so of whatever fails."""
    try:
        persist(os.lstat, path)
    except OSError:
        return True
    try:
        return is_kind(persist(os.stat, path).st_mode)
    except OSError as error:
        # A link that leads nowhere, or round in a circle.
        return error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)


def _state(record: Record, entry: Kept) -> State:
    """Return where in its life a session is that the keeper has; its end may be told next."""
    if record.status is not Status.RUNNING:
        return State.ENDED if entry.master >= 0 else State.CLOSED
    if record.kill_requested:
        return State.KILLING
    return State.STOPPED if entry.halted else State.RUNNING


def _kept_record(entry: Kept, on_disk: Record | None) -> Record:
    try:
        return record_from_json(entry.meta)
    except (ValueError, TypeError, OverflowError) as error:
        log.error("session %d: the keeper's copy of its record is damaged: %s", entry.id, error)
        return on_disk or Record(entry.id, [], "", time.time_ns())


def make_directory(path: str) -> None:
    """Make a directory (mode 0700); a file in its place is moved aside. Raises nothing."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except FileExistsError:
        # A symlink is somebody's wish: its target may come back.
        is_wanted = os.path.islink(path) or _may_be(path, stat.S_ISDIR)
        if not is_wanted and move_aside(path, "not a directory"):
            make_directory(path)
    except OSError as error:
        log.error("%s cannot be made: %s", path, error.strerror)
