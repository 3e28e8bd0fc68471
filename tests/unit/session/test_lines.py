"""Lines for the end of a file: in order, all or none, and nobody waits who need not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewire.disk import lines as module
from codewire.disk.filing import append_data, sync_file
from codewire.disk.journal import Journal
from codewire.disk.lines import DOUBTFUL, Lines
from codewire.disk.scribe import Scribe
from tests.processes import wait_until


class Disk:
    """What writes; `hold` has it hang until `go_on`, `refuse` says which data it does not take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hangs = threading.Event()
        self._may_go = threading.Event()
        self._may_go.set()
        self.refuse: Callable[[bytes], bool] = lambda data: False
        self.written: list[bytes] = []
        monkeypatch.setattr(module, "append_data", self._append)

    def hold(self) -> None:
        self._may_go.clear()

    def go_on(self) -> None:
        self._may_go.set()

    def _append(self, path: str, data: bytes) -> int:
        self.hangs.set()
        assert self._may_go.wait(10)
        if self.refuse(data):
            raise OSError(28, "No space left on device")
        self.written.append(data)
        return append_data(path, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def start(call: Callable[..., object], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=call, args=args)
    thread.start()
    return thread


def test_lines_that_come_while_one_is_written_are_written_together(
    tmp_path: Path, disk: Disk
) -> None:
    """And synced together, in their order; adding waits for nobody, nor does writing for a sync."""
    synced: list[int] = []
    told: list[tuple[int, bool]] = []

    def sync(path: str) -> None:
        synced.append(len(told))
        if len(synced) == 1:
            wait_until(lambda: len(lines._unsynced) == 8, 30, "all have been written")

    lines = Lines(str(tmp_path / "f"), sync=sync)

    def add(number: int) -> module.Line:
        return lines.add(number, lambda is_written: told.append((number, is_written)))

    disk.hold()
    first = add(0)
    threads = [start(lines.commit, first)]
    assert disk.hangs.wait(10)
    rest = [add(number) for number in range(1, 9)]
    threads += [start(lines.commit, line) for line in reversed(rest)]
    assert told == [] and lines.waiting() == 8
    disk.go_on()
    for thread in threads:
        thread.join(10)
    assert all(line.is_synced for line in (first, *rest))
    assert [data.count(b"\n") for data in disk.written] == [1, 8] and len(synced) == 2, synced
    assert told == [(number, True) for number in range(9)]
    assert (tmp_path / "f").read_text() == "".join(f"{n}\n" for n in range(9))


def test_one_line_too_many_costs_no_other_one(tmp_path: Path, disk: Disk) -> None:
    lines = Lines(str(tmp_path / "f"))
    told: list[bool] = []
    disk.refuse = lambda data: b"22" in data
    added = [lines.add(number * 11, told.append) for number in range(4)]
    lines.write()
    assert [line.is_written for line in added] == told == [True, True, False, True]
    assert not lines.commit(added[2]) and lines.commit(added[3])


def test_a_sync_that_failed_is_not_made_up_for_by_the_next(tmp_path: Path) -> None:
    """fsync(2) says each loss once."""

    def fail(path: str) -> None:
        raise OSError(5, "Input/output error")

    lines = Lines(str(tmp_path / "f"), sync=fail)
    line = lines.add(1)
    assert not lines.commit(line) and line.is_written and line.state == DOUBTFUL
    lines._sync = sync_file
    assert not lines.commit(line)
    assert lines.commit(lines.add(2))


def test_what_is_written_already_is_synced_when_it_is_committed(tmp_path: Path) -> None:
    synced: list[str] = []
    lines = Lines(str(tmp_path / "f"), sync=synced.append)
    line = lines.add(1)
    lines.write()
    assert line.is_written and synced == []
    assert lines.commit(line) and lines.commit(line) and len(synced) == 1


@pytest.mark.parametrize("kind", ["directory", "fifo", "circle"])
def test_what_is_no_file_is_moved_aside_once(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "f"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    lines = Lines(str(path), 50)
    (tmp_path / "f.1").mkdir()
    for number in range(100):
        assert lines.commit(lines.add(number))
    assert path.stat().st_size <= 50 and (tmp_path / "f.1").is_file()
    assert len(list(tmp_path.glob("f.corrupt.*"))) == len(list(tmp_path.glob("f.1.c*"))) == 1
    assert len(caplog.records) == 2, "one line in the log for each"


def test_what_is_no_file_and_stays_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can move a root of a file system."""
    lines = Lines("/")
    for number in range(5):
        assert not lines.commit(lines.add(number))
    assert len(caplog.records) == 2, "that it cannot be moved, and that it cannot be written"
    lines.path = str(tmp_path / "g")
    assert lines.commit(lines.add(5))


def test_a_disk_that_refuses_is_said_once(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    lines = Lines(str(tmp_path / "f"))
    for refuses in (True, True, False, True):
        disk.refuse = lambda data, refuses=refuses: refuses  # type: ignore[misc]
        line = lines.add(1)
        lines.write()
        assert line.problem == ("No space left on device" if refuses else "")
    assert len(caplog.records) == 2


def test_nothing_is_written_after_the_end(tmp_path: Path) -> None:
    lines = Lines(str(tmp_path / "gone" / "f"))
    lines.end()
    told: list[bool] = []
    assert not lines.commit(lines.add(1, told.append)) and told == [False]


def test_the_scribe_writes_what_nobody_waits_for(tmp_path: Path, disk: Disk) -> None:
    """And keeps only so much of it while the disk hangs."""
    scribe = Scribe()
    lines = Lines(str(tmp_path / "f"))
    disk.hold()
    thread = threading.Thread(target=scribe.run, daemon=True)
    thread.start()
    for number in range(3 * module_limit()):
        scribe.add(lines, number)
    assert lines.waiting() <= module_limit()
    disk.go_on()
    wait_until(lambda: not lines.waiting() and not scribe._due, 30, "it is written")


def module_limit() -> int:
    from codewire.disk import scribe

    return scribe.MAX_WAITING


def test_a_file_is_replaced_while_others_append(tmp_path: Path) -> None:
    """Whoever is told that a line is on the disk finds it there afterwards."""
    journal = Journal(str(tmp_path / "j"), lambda path: None)
    for number in range(5):
        journal.commit(journal.append({"n": number}))
    seen: list[bool] = []

    def meanwhile() -> list[dict[str, Any]]:
        # The file as it is: nothing is under way.
        assert journal.waiting() == 0
        start(lambda: seen.append(journal.commit(journal.append({"n": 6})))).join(0.05)
        return [{"n": 4}]

    journal.shorten(meanwhile)
    wait_until(lambda: bool(seen), 30, "the line is written")
    lines: list[dict[str, Any]] = []
    Journal(str(tmp_path / "j")).replay(lines.append)
    assert seen == [True] and lines == [{"n": 4}, {"n": 6}]
    assert journal.size == 2 and journal.bytes == os.stat(journal.path).st_size
