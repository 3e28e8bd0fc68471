"""Journals: whole lines survive, whatever stands between them; nothing is lost while it shrinks."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from codewire.disk import journal as journals
from codewire.disk.filing import append_data, read_json, sync_file
from codewire.disk.journal import Journal
from codewire.disk.lines import Lines
from tests.processes import wait_until


def replayed(path: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    Journal(str(path)).replay(lines.append)
    return lines


def append(journal: Lines, value: dict[str, Any]) -> bool:
    """Add a line and have it written; say whether it is."""
    line = journal.add(value)
    journal.write()
    return line.is_written


@pytest.mark.parametrize(
    "damage",
    [b"\0\n", b"{\n", b"5\n", b"[]\n", b'{"x":1e999}\n', b'{"x":NaN}\n', b"[" * 10**5 + b"\n"],
)
def test_damaged_lines_are_left_out_and_kept_aside(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "j"
    data = b'{"n":1}\n' + damage + b'\n\n{"n":2}\n{"n":3'
    path.write_bytes(data)
    assert replayed(path) == [{"n": 1}, {"n": 2}]
    (aside,) = tmp_path.glob("j.corrupt.*")
    assert aside.read_bytes() == data


def test_a_line_cut_short_by_a_death_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"n":1}\n{"n":')
    journal = Journal(str(path))
    lines: list[dict[str, Any]] = []
    assert journal.replay(lines.append)
    assert append(journal, {"n": 2})
    assert replayed(path) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, AttributeError])
def test_what_the_owner_cannot_use_is_kept_aside(tmp_path: Path, error: type[Exception]) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    seen: list[int] = []

    def apply(line: dict[str, Any]) -> None:
        if line["n"] == 1:
            raise error("bad")
        seen.append(line["n"])

    assert not Journal(str(path)).replay(apply)
    assert seen == [2] and len(list(tmp_path.glob("j.corrupt.*"))) == 1


def test_lines_appended_while_it_shrinks_are_kept(tmp_path: Path) -> None:
    """Others append while the new file is synced; nobody's line is in the old one only."""
    path = str(tmp_path / "j")
    journal = Journal(path)
    for number in range(10):
        append(journal, {"n": number})

    def during() -> list[dict[str, Any]]:
        return [{"n": 9}]

    journal.begin(list)
    append(journal, {"n": 10})
    assert journal.restart(during())
    assert replayed(tmp_path / "j") == [{"n": 9}, {"n": 10}]
    assert journal.size == 2 and journal.bytes == os.stat(path).st_size


def test_shrinking_that_fails_leaves_the_file(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "j"))
    append(journal, {"n": 1})
    (tmp_path / "j.part.new").mkdir()
    journal.shorten(lambda: [])
    append(journal, {"n": 2})
    assert replayed(tmp_path / "j") == [{"n": 1}, {"n": 2}]


def test_it_is_not_shortened_at_every_line_when_that_fails(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "j"))
    append(journal, {"text": "x" * (journals.FEW_BYTES + 1)})
    assert journal.is_long(0, 0)
    (tmp_path / "j.part.new").mkdir()
    journal.shorten(lambda: [])
    assert not journal.is_long(0, 0)


def test_one_sync_serves_all_who_wait(tmp_path: Path) -> None:
    """And none is told before a sync that began after its line."""
    may_go, began = threading.Event(), threading.Event()
    calls: list[str] = []

    def slow(path: str) -> None:
        calls.append(path)
        began.set()
        assert may_go.wait(10)
        sync_file(path)

    journal = Journal(str(tmp_path / "j"), slow)
    append(journal, {"n": 0})
    threads = [threading.Thread(target=journal.sync) for _ in range(9)]
    threads[0].start()
    assert began.wait(10)
    for thread in threads[1:]:
        thread.start()
    # Nine who ask, and the first one's sync.
    wait_until(lambda: repr(journal._tickets) == "count(10)", 30, "all have asked")
    may_go.set()
    for thread in threads:
        thread.join(10)
    assert len(calls) == 2, "the first one, and one for those who came meanwhile"
    assert journal.sync() and len(calls) == 3


def test_a_file_with_a_budget(tmp_path: Path) -> None:
    """The oldest lines go, the last ones stay, and the newest is always there."""
    path = tmp_path / "f"
    file = Lines(str(path), 500)
    for number in range(1000):
        assert append(file, {"n": number})
        kept = [
            read_json(line)["n"]
            for name in ("f.1", "f")
            if (tmp_path / name).exists()
            for line in (tmp_path / name).read_bytes().splitlines()
        ]
        assert kept == list(range(number + 1 - len(kept), number + 1))
        assert len(kept) >= min(number + 1, 40)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 1100


@pytest.mark.parametrize("kind", ["directory", "fifo", "circle"])
def test_a_journal_begins_anew_where_something_else_stands(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "f"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    with pytest.raises(OSError):
        # Nobody waits for a FIFO, either.
        append_data(str(path), b"{}")
    assert append(Journal(str(path)), {"n": 1})
    assert path.read_bytes() == b'{"n":1}\n'
