"""A worker's start, item by item: what cannot be used costs itself, and no live session."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.disk.journal import Journal
from codewire.keeper.workerside.custody import Kept
from codewire.output.opening import reopen_log
from codewire.paths import DataDir
from codewire.session import restoring
from codewire.session.records.record import Record, Status
from codewire.session.records.store import Store
from codewire.session.registry import Registry
from codewire.session.restoring import Restorer
from codewire.session.session import Session
from codewire.wire.exits import Exited

LIMIT = 1 << 20


class Drain:
    """Takes masters, and hands over what the last worker had in the pipe."""

    def __init__(self) -> None:
        self.added: list[int] = []
        self.waiting = (0, 0)
        self.flushed: list[int] = []

    def add(self, session: Session, *, is_over: bool) -> None:
        assert is_over == (not session.is_running())
        self.added.append(session.id)

    def pending(self) -> tuple[int, int]:
        return self.waiting

    def flush_pending(self, output: Any, count: int) -> None:
        self.flushed.append(count)


class Start:
    """One worker's start in a data directory."""

    def __init__(self, root: Path) -> None:
        self.paths = DataDir(str(root))
        self.registry = Registry(self.paths)
        self.journal = Journal(self.paths.sessions_journal)
        self.saved: list[Any] = []
        self.store = Store(
            self.paths.sessions_json, self.journal, self.registry.records, self.saved.append
        )
        self.drain: Any = Drain()
        self.exits: list[int] = []
        self.killed: list[Session] = []
        self.fails: list[str] = []

    def make(self, record: Record) -> Session:
        directory = self.paths.session(record.id)
        files = [os.path.join(directory, name) for name in ("output.log", "events.jsonl")]
        return Session(record, *files)

    def open_terminal(self, session: Session) -> None:
        if session.log_path in self.fails:
            raise OSError(30, "Read-only file system")
        session.open_log(LIMIT, is_restored=True)

    def run(self, kept: Sequence[Kept] = ()) -> None:
        Restorer(
            self.paths,
            self.registry,
            self.store,
            self.journal,
            self.drain,
            make=self.make,
            open_terminal=self.open_terminal,
            on_exit=lambda number, how: self.exits.append(number),
            kill=self.killed.extend,
        ).run(kept)
        self.store.save()


def kept(number: int, counted: int = 0, meta: Any = None, **fields: Any) -> Kept:
    record = Record(number, ["cat"], "/", 5, counted=counted, **fields)
    # No master is read or written here: any descriptor number will do.
    return Kept(number, 100 + number, record.to_json() if meta is None else meta, None, 999)


def log_file(start: Start, number: int, data: bytes = b"text") -> Path:
    path = Path(start.paths.session(number), "output.log")
    os.makedirs(path.parent, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("damage", ["directory gone", "log gone", "log a directory", "fifo"])
def test_a_live_session_gets_a_new_log(tmp_path: Path, damage: str) -> None:
    """Offsets go on: what was printed before is a gap (design, P1)."""
    start = Start(tmp_path)
    path = log_file(start, 1)
    log_file(start, 2)
    if damage == "directory gone":
        shutil.rmtree(path.parent)
    else:
        path.unlink()
    if damage == "log a directory":
        path.mkdir()
    elif damage == "fifo":
        os.mkfifo(path)
    start.run([kept(1, counted=10), kept(2, counted=4)])
    assert start.drain.added == [1, 2]
    output = start.registry.get(1).log
    assert output.end == 10
    output.take_bytes(b"more")
    assert output.read(0, 100)[1:] == (b"more", 10)
    assert len(list(path.parent.glob("*.corrupt.*"))) == (damage in ("log a directory", "fifo"))
    for number in (1, 2):
        start.registry.get(number).close_log()


def test_a_log_that_cannot_be_looked_at_now_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short of memory, a look says nothing of what is there."""
    start = Start(tmp_path)
    path = log_file(start, 1)
    failures = [errno.ENOMEM, errno.ENOMEM, errno.EIO]

    def refuse(look: str) -> Any:
        if failures:
            number = failures.pop(0)
            raise OSError(number, os.strerror(number))
        return os.stat(look)

    shortage = SimpleNamespace(**{**vars(os), "stat": refuse})
    monkeypatch.setattr(restoring, "os", shortage)
    start.run([kept(1, counted=4)])
    assert not failures and not list(path.parent.glob("*.corrupt.*"))
    assert start.registry.get(1).log.read(0, 100).data == b"text"
    start.registry.get(1).close_log()


def test_a_directory_that_cannot_be_looked_at_now_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """os.makedirs then says that something else is there."""

    def refuse(path: str, mode: int = 0, exist_ok: bool = False) -> None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    sessions = tmp_path / "sessions"
    sessions.mkdir()
    output = sessions / "output.log"
    output.write_bytes(b"text")
    monkeypatch.setattr(os, "makedirs", refuse)
    restoring.make_directory(str(sessions))
    assert os.listdir(tmp_path) == ["sessions"]
    log = reopen_log(str(output), 0, [], 4)
    log.take_bytes(b" more")
    assert log.read(0, 100).data == b"text more"
    log.release()


def test_a_live_session_whose_log_cannot_be_opened_at_all(tmp_path: Path) -> None:
    """It is listed, and it can be killed; the others go on."""
    start = Start(tmp_path)
    start.fails.append(str(log_file(start, 1)))
    log_file(start, 2)
    start.run([kept(1, counted=4), kept(2)])
    assert [session.is_running() for session in start.registry.all()] == [True, True]
    assert start.drain.added == [2]
    start.registry.get(2).close_log()


@pytest.mark.parametrize("meta", [5, {}, {"id": "x"}, {"id": 1, "status": 7}, {"id": 1e400}])
def test_a_damaged_copy_of_the_keeper(tmp_path: Path, meta: Any) -> None:
    start = Start(tmp_path)
    log_file(start, 1)
    start.run([kept(1, meta=meta)])
    session = start.registry.get(1)
    assert session.is_running() and session.record.pid == 101
    session.close_log()


def test_ends_and_kills_that_came_while_there_was_no_worker(tmp_path: Path) -> None:
    start = Start(tmp_path)
    entries = [kept(n) for n in (1, 2)]
    entries[0].exit = Exited(3)
    for number in (1, 2):
        log_file(start, number)
    start.drain.waiting = (2, 17)
    start.run(entries)
    assert start.exits == [1] and start.drain.flushed == [17]
    for number in (1, 2):
        start.registry.get(number).close_log()


def test_what_ran_and_is_not_kept_is_lost(tmp_path: Path) -> None:
    first = Start(tmp_path)
    log_file(first, 1)
    record = Record(1, ["cat"], "/", 5, name="n")
    older = Record(2, ["cat"], "/", 6, end_number=5, end_reason="exited", exit_code=0)
    older.status = Status.COMPLETED
    for each in (record, older):
        first.registry.add(first.make(each))
        first.store.put(each)
    second = Start(tmp_path)
    second.run()
    found = second.registry.get(1).record
    assert (found.status_text(), found.end_reason, found.name) == ("completed (-1)", "lost", "n")
    assert second.saved[-1][1]["status"] == "completed (-1)"
    assert found.end_number == 6, "nothing ended later"
    third = Start(tmp_path)
    third.run()
    assert third.registry.get(1).record.end_reason == "lost"
    assert third.registry.reserve("") == 3


@pytest.mark.parametrize("kind", ["file", "fifo", "link"])
def test_sessions_is_no_directory(tmp_path: Path, kind: str) -> None:
    start = Start(tmp_path)
    path = Path(start.paths.sessions)
    if kind == "file":
        path.write_bytes(b"somebody's")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "not mounted")
    start.run()
    assert start.registry.all() == []
    assert path.is_dir() or kind == "link"
    assert path.is_symlink() == (kind == "link"), "a target may come back"


def test_a_file_system_that_is_read_only(tmp_path: Path) -> None:
    """What stands there is served all the same."""
    if os.getuid() != 0:
        pytest.skip("needs root: mount(8)")
    root = tmp_path / "data"
    root.mkdir()
    mount(root, "-t", "tmpfs", "tmpfs")
    try:
        first = Start(root)
        log_file(first, 1)
        first.run([kept(1)])
        first.store.close()
        first.registry.get(1).close_log()
        path = Path(first.paths.sessions_json)
        path.write_bytes(path.read_bytes()[:-3])
        mount(root, "-o", "remount,ro")
        second = Start(root)
        second.run()
        assert [s.id for s in second.registry.all()] == [1]
        assert second.store.unsaved() == {1}
        third = Start(root)
        third.run([kept(1, counted=4)])
        assert third.registry.get(1).is_running()
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True, timeout=10)


def mount(root: Path, *options: str) -> None:
    subprocess.run(["mount", *options, str(root)], check=True, timeout=10)
