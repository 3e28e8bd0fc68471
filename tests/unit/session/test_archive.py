"""Reading what is left of sessions: every file damaged in many ways, and nothing ever raises."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.disk.filing import MAX_ASIDES
from codewire.disk.journal import Journal
from codewire.paths import DataDir
from codewire.session.records.archive import Found, elements, read_archive
from codewire.session.records.store import Store
from tests.unit.session.records import DAY, START, ended, running

BAD_NUMBERS = ["1e999", "-1e999", "NaN", "Infinity", "9" * 30, "9" * 5000, "-1", "0", "1.5"]
BAD_VALUES = ["null", "true", '"text"', "[]", "{}", "[[1]]", '{"Completed": {}}', "[1, [2, 3]]"]
GARBAGE = [
    b"",
    b"\0" * 100,
    bytes(range(256)),
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"null",
    b"[[]]",
    b'"\\ud800"',
    b"[" + b"1," * 1000,
]


def fill(root: Path, *, dropped: bool = False) -> DataDir:
    """Write three sessions down: two in the snapshot, the third in the journal alone."""
    paths = DataDir(str(root))
    records = {n: ended(n, n, name=f"n{n}") for n in (1, 2)}
    journal = Journal(paths.sessions_journal)
    store = Store(paths.sessions_json, journal, lambda: records.values(), lambda _: None)
    for number in (1, 2, 3):
        os.makedirs(paths.session(number))
        Path(paths.session(number), "output.log").write_bytes(b"text")
    for record in records.values():
        store.put(record)
    store.close()
    records[3] = running(3, name="n3")
    store.put(records[3])
    store.save()
    store.file_own()
    return paths


def read(paths: DataDir) -> Found:
    return read_archive(paths, Journal(paths.sessions_journal), set())


def listed(found: Found) -> dict[int, str]:
    return {n: r.name for n, r in sorted({**found.records, **found.taken_up}.items())}


def damages(data: bytes) -> Iterator[bytes]:
    """Generate damaged versions of a file, the same ones in every run."""
    chance = random.Random(9)
    yield from GARBAGE
    for _ in range(40):
        at = chance.randrange(len(data))
        yield data[:at]
        yield data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        yield data[:at] + data[at + chance.randrange(1, 50) :]
    text = data.decode()
    for key in ("id", "exit_code", "pid", "created_at", "tags", "status", "name", "end_number"):
        for value in BAD_NUMBERS + BAD_VALUES:
            yield text.replace(f'"{key}": ', f'"{key}": {value}, "was_{key}": ').encode()
            yield text.replace(f'"{key}":', f'"{key}":{value},"was_{key}":').encode()


@pytest.mark.parametrize("name", ["sessions_json", "sessions_journal"])
def test_any_damage_to_one_file_loses_no_session(tmp_path: Path, name: str) -> None:
    """What the file lacks now is in the directories; ids are not given again."""
    paths = fill(tmp_path)
    path = Path(getattr(paths, name))
    whole = path.read_bytes()
    wanted = {1: "n1", 2: "n2", 3: "n3"}
    for data in damages(whole):
        path.write_bytes(data)
        found = read(paths)
        # A letter of a name may be another one, and an id another id.
        assert set(listed(found)) >= set(wanted), data[:200]
        assert found.next_id >= 4, data[:200]
    assert len(list(tmp_path.glob(f"{path.name}.corrupt.*"))) <= MAX_ASIDES


def test_damage_to_everything_at_once(tmp_path: Path) -> None:
    paths = fill(tmp_path)
    Path(paths.sessions_json).write_bytes(b"[{")
    Path(paths.sessions_journal).write_bytes(b"\0\0\0\n")
    found = read(paths)
    assert listed(found) == {1: "n1", 2: "n2", 3: "n3"}
    assert [found.taken_up[n].exit_code for n in (1, 2, 3)] == [1, 2, None]
    assert not found.is_whole
    kept = {path.read_bytes() for path in tmp_path.glob("*.corrupt.*")}
    assert kept == {b"[{", b"\0\0\0\n"}


@pytest.mark.parametrize("data", GARBAGE)
def test_damage_to_a_sessions_own_record(tmp_path: Path, data: bytes) -> None:
    """Then what is there to see is told: it was, and nobody knows how it ended."""
    paths = fill(tmp_path)
    for path in (paths.sessions_json, paths.sessions_journal):
        os.unlink(path)
    Path(paths.session(2), "session.json").write_bytes(data)
    record = read(paths).taken_up[2]
    assert (record.status_text(), record.end_reason) == ("completed (-1)", "lost")
    assert record.completed_ns == os.stat(os.path.join(paths.session(2), "output.log")).st_mtime_ns


@pytest.mark.parametrize("text", BAD_NUMBERS)
def test_an_element_with_a_number_that_is_none_is_left_out(text: str) -> None:
    values, problem = elements(f'[{{"id":1}}, {{"id":2,"x":{text}}}, {{"id":3}}]')
    good = text in ("-1", "0", "1.5")
    assert ([value["id"] for value in values], bool(problem)) == (
        ([1, 2, 3], False) if good else ([1, 3], True)
    )


def test_elements_before_the_damage() -> None:
    text = json.dumps([{"id": n} for n in range(1, 6)], indent=2)
    assert elements(text) == ([{"id": n} for n in range(1, 6)], "")
    for at in range(len(text)):
        values, problem = elements(text[:at])
        assert problem
        assert values == [{"id": n} for n in range(1, len(values) + 1)]
    assert elements("[] x")[1] and elements("[]") == ([], "")


@pytest.mark.parametrize("kind", ["directory", "fifo", "circle", "huge"])
@pytest.mark.parametrize("name", ["sessions_json", "sessions_journal"])
def test_what_is_no_file_is_moved_aside(tmp_path: Path, name: str, kind: str) -> None:
    paths = fill(tmp_path)
    path = Path(getattr(paths, name))
    path.unlink()
    if kind == "directory":
        path.mkdir()
        (path / "somebody's").touch()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "circle":
        path.symlink_to(path)
    else:
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    assert listed(read(paths)) == {1: "n1", 2: "n2", 3: "n3"}
    assert kind == "huge" or not os.path.lexists(path)
    assert len(list(tmp_path.glob(f"{path.name}.corrupt.*"))) == 1


def test_directories_without_a_record(tmp_path: Path) -> None:
    """Empty ones belonged to no session and go; an earlier program's sessions are listed."""
    paths = DataDir(str(tmp_path))
    for number, files in {
        1: {},
        2: {"output.log": b"", "messages.jsonl": b""},
        3: {"output.log": b"text"},
        4: {"output.log": b"", "events.jsonl": _events(0)},
        5: {"notes.txt": b""},
    }.items():
        os.makedirs(paths.session(number))
        for name, data in files.items():
            Path(paths.session(number), name).write_bytes(data)
    Path(paths.sessions, "0006").mkdir()
    Path(paths.sessions, "6").write_bytes(b"a file")
    found = read(paths)
    assert sorted(os.listdir(paths.sessions)) == ["0006", "3", "4", "5", "6"]
    assert found.next_id == 7
    assert sorted(found.taken_up) == [3, 4]
    assert found.taken_up[3].status_text() == "completed (-1)"
    fourth = found.taken_up[4]
    assert (fourth.argv, fourth.working_dir, fourth.tags) == (["make", "all"], "/src", ["x"])
    assert (fourth.exit_code, fourth.end_reason) == (0, "exited")
    assert fourth.completed_ns - fourth.created_ns == 5_000_000_000


def _events(code: int) -> bytes:
    created: dict[str, Any] = {"command": ["make", "all"], "working_dir": "/src", "tags": ["x"]}
    status = {"from": "running", "to": "completed", "exit_code": code}
    lines: list[Any] = [
        {"timestamp": "2026-04-03T12:00:00Z", "type": "session.created", "data": created},
        {"timestamp": "2026-04-03T12:00:05Z", "type": "session.status", "data": status},
        {"timestamp": 5, "type": "session.status", "data": {"exit_code": 10**400}},
        {"type": ["session.created"], "data": {"command": 5}},
        {"timestamp": "x", "type": "session.created", "data": None},
    ]
    return b"\n".join(json.dumps(line).encode() for line in lines) + b"\n{cut"


@pytest.mark.parametrize("has_journal", [True, False])
def test_another_program_in_between_costs_no_session(tmp_path: Path, has_journal: bool) -> None:
    """Upstream reads sessions.json for the highest id alone, and leaves its own sessions there."""
    paths = fill(tmp_path)
    foreign = {
        "id": 4,
        "prompt": "make all",
        "working_dir": "/src",
        "created_at": "2026-04-03T12:00:00Z",
        "status": "running",
        "exit_code": 2,
        "completed_at": "2026-04-03T12:00:05Z",
    }
    # One of it that ended before it was started anew: only the files are left.
    for number in (4, 5):
        os.makedirs(paths.session(number))
        Path(paths.session(number), "events.jsonl").write_bytes(_events(1))
        Path(paths.session(number), "output.log").write_bytes(b"text")
    Path(paths.sessions_json).write_text(json.dumps([foreign], indent=2))
    if not has_journal:
        os.unlink(paths.sessions_journal)
    for _ in range(2):
        found = read(paths)
        assert listed(found) == {1: "n1", 2: "n2", 3: "n3", 4: "", 5: ""}
        assert found.next_id == 6
    every = {**found.records, **found.taken_up}
    assert (every[4].prompt, every[5].argv) == ("make all", ["make", "all"])
    assert [every[n].exit_code for n in (1, 2, 4, 5)] == [1, 2, 2, 1]


def test_an_end_that_only_the_directory_tells(tmp_path: Path) -> None:
    """The journal was cut before it; but another session of that id tells nothing of this one."""
    paths = fill(tmp_path)
    done = ended(3, 5, name="n3").to_json()
    path = Path(paths.session(3), "session.json")
    path.write_text(json.dumps(done))
    assert read(paths).taken_up[3].exit_code == 5
    other = {**done, "created_at": "2020-01-01T00:00:00Z"}
    path.write_text(json.dumps(other))
    found = read(paths)
    assert found.records[3].status_text() == "running" and 3 not in found.taken_up


def test_asides_are_few(tmp_path: Path) -> None:
    paths = fill(tmp_path)
    for number in range(MAX_ASIDES + 4):
        Path(paths.sessions_json).write_bytes(b"%d" % number)
        read(paths)
    asides = sorted(tmp_path.glob("sessions.json.corrupt.*"))
    assert len(asides) == MAX_ASIDES
    assert asides[-1].read_bytes() == b"%d" % (MAX_ASIDES + 3)


def test_times_far_away_are_read(tmp_path: Path) -> None:
    record = ended(1)
    record.created_ns = START + 40 * 365 * DAY
    Path(DataDir(str(tmp_path)).sessions_json).write_text(json.dumps([record.to_json()]))
    assert read(DataDir(str(tmp_path))).records[1].created_ns == record.created_ns
