"""Input keys: the newest are kept, garbage in the file harms nobody, and nothing is guessed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from codewire.terminal import once
from codewire.terminal.input import InputClosed
from codewire.terminal.once import MAX_KEYS, MAX_LINES, InputKeys, write_once


def types(count: int) -> Callable[[Callable[[], None]], int]:
    def write(before: Callable[[], None]) -> int:
        before()
        return count

    return write


def refuses(before: Callable[[], None]) -> int:
    raise AssertionError("typed again")


def keys(path: Path) -> InputKeys:
    return InputKeys(str(path / "input-keys.jsonl"))


def test_a_key_types_once_also_for_the_next_worker(tmp_path: Path) -> None:
    assert keys(tmp_path).write("a", types(3)) == (3, False)
    assert keys(tmp_path).write("a", refuses) == (3, True)


def test_the_newest_keys_are_kept(tmp_path: Path) -> None:
    first = keys(tmp_path)
    for number in range(MAX_LINES):
        first.write(f"k{number}", types(number))
    again = keys(tmp_path)
    for number in range(MAX_LINES - MAX_KEYS // 2, MAX_LINES):
        assert again.write(f"k{number}", refuses) == (number, True)
    assert again.write("k0", types(7)) == (7, False), "the oldest were dropped"
    assert (tmp_path / "input-keys.jsonl").read_bytes().count(b"\n") <= MAX_LINES


def test_a_death_between_first_and_last_byte(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def dies(before: Callable[[], None]) -> int:
        before()
        raise Killed

    with pytest.raises(Killed):
        keys(tmp_path).write("a", dies)
    assert keys(tmp_path).write("a", refuses) == (None, True)


def test_an_unforeseen_error_is_never_called_typed(tmp_path: Path) -> None:
    def fails_late(before: Callable[[], None]) -> int:
        before()
        raise RuntimeError("unforeseen")

    def fails_early(before: Callable[[], None]) -> int:
        raise RuntimeError("unforeseen")

    found = keys(tmp_path)
    assert found.write("late", fails_late) == (None, False)
    assert found.write("late", refuses) == (None, True)
    assert keys(tmp_path).write("late", refuses) == (None, True)
    with pytest.raises(RuntimeError):
        found.write("early", fails_early)
    assert found.write("early", types(2)) == (2, False), "nothing was typed: it may be now"
    assert write_once(fails_late) is None
    with pytest.raises(RuntimeError):
        write_once(fails_early)


def test_a_session_that_ends_meanwhile_says_so(tmp_path: Path) -> None:
    def ends(before: Callable[[], None]) -> int:
        before()
        raise InputClosed(2)

    found = keys(tmp_path)
    with pytest.raises(InputClosed):
        found.write("a", ends)
    assert found.write("a", refuses) == (None, True)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"\0", b"\xff\xfe", b"5", b"null", b"[]", b'["a"]', b'["a",1,2]', b'{"a":1}'),
        *(b'[["a"],1]', b'["a",1e999]', b'["a",NaN]', b'["a",-1]', b'["a","x"]', b'["a",true]'),
        *(b"[" * 100_000, b"9" * 5000, b'["' + b"k" * 300 + b'",1]', b'["cut'),
    ],
)
def test_garbage_in_the_file(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "input-keys.jsonl"
    path.write_bytes(b'["one",1]\n' + line + b'\n["two",2]\n' + line)
    for _ in range(2):
        found = keys(tmp_path)
        assert found.write("one", refuses) == (1, True)
        assert found.write("two", refuses) == (2, True)
        assert found.write("a", types(3))[0] == 3
        assert found.write("new", types(4))[0] == 4


@pytest.mark.parametrize("kind", ["directory", "fifo", "circle", "huge"])
def test_what_is_no_file_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "input-keys.jsonl"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "circle":
        path.symlink_to(path)
    else:
        monkeypatch.setattr(once, "MAX_FILE_BYTES", 10)
        path.write_bytes(b"x" * 11)
    assert keys(tmp_path).write("a", types(3)) == (3, False)
    monkeypatch.undo()
    assert keys(tmp_path).write("a", refuses) == (3, True)
    assert len(list(tmp_path.glob("*.corrupt.*"))) == 1


def test_a_full_disk_forgets_no_key_while_the_worker_lives(tmp_path: Path) -> None:
    found = keys(tmp_path / "missing")
    assert found.write("a", types(3)) == (3, False)
    assert found.write("a", refuses) == (3, True)
