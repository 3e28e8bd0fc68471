"""Damaged files, and whatever else stands where one should be (design, P5)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.e2e.test_torture_disk import finished_sessions, lasting
from tests.support import Home


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "one bad entry", "null", "deep"])
def test_a_damaged_sessions_json(home: Home, damage: str) -> None:
    """It is kept aside, and what it lacks now is in every session's directory."""
    home.start_node()
    logs = finished_sessions(home, 3)
    before = [lasting(home, number) for number in logs]
    assert home.stop_node() == 0
    path = Path(home.data_dir, "sessions.json")
    text = path.read_bytes()
    entries = json.loads(text)
    assert [entry["id"] for entry in entries] == [1, 2, 3]
    damaged = {
        "cut": text[: len(text) // 2],
        "garbage": bytes(range(256)),
        "empty": b"",
        "one bad entry": json.dumps([entries[0], {**entries[1], "id": "two"}]).encode(),
        "null": b"null",
        "deep": b"[" * 100_000,
    }[damage]
    path.write_bytes(damaged)

    home.start_node()
    (backup,) = Path(home.data_dir).glob("sessions.json.corrupt.*")
    assert backup.read_bytes() == damaged
    assert [lasting(home, number) for number in logs] == before
    assert home.launch("/bin/sh", "-c", "echo new") == 4
    home.wait_finished(4)
    assert {number: home.log(number) for number in logs} == logs
    assert home.log(4) == b"new\r\n"
    assert home.stop_node() == 0
    assert {entry["id"] for entry in json.loads(path.read_text())} == {*logs, 4}


@pytest.mark.smoke
def test_whatever_stands_where_a_file_should_be(home: Home, runtime: str) -> None:
    """A directory, a FIFO, a circle of links: it is moved aside, and the rest is served."""
    home.start_node(runtime)
    logs = finished_sessions(home, 2)
    before = [lasting(home, number) for number in logs]
    assert home.stop_node() == 0
    root = Path(home.data_dir)
    names = ["sessions.json", "sessions.journal.jsonl", "kv.jsonl", "requests.jsonl", "token"]
    for number, name in enumerate(names):
        path = root / name
        path.unlink(missing_ok=True)
        if number % 3 == 0:
            path.mkdir()
        elif number % 3 == 1:
            os.mkfifo(path)
        else:
            path.symlink_to(name)
    inbox = root / "sessions" / "2" / "messages.jsonl"
    inbox.unlink()
    os.mkfifo(inbox)
    home.start_node(runtime)
    assert [lasting(home, number) for number in logs] == before
    assert home.cw("kv", "set", "key", "value").returncode == 0
    number = home.launch("cat")
    sent = home.cw("msg", "-f", str(number), str(number), "hello")
    assert sent.returncode == 0, sent.stderr
    assert home.cw("inbox", "2").returncode == 1
    assert home.stop_node() == 0
    assert all((root / name).is_file() for name in names if name != "requests.jsonl")
    assert len(list(root.glob("*.corrupt.*"))) == len(names)


def test_a_sessions_directory_that_is_a_file(home: Home) -> None:
    os.makedirs(home.data_dir)
    Path(home.data_dir, "sessions").write_text("somebody's")
    home.start_node()
    number = home.launch("/bin/sh", "-c", "echo text")
    home.wait_finished(number)
    assert home.log(number) == b"text\r\n"
    (aside,) = Path(home.data_dir).glob("sessions.corrupt.*")
    assert aside.read_text() == "somebody's"
