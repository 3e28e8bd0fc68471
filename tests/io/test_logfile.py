"""The node's log: bounded, shared by several writers, and never worth an error."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codewire.io import logfile
from codewire.io.logfile import LogFile, last_error_line
from codewire.node.logfile import NodeLog
from tests.support import REPOSITORY

STAMP = "2026/01/01 00:00:00"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "node.log")


def size_of_all(path: str) -> int:
    directory = Path(path).parent
    return sum(file.stat().st_size for file in directory.iterdir())


def test_two_writers_rotate_once_and_stay_within_the_bound(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "MAX_BYTES", 10_000)
    keeper, worker = LogFile(path), LogFile(path)
    for number in range(3000):
        (keeper, worker)[number % 2].write(STAMP, f"INFO line {number}")
        assert size_of_all(path) < 21_000
    lines = Path(path).read_text().splitlines()
    assert lines[-1] == f"{STAMP} INFO line 2999"
    older = Path(f"{path}.1").read_text().splitlines()
    numbers = [int(line.split()[-1]) for line in (*older, *lines)]
    assert numbers == list(range(numbers[0], 3000)), "no line is lost or out of order"
    assert sorted(os.listdir(os.path.dirname(path))) == ["node.log", "node.log.1"]


def test_what_repeats_is_counted(path: str) -> None:
    log = LogFile(path)
    for _ in range(1000):
        log.write(STAMP, "ERROR the same")
    log.write(STAMP, "INFO another")
    assert Path(path).read_text().splitlines() == [
        f"{STAMP} ERROR the same",
        f"{STAMP} last line repeated 999 times",
        f"{STAMP} INFO another",
    ]


def test_the_count_comes_out_in_time(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "COUNT_SECONDS", 0.0)
    log = LogFile(path)
    for _ in range(3):
        log.write(STAMP, "ERROR the same")
    assert Path(path).read_text().count("repeated 1 times") == 2


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "dangling"])
def test_what_cannot_be_written_raises_nothing_and_blocks_nobody(path: str, kind: str) -> None:
    if kind == "directory":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        os.symlink("/no/such/place", path)
    else:
        path = f"{path}/in/nothing"
    LogFile(path).write(STAMP, "INFO lost")
    assert last_error_line(path) == ""


def test_a_removed_file_is_made_anew(path: str) -> None:
    log = LogFile(path)
    log.write(STAMP, "INFO one")
    os.unlink(path)
    log.write(STAMP, "INFO two")
    assert Path(path).read_text() == f"{STAMP} INFO two\n"


FLOOD = """
import os, sys
from codewire.io import logfile
logfile.MAX_BYTES = 10_000
path = sys.argv[1]
fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(fd, 2)
log = logfile.LogFile(path)
for number in range(1000):
    log.write("now", f"INFO {number}")
    os.write(2, b"Traceback, said by somebody else\\n" * 3)
"""


def test_stderr_follows_the_file(path: str) -> None:
    """What a process says on its stderr (a traceback, say) counts, and goes where the log is."""
    command = [sys.executable, "-c", FLOOD, path]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(command, env=environment, check=True, timeout=30)
    assert size_of_all(path) < 22_000
    assert Path(path).read_text().endswith("somebody else\n")


def test_a_record_that_cannot_be_formatted_costs_only_itself(path: str) -> None:
    handler = NodeLog(path)
    record = logging.LogRecord("x", logging.INFO, "f", 1, "%d things", ("no",), None)
    handler.emit(record)
    assert "'%d things'" in Path(path).read_text()


def test_the_last_error_is_found(path: str) -> None:
    old = "2026/01/01 00:00:00 ERROR yesterday's\n"
    text = "Traceback (most recent call last):\n  File x\nImportError: no gevent\n"
    noise = "2026/01/01 00:00:02 WARN worker ended pid=1\n"
    Path(path).write_text(old)
    assert last_error_line(path) == "yesterday's"
    assert last_error_line(path, len(old)) == ""
    Path(path).write_text(old + text + noise)
    assert last_error_line(path, len(old)) == "ImportError: no gevent"
    Path(path).write_text("Error: initializing node: bad key\n" + noise)
    assert last_error_line(path, 10**9) == "initializing node: bad key"
