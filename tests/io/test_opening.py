"""What may stand where a session's log should be, and what it costs."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from codewire.errors import LogUnavailable
from codewire.io.clock import Clock
from codewire.io.pipes import open_pipe
from codewire.output import opening
from codewire.output.cursor import Cursor
from codewire.output.log import OutputLog
from codewire.output.opening import open_log, read_log, reopen_log
from codewire.session.records.record import Record
from codewire.session.result import capture_result
from codewire.session.session import Session

Gaps = list[tuple[int, int]]


def as_directory(path: Path) -> None:
    path.mkdir()


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_dangling_link(path: Path) -> None:
    path.symlink_to("/none/of/this")


def as_loop(path: Path) -> None:
    path.symlink_to(path)


def as_device(path: Path) -> None:
    path.symlink_to("/dev/null")


def under_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("no directory")


SPOILT = [as_directory, as_fifo, as_dangling_link, as_loop, as_device, under_a_file]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    directory = tmp_path / "sessions" / "1"
    directory.mkdir(parents=True)
    return directory / "output.log"


def drain_into(log: OutputLog, data: bytes) -> None:
    """Move bytes through a pipe, as the drain does."""
    read_end, write_end = open_pipe()
    os.write(write_end, data)
    log.take_pipe(read_end, len(data))
    with pytest.raises(BlockingIOError):
        os.read(read_end, 1)
    os.close(read_end)
    os.close(write_end)


def read_everything(log: OutputLog) -> list[tuple[int, bytes, int]]:
    chunks: list[tuple[int, bytes, int]] = []
    offset = log.first
    while offset < log.end:
        chunks.append(chunk := log.read(offset, 65536))
        offset = chunk.end
    return chunks


@pytest.mark.timeout(20)
@pytest.mark.parametrize("spoil", SPOILT)
def test_a_living_session_is_drained_whatever_its_log_is(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(path)
    gaps: Gaps = []
    log = reopen_log(str(path), 0, gaps, 1000)
    assert log.is_lost
    assert str(path) in log.failure
    assert log.end == 1000
    drain_into(log, b"x" * 500)
    log.take_bytes(b"y" * 500)
    assert log.end == 2000, "offsets stay true"
    assert gaps == [(1000, 2000)], "what comes is lost, not what was there"
    assert log.read(0, 100) == (2000, b"", 2000)
    assert log.line_start(10) == 2000
    log.release()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("spoil", SPOILT)
def test_readers_are_told_why(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)
    session = Session(Record(1, ["x"], "/", 0), str(path), "")
    with pytest.raises(LogUnavailable, match="^failed to read session log: "):
        session.cursor(0, threading.Event())
    session.open_log(0, is_restored=True)
    with pytest.raises(LogUnavailable, match="^failed to read session log: .*output.log cannot"):
        session.cursor(0, threading.Event())
    assert capture_result(session) == ""
    session.close_log()
    with pytest.raises(OSError):
        Session(Record(1, ["x"], "/", 0), str(path), "").open_log(0)


def test_a_log_that_was_removed_is_made_again(path: Path) -> None:
    shutil.rmtree(path.parent)
    gaps: Gaps = []
    log = reopen_log(str(path), 0, gaps, 1000)
    drain_into(log, b"new")
    log.release()
    assert gaps == [(0, 1000)]
    again = reopen_log(str(path), 0, list(gaps), 1000)
    assert again.read(0, 100) == (1000, b"new", 1000)
    again.release()


def test_a_log_that_was_cut_has_a_gap(path: Path) -> None:
    path.write_bytes(b"old")
    gaps: Gaps = []
    log = reopen_log(str(path), 0, gaps, 10)
    log.take_bytes(b"new")
    assert log.read(0, 100) == (0, b"old", 0)
    assert log.read(3, 100) == (10, b"new", 7)
    log.release()


def test_a_log_that_cannot_be_written_can_be_read(path: Path) -> None:
    """A running program's file refuses writers (ETXTBSY), root included."""
    shutil.copy("/bin/sleep", path)
    size = path.stat().st_size
    with subprocess.Popen([str(path), "60"]) as busy:
        try:
            gaps: Gaps = []
            log = reopen_log(str(path), 1, gaps, 0)
            assert not log.is_lost
            assert "cannot be written: Text file busy" in log.failure
            told = threading.Event()
            log.on_gap = told.set
            drain_into(log, b"lost")
            assert told.is_set()
            assert gaps == [(size, size + 4)]
            assert log.read(0, 4).data == b"\x7fELF"
            log.release()
            finished = read_log(str(path), [])
            assert finished.read(0, 4).data == b"\x7fELF"
            finished.release()
        finally:
            busy.kill()


def test_a_finished_log_is_only_read(path: Path) -> None:
    path.write_bytes(b"all")
    path.chmod(0o400)
    log = read_log(str(path), [])
    assert fcntl.fcntl(log.fileno(), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    assert log.read(0, 10).data == b"all"
    log.release()
    with pytest.raises(LogUnavailable):
        read_log(str(path) + ".none", [])
    assert not os.path.exists(str(path) + ".none"), "a reader makes no files"


def test_a_launch_is_refused_what_a_living_session_is_not(path: Path) -> None:
    with pytest.raises(OSError):
        open_log(str(path.parent))


def test_a_log_from_the_future_is_silent_from_now_on(path: Path) -> None:
    """A clock that was set back before this worker began stops no session's being idle."""

    class Later(Clock):
        def steady_ns(self) -> int:
            return super().steady_ns() + 5_000_000_000

    path.write_bytes(b"old")
    os.utime(path, ns=(0, Clock().wall_ns() + 86_400 * 1_000_000_000))
    session = Session(Record(1, ["x"], "/", 1), str(path), "", clock=Later())
    session.open_log(0, is_restored=True)
    assert 5 <= session.idle_seconds() < 65
    session.close_log()


def test_a_log_that_can_be_written_again_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that was read-only while a worker began costs what was printed meanwhile."""
    monkeypatch.setattr(opening, "RETRY_SECONDS", 0.0)
    shutil.copy("/bin/sleep", path)
    size = path.stat().st_size
    with subprocess.Popen([str(path), "60"]) as busy:
        log = reopen_log(str(path), 1 << 30, gaps := [], 0)
        cursor = Cursor(log, size, threading.Event())
        assert log.retain()
        drain_into(log, b"lost")
        busy.kill()
    drain_into(log, b"kept")
    assert cursor.read(100) == (size + 4, b"kept", 4)
    assert gaps == [(size, size + 4)] and log.failure == ""
    drain_into(log, b", too")
    assert cursor.read(100) == (size + 8, b", too", 0)
    log.release()
    cursor.close()
    assert path.stat().st_size == size + 13


@pytest.mark.parametrize("spoil", [as_fifo, as_dangling_link])
def test_a_lost_log_is_found_again(
    path: Path, spoil: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had been counted is gone as far as the file that is there now does not have it."""
    monkeypatch.setattr(opening, "RETRY_SECONDS", 0.0)
    spoil(path)
    log = reopen_log(str(path), 0, gaps := [], 10)
    assert "cannot be opened" in log.failure
    drain_into(log, b"lost")
    path.unlink()
    path.write_bytes(b"old")
    drain_into(log, b"new")
    assert log.failure == "" and gaps == [(3, 14)]
    assert read_everything(log) == [(0, b"old", 0), (14, b"new", 11)]
    log.release()


def test_another_file_in_its_place_is_not_gone_on_with(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "RETRY_SECONDS", 0.0)
    shutil.copy("/bin/sleep", path)
    with subprocess.Popen([str(path), "60"]) as busy:
        log = reopen_log(str(path), 0, [], 0)
        busy.kill()
    path.unlink()
    drain_into(log, b"lost")
    assert log.failure and log.read(0, 4).data == b"\x7fELF"
    log.release()
