"""Writing records down: what counts as saved, and what the files say whoever is killed when."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewire.disk.filing import sync_file
from codewire.disk.journal import Journal
from codewire.paths import DataDir
from codewire.session.records.archive import Found, read_archive
from codewire.session.records.record import Record, Status
from codewire.session.records.store import Store
from tests.unit.session.records import ended, running


class Disk:
    """A data directory with a store; `during_sync` is called while the journal is synced."""

    def __init__(self, root: Path) -> None:
        self.paths = DataDir(str(root))
        os.makedirs(self.paths.sessions, exist_ok=True)
        self.records: dict[int, Record] = {}
        self.saved: list[dict[int, Any]] = []
        self.synced: list[str] = []
        self.during_sync: Callable[[], None] = lambda: None
        self.journal = Journal(self.paths.sessions_journal, self._sync)
        self.store = Store(
            self.paths.sessions_json, self.journal, lambda: self.records.values(), self.saved.append
        )

    def _sync(self, path: str) -> None:
        self.during_sync()
        sync_file(path)
        self.synced.append(path)

    def add(self, record: Record) -> Record:
        self.records[record.id] = record
        os.makedirs(self.paths.session(record.id), exist_ok=True)
        Path(self.paths.session(record.id), "output.log").write_bytes(b"text")
        self.store.put(record)
        return record

    def found(self) -> Found:
        return read_archive(self.paths, Journal(self.paths.sessions_journal), set())

    def again(self) -> Disk:
        """Return what the next worker makes of it."""
        disk = Disk(Path(self.paths.root))
        found = read_archive(disk.paths, disk.journal, set())
        disk.records = {**found.records, **found.taken_up}
        disk.store.begin(found.records.values(), found.next_id, is_whole=found.is_whole)
        return disk

    def snapshot(self) -> list[Any]:
        with open(self.paths.sessions_json, encoding="utf-8") as file:
            values = json.load(file)
        assert isinstance(values, list)
        return values


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def end(record: Record, code: int) -> None:
    record.exit_code, record.end_reason = code, "exited"
    record.status = Status.COMPLETED


def test_what_is_saved_is_what_was_written(disk: Disk) -> None:
    """A session that ends while its old state is being synced is not saved as ended."""
    record = disk.add(running(1))

    def end_it() -> None:
        end(record, 7)
        disk.store.changed(1)

    disk.during_sync = end_it
    assert disk.store.save()
    assert [value["status"] for value in disk.saved[-1].values()] == ["running"]
    assert disk.store.unsaved() == {1}
    disk.during_sync = lambda: None
    assert disk.store.save()
    assert [value["status"] for value in disk.saved[-1].values()] == ["completed (7)"]
    assert disk.store.unsaved() == set()


def test_a_record_is_on_disk_before_it_is_synced(disk: Disk) -> None:
    disk.add(running(1, name="here"))
    assert disk.synced == []
    assert disk.found().records[1].name == "here"
    assert disk.store.unsaved() == {1}


def test_saved_is_synced(disk: Disk) -> None:
    disk.add(running(1))
    disk.store.save()
    assert disk.synced == [disk.paths.sessions_journal]


def test_a_sync_that_fails_leaves_everything_due(disk: Disk) -> None:
    def fail() -> None:
        raise OSError(5, "Input/output error")

    disk.add(running(1))
    disk.during_sync = fail
    assert not disk.store.save()
    assert (disk.saved, disk.store.unsaved()) == ([], {1})
    disk.during_sync = lambda: None
    assert disk.store.save() and disk.store.unsaved() == set()


def test_ten_launches_cost_their_own_bytes(disk: Disk) -> None:
    """Not those of 500 others, as when sessions.json was written whole each time."""
    for number in range(1, 501):
        disk.add(ended(number, result="x" * 10_000))
    disk.store.close()
    before = os.stat(disk.paths.sessions_json)
    for number in range(501, 511):
        disk.add(running(number))
        disk.store.save()
        end(disk.records[number], 0)
        disk.store.put(disk.records[number])
        disk.store.save()
    assert os.stat(disk.paths.sessions_json).st_mtime_ns == before.st_mtime_ns
    assert os.stat(disk.paths.sessions_journal).st_size < 20_000
    assert len(disk.found().records) == 510


def test_the_same_again_is_not_written_again(disk: Disk) -> None:
    disk.add(running(1))
    disk.store.save()
    size = os.stat(disk.paths.sessions_journal).st_size
    disk.store.changed(1)
    disk.store.save()
    assert os.stat(disk.paths.sessions_journal).st_size == size
    assert list(disk.saved[-1]) == [1]


def test_the_snapshot_is_todays_format(disk: Disk) -> None:
    record = disk.add(ended(1, tags=["a", "b"], extra={"theirs": {"x": [1, "é"]}}))
    disk.store.close()
    assert disk.snapshot() == [json.loads(json.dumps(record.to_json()))]
    text = Path(disk.paths.sessions_json).read_text(encoding="utf-8")
    assert text == json.dumps(disk.snapshot(), indent=2, ensure_ascii=False)
    assert os.stat(disk.paths.sessions_json).st_mode & 0o777 == 0o600


def test_a_dropped_session_stays_away_and_its_id_too(disk: Disk) -> None:
    disk.add(ended(1))
    disk.add(ended(2))
    disk.store.save()
    del disk.records[2]
    for path in Path(disk.paths.session(2)).iterdir():
        path.unlink()
    os.rmdir(disk.paths.session(2))
    disk.store.changed(2)
    disk.store.save()
    assert disk.saved[-1] == {2: None}
    for turn in range(3):
        found = disk.found()
        assert (sorted(found.records), found.taken_up, found.next_id) == ([1], {}, 3), turn
        disk = disk.again()
        disk.store.compact()


def test_a_directory_dropped_during_the_write_is_not_made_up_for(disk: Disk) -> None:
    record = disk.add(ended(1))

    def drop() -> None:
        disk.records.pop(record.id, None)

    disk.during_sync = drop
    disk.store.save()
    disk.store.file_own()
    assert not Path(disk.paths.session(1), "session.json").exists()


def test_a_session_has_a_copy_of_its_record(disk: Disk) -> None:
    record = disk.add(ended(1, 9, result="x" * 1000))
    disk.store.close()
    path = Path(disk.paths.session(1), "session.json")
    assert json.loads(path.read_text()) == json.loads(json.dumps(record.to_json()))
    path.unlink()
    again = disk.again()
    again.store.file_own()
    assert path.exists(), "one of an earlier release had none"
    record.result = ""
    disk.store.changed(1)
    disk.store.close()
    assert json.loads(path.read_text()) == json.loads(json.dumps(record.to_json()))


def test_an_old_journal_over_a_newer_snapshot_changes_nothing(disk: Disk) -> None:
    """Killed between the two writes: replaying what the snapshot has already does no harm."""
    record = disk.add(running(1))
    disk.add(ended(2))
    disk.store.save()
    first = Path(disk.paths.sessions_journal).read_bytes()
    end(record, 3)
    disk.store.put(record)
    disk.add(running(3))
    disk.store.close()
    wanted = disk.snapshot()
    Path(disk.paths.sessions_journal).write_bytes(first)
    for _ in range(2):
        found = disk.found()
        assert [found.records[n].to_json() for n in sorted(found.records)] == [
            Record.to_json(r) for r in disk.records.values()
        ]
        disk = disk.again()
    assert disk.snapshot() == wanted


def test_what_comes_during_the_snapshot_is_kept(disk: Disk) -> None:
    disk.add(ended(1))
    disk.store.save()
    disk.journal.begin(list)
    disk.add(running(2))
    assert disk.journal.restart([{"base": "other", "next_id": 2}])
    found = disk.found()
    assert 2 in found.records and found.next_id == 3


def test_an_older_release_that_wrote_the_snapshot_wins(disk: Disk) -> None:
    """It knows nothing of the journal: what it says of a session counts, what it lacks stays."""
    record = disk.add(running(1))
    disk.add(running(2))
    disk.store.close()
    disk.store.put(disk.add(running(3)))
    older = record.to_json()
    end(record, 4)
    Path(disk.paths.sessions_json).write_text(json.dumps([record.to_json()]))
    found = disk.found()
    assert not found.is_whole
    assert found.records[1].exit_code == 4
    assert older["status"] == "running"
    assert 3 in found.records, "only the journal has it, and it has a directory"
    again = disk.again()
    assert again.found().is_whole


def test_a_snapshot_that_cannot_be_written_costs_nothing(disk: Disk) -> None:
    Path(f"{disk.paths.sessions_json}.new").mkdir()
    disk.add(ended(1, 9))
    assert disk.store.save()
    assert not disk.store.compact()
    disk.add(running(2))
    assert disk.store.save() and sorted(disk.found().records) == [1, 2]
    os.rmdir(f"{disk.paths.sessions_json}.new")
    disk.store.close()
    assert [value["id"] for value in disk.snapshot()] == [1, 2]


def test_a_journal_that_cannot_be_written_keeps_everything_due(disk: Disk) -> None:
    disk.store.save()
    directory = Path(disk.paths.root)
    disk.journal.path = str(directory / "missing" / "journal")
    disk.add(ended(1, 9))
    assert not disk.store.save()
    assert (disk.store.unsaved(), disk.saved[1:]) == ({1}, [])
