"""Pseudo-terminals and descriptors: sizes, flags, waiting, locks, limits."""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.io import fds, ptys
from codewire.io.holes import punch_head
from codewire.io.wait import give_way, run_blocking, spawn, wait_readable, wait_writable


@pytest.fixture
def pair() -> Iterator[tuple[int, int, str]]:
    master, slave, path = ptys.open_pty(33, 111)
    yield master, slave, path
    os.close(master)
    os.close(slave)


def test_a_pty_is_as_asked_for(pair: tuple[int, int, str]) -> None:
    master, slave, path = pair
    assert ptys.window_size(slave) == ptys.window_size(master) == (33, 111)
    ptys.set_window_size(master, 5, 7)
    assert ptys.window_size(slave) == (5, 7)
    assert os.path.samestat(os.stat(path), os.fstat(slave))
    assert not os.get_blocking(master)
    for fd in (master, slave):
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_no_terminal_has_no_size(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file, pytest.raises(OSError):
        ptys.window_size(file.fileno())


def test_waiting_for_a_terminal(pair: tuple[int, int, str]) -> None:
    master, slave, _ = pair
    started = time.monotonic()
    assert not wait_readable(master, 0.05)
    assert 0.04 < time.monotonic() - started < 5
    assert wait_writable(master, 5)
    os.write(slave, b"x")
    assert wait_readable(master, 5)
    assert os.read(master, 10) == b"x"


def test_a_waiter_is_woken_and_others_run_meanwhile(pair: tuple[int, int, str]) -> None:
    master, slave, _ = pair
    woken = threading.Event()
    others: list[int] = []

    def waiter() -> None:
        assert wait_readable(master)
        woken.set()

    def other() -> None:
        for number in range(10):
            others.append(number)
            time.sleep(0.001)

    spawn(waiter)
    thread = threading.Thread(target=other)
    thread.start()
    thread.join(10)
    assert others == list(range(10))
    assert not woken.is_set()
    os.write(slave, b"x")
    assert woken.wait(20)


def test_a_hangup_counts_as_readable() -> None:
    master, slave, _ = ptys.open_pty(24, 80)
    os.close(slave)
    assert wait_readable(master, 5)
    os.close(master)


def test_blocking_work_and_turns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_blocking(sorted, [2, 1]) == [1, 2]
    give_way()
    with pytest.raises(ZeroDivisionError):
        run_blocking(lambda: 1 // 0)
    # Expected errors (a full disk) are the caller's to word; gevent's pool prints tracebacks.
    assert capsys.readouterr().err == ""


def test_what_a_job_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def failing_job() -> None:
        try:
            raise ValueError("words")
        finally:
            done.set()

    spawn(failing_job)
    assert done.wait(20)
    deadline = time.monotonic() + 5
    while "failing_job failed" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "failing_job failed" in caplog.text
    assert "words" in caplog.text


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first = fds.lock_file(path)
    assert first is not None
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert fds.lock_file(path) is None
    duplicate = os.dup(first)
    os.close(first)
    assert fds.lock_file(path) is None, "it lives as long as any duplicate"
    os.close(duplicate)
    again = fds.lock_file(path)
    assert again is not None
    os.close(again)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
    code += "print(1, flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"1\n"
    assert fds.lock_file(path) is None
    child.kill()
    child.communicate(timeout=10)
    fd = fds.lock_file(path)
    assert fd is not None
    os.close(fd)


def test_children_inherit_the_users_file_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] - 1, before[1]))
        found = fds.raise_file_limit()
        assert found == (before[1] - 1, before[1])
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
        with fds.FileLimit(*found):
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == found
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_punching_the_head_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 40_960 + b"b" * 40_960)
    with open(path, "r+b") as file:
        if not punch_head(file.fileno(), 40_960):
            pytest.skip("this file system cannot punch holes")
        assert file.read() == bytes(40_960) + b"b" * 40_960
        assert os.fstat(file.fileno()).st_blocks * 512 <= 45_056
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) == 40_960


def test_a_pipe_has_no_head(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    assert not punch_head(write_end, 4096)
    os.close(read_end)
    os.close(write_end)
