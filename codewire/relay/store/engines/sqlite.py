"""SQLite: any number of readers, and one writer that commits for all who wait (group commit).

WAL, so that readers wait for no writer; synchronous=FULL, so that what was confirmed outlives a
power cut. What is written runs in a native thread (io.wait.run_blocking): a slow fsync holds up
those who write, and no one else. One commit is in progress at a time; those who come meanwhile
share the next one.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from codewire.credentials.vault import Vault
from codewire.errors import OutOfThreads, StoreError, Unavailable
from codewire.files import open_regular
from codewire.io.wait import run_blocking, spawn
from codewire.relay.store.tx import Row, T, Tx, checked

log = logging.getLogger(__name__)

# `returning` came with 3.35.
MIN_VERSION = (3, 35, 0)
# Another process of ours (a backup, an import) may be writing.
BUSY_SECONDS = 5.0
# Before a file is tried again that another start has locked.
LOCKED_PAUSE_SECONDS = 0.02
# How long an end waits for the commits under way.
CLOSE_SECONDS = 30.0
# So many share a commit at most: the first of them waits for the last.
MAX_BATCH = 256
# So many wait at most; more than that is better told at once.
MAX_PENDING = 10_000
# Connections kept for later reads.
MAX_IDLE = 8


class SqliteTx:
    """A transaction on one connection."""

    __slots__ = ("_connection", "notices", "vault")

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        self._connection = connection
        self.vault = vault
        self.notices: list[str] = []

    def run(self, sql: str, *args: object) -> int:
        return self._connection.execute(sql, checked(args)).rowcount

    def one(self, sql: str, *args: object) -> Row | None:
        rows = self.all(sql, *args)
        return rows[0] if rows else None

    def all(self, sql: str, *args: object) -> list[Row]:
        # To the end: a statement that is not finished would hold up the commit.
        return self._connection.execute(sql, checked(args)).fetchall()

    def lock(self, *what: str) -> None:
        """Nothing to do: there is one writer."""

    def notify(self, network_id: str) -> None:
        self.notices.append(network_id)


class _Job:
    """One function that waits for its commit."""

    __slots__ = ("done", "error", "fn", "notices", "result")

    def __init__(self, fn: Callable[[Tx], Any]) -> None:
        self.fn = fn
        self.done = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None
        self.notices: list[str] = []


class Sqlite:
    """The database in one file. Any greenlet or thread may call."""

    kind = "sqlite"
    types = {"text": "text", "blob": "blob", "serial": "integer primary key autoincrement"}

    def __init__(self, path: str, vault: Vault, on_events: Callable[[str], None]) -> None:
        """Open the file, mode 0600, or make it. Raises StoreError."""
        if sqlite3.sqlite_version_info < MIN_VERSION:
            raise StoreError(
                f"this Python has SQLite {sqlite3.sqlite_version}, a relay needs 3.35 or newer: "
                "take a newer Python, or PostgreSQL (--database-url)"
            )
        self.path = path
        self._vault = vault
        self._on_events = on_events
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._pending: list[_Job] = []
        self._is_committing = self._is_closed = False
        # Set while no commit is in progress.
        self._at_rest = threading.Event()
        self._at_rest.set()
        self._file = _make_private(path)
        with _translated(path):
            self._writer = self._connect()

    def read(self, fn: Callable[[Tx], T]) -> T:
        with _translated(self.path):
            with self._lock:
                if self._is_closed:
                    raise Unavailable("the relay is shutting down")
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self._connect()
                connection.execute("pragma query_only = on")
            try:
                connection.execute("begin")
                return fn(SqliteTx(connection, self._vault))
            finally:
                self._put_back(connection)

    def _put_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("rollback")
        with self._lock:
            if not self._is_closed and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def write(self, fn: Callable[[Tx], T], seconds: float) -> T:
        job = _Job(fn)
        self._submit(job)
        if not job.done.wait(seconds):
            raise Unavailable(
                f"the disk of {self.path} has not confirmed a write for {seconds:.0f} s"
            )
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def _submit(self, job: _Job) -> None:
        with self._lock:
            if self._is_closed:
                raise Unavailable("the relay is shutting down")
            if len(self._pending) >= MAX_PENDING:
                raise Unavailable(f"{MAX_PENDING} writes wait for the disk of {self.path}")
            self._pending.append(job)
            is_first = not self._is_committing
            if is_first:
                self._is_committing = True
                self._at_rest.clear()
        if is_first:
            try:
                spawn(self._commit_all)
            except OutOfThreads:
                self._commit_all()

    def _commit_all(self) -> None:
        """Commit batch after batch until nobody waits."""
        try:
            while batch := self._next_batch():
                self._finish(batch)
        except BaseException:
            # Whoever writes next begins anew, with those who still wait.
            self._rest()
            raise

    def _finish(self, batch: list[_Job]) -> None:
        try:
            run_blocking(self._commit, batch)
        except Exception as error:  # noqa: BLE001 - told to those who wait
            _fail(batch, error)
        for job in batch:
            job.done.set()
        for network_id in {name for job in batch for name in job.notices}:
            try:
                self._on_events(network_id)
            except Exception:
                log.exception("telling of events in network %r failed", network_id)

    def _rest(self) -> None:
        self._is_committing = False
        self._at_rest.set()

    def _next_batch(self) -> list[_Job]:
        with self._lock:
            batch = self._pending[:MAX_BATCH]
            del self._pending[:MAX_BATCH]
            if not batch:
                self._rest()
        return batch

    def _commit(self, batch: list[_Job]) -> None:
        """Run in a native thread: nothing here may touch a lock or the event loop."""
        connection = self._writer
        try:
            self._check_file()
            connection.execute("begin immediate")
            for job in batch:
                self._run(job)
                if not connection.in_transaction:
                    # SQLite itself gave everything up (lang_transaction): a full disk.
                    raise sqlite3.OperationalError(str(job.error))
            connection.execute("commit")
        except Exception as error:  # noqa: BLE001 - told to those who wait
            if connection.in_transaction:
                connection.execute("rollback")
            _fail(batch, _translate(error, self.path))

    def _check_file(self) -> None:
        """Raises StoreError where the file is gone or another: what is confirmed would be lost."""
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise StoreError(
                f"{self.path}: {error.strerror}: stop the relay, restore it"
            ) from error
        if (found.st_dev, found.st_ino) != self._file:
            raise StoreError(f"{self.path} was replaced while the relay runs: start it anew")

    def _run(self, job: _Job) -> None:
        """Run one job; what it raises undoes its own part alone."""
        connection = self._writer
        tx = SqliteTx(connection, self._vault)
        connection.execute("savepoint job")
        try:
            job.result = job.fn(tx)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            job.error = _translate(error, self.path)
            if connection.in_transaction:
                connection.execute("rollback to job")
                connection.execute("release job")
        else:
            connection.execute("release job")
            job.notices = tx.notices

    def backup(self, path: str) -> None:
        """Write a copy to a new file, mode 0600. Blocks other greenlets not at all."""
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(f"backup to {path}: {error.strerror}") from error
        try:
            run_blocking(self._vacuum_into, path)
        except BaseException:
            os.unlink(path)
            raise

    def _vacuum_into(self, path: str) -> None:
        # VACUUM INTO takes an empty file; the mode it has stays.
        with _translated(path):
            connection = self._connect()
            try:
                connection.execute("vacuum into ?", (path,))
            finally:
                connection.close()
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            raise StoreError(f"backup to {path}: {error.strerror}") from error
        finally:
            os.close(fd)

    def listen(self) -> None:
        """Nothing to do: whoever writes is this process."""

    def close(self) -> None:
        """Take no more writes, commit those that wait, close. Idempotent."""
        with self._lock:
            is_closed, self._is_closed = self._is_closed, True
        if is_closed:
            return
        self._at_rest.wait(CLOSE_SECONDS)
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in [*idle, self._writer]:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            mode = _enter_wal(connection)
            if mode != "wal":
                raise StoreError(f"{self.path}: its file system has no shared memory for SQLite")
            connection.execute("pragma synchronous = full")
        except BaseException:
            connection.close()
            raise
        return connection


def _enter_wal(connection: sqlite3.Connection) -> str:
    """Return the journal mode after asking for WAL: of several that make the file at a time, all
    but one are told that it is locked, at once and whatever time-out they have."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return str(connection.execute("pragma journal_mode = wal").fetchone()[0])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(LOCKED_PAUSE_SECONDS)


def _make_private(path: str) -> tuple[int, int]:
    """Make the file, for its owner alone; SQLite gives -wal and -shm the same mode.

    Returns device and inode.
    """
    try:
        if not os.path.lexists(path):
            os.close(open_regular(path, os.O_RDWR | os.O_CREAT))
        elif not stat.S_ISREG(os.stat(path).st_mode):
            raise StoreError(f"{path} is no regular file")
        elif os.stat(path).st_mode & 0o077:
            os.chmod(path, 0o600)
        found = os.stat(path)
    except OSError as error:
        raise StoreError(f"opening {path}: {error.strerror}") from error
    return found.st_dev, found.st_ino


def _fail(batch: list[_Job], error: Exception) -> None:
    """Tell everybody whose part would have been committed."""
    for job in batch:
        job.notices = []
        if job.error is None:
            job.error = error


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, path) from error


def _translate(error: Exception, path: str) -> Exception:
    """Return an error of ours for one of SQLite's; others as they are."""
    if isinstance(error, sqlite3.OperationalError):
        return Unavailable(f"database {path}: {error}")
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.IntegrityError):
        return StoreError(f"database {path}: {error}; restore a backup (cw relay backup)")
    return error
