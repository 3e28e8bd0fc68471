"""The output log: offsets, gaps, budget, readers; on a real file."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from codewire.io.pipes import open_pipe
from codewire.output.cursor import Cursor
from codewire.output.log import OutputLog
from codewire.output.opening import open_log
from tests.kernel import needs_holes

LINES = b"".join(b"line %d\n" % number for number in range(20_000))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "output.log")


def read_all(log: OutputLog, offset: int = 0, limit: int = 65536) -> tuple[bytes, int]:
    """Return (all data from `offset`, bytes reported missing)."""
    output, missing = b"", 0
    while True:
        chunk = log.read(offset, limit)
        missing += chunk.gap
        output += chunk.data
        if not chunk.data and not chunk.gap:
            return output, missing
        assert chunk.offset == offset + chunk.gap
        offset = chunk.end


def test_what_is_written_is_read_at_its_offset(path: str) -> None:
    log = open_log(path)
    for start in range(0, len(LINES), 777):
        log.take_bytes(LINES[start : start + 777])
    assert log.end == len(LINES)
    assert read_all(log) == (LINES, 0)
    assert log.read(1000, 10) == (1000, LINES[1000:1010], 0)
    assert log.read(log.end, 10) == (log.end, b"", 0)
    log.release()
    again = open_log(path)
    assert (again.first, again.end) == (0, len(LINES))
    assert read_all(again) == (LINES, 0)
    again.release()


def test_a_pipe_is_moved_whole(path: str) -> None:
    log = open_log(path)
    read_end, write_end = open_pipe()
    try:
        for turn in range(100):
            os.write(write_end, b"%05d" % turn * 100)
            log.take_pipe(read_end, 500)
    finally:
        os.close(read_end)
        os.close(write_end)
    assert read_all(log)[0] == b"".join(b"%05d" % turn * 100 for turn in range(100))
    log.release()


@pytest.mark.parametrize(
    ("text", "lines", "tail"),
    [
        (b"a\nb\nc\n", 0, b""),
        (b"a\nb\nc\n", 1, b"c\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc\n", 3, b"a\nb\nc\n"),
        (b"a\nb\nc\n", 4, b"a\nb\nc\n"),
        (b"a\nb\nc", 1, b"c"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"\n\n\n", 1, b"\n"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"", 3, b""),
        (b"no newline", 1, b"no newline"),
        (LINES, 1, b"line 19999\n"),
        (LINES, 19_000, LINES[LINES.index(b"line 1000\n") :]),
        (b"x" * 200_000 + b"\nend", 1, b"end"),
        (b"x" * 200_000 + b"\nend", 2, b"x" * 200_000 + b"\nend"),
    ],
)
def test_the_last_lines(path: str, text: bytes, lines: int, tail: bytes) -> None:
    log = open_log(path)
    log.take_bytes(text)
    assert read_all(log, log.line_start(lines))[0] == tail
    log.release()


@needs_holes
def test_the_budget_frees_the_oldest_bytes(path: str) -> None:
    """Offsets stay; the file keeps its size and loses its blocks; a restart finds the same."""
    log = open_log(path, max_bytes=100_000)
    for start in range(0, len(LINES), 3000):
        log.take_bytes(LINES[start : start + 3000])
    assert log.end == os.path.getsize(path) == len(LINES)
    assert 100_000 <= log.end - log.first <= 100_000 + 25_000 + 4096 + 3000
    assert os.stat(path).st_blocks * 512 < 140_000
    assert read_all(log) == (LINES[log.first :], log.first)
    assert read_all(log, 5) == (LINES[log.first :], log.first - 5)
    assert read_all(log, log.end - 50) == (LINES[-50:], 0)
    assert log.line_start(10**6) == log.first
    first = log.first
    log.release()
    for budget in (100_000, 0):
        again = open_log(path, budget)
        assert (again.first, again.end) == (first, len(LINES))
        assert read_all(again) == (LINES[first:], first)
        again.release()


@needs_holes
def test_a_reader_overtaken_by_the_budget_is_told(path: str) -> None:
    log = open_log(path, max_bytes=50_000)
    log.take_bytes(LINES[:1000])
    assert log.retain()
    cursor = Cursor(log, 0, threading.Event())
    assert cursor.read(500).data == LINES[:500]
    for start in range(1000, len(LINES), 3000):
        log.take_bytes(LINES[start : start + 3000])
    chunk = cursor.read(100)
    assert chunk.gap == log.first - 500
    assert chunk.data == LINES[log.first : log.first + 100]
    cursor.close()
    log.release()


class FullDisk:
    """A log on a file that refuses to grow past some size, as a full disk does."""

    def __init__(self, path: str, limit: int) -> None:
        import resource

        self._resource = resource
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.limit = limit

    def __enter__(self) -> None:
        self._resource.setrlimit(self._resource.RLIMIT_FSIZE, (self.limit, self._before[1]))

    def __exit__(self, *_: object) -> None:
        self._resource.setrlimit(self._resource.RLIMIT_FSIZE, self._before)


def test_what_the_disk_refuses_is_a_gap(path: str) -> None:
    """Real refusals (EFBIG): counted, told once, and logging resumes at the right offset."""
    gaps: list[tuple[int, int]] = []
    log = open_log(path, 0, gaps)
    notes: list[list[tuple[int, int]]] = []
    log.on_gap = lambda: notes.append(list(gaps))
    with FullDisk(path, 8192):
        for start in range(0, 20_000, 1000):
            log.take_bytes(LINES[start : start + 1000])
    assert log.end == 20_000
    assert gaps == [(8192, 20_000)]
    assert len(notes) == 1
    log.take_bytes(LINES[20_000:30_000])
    assert len(notes) == 2
    assert read_all(log) == (LINES[:8192] + LINES[20_000:30_000], 20_000 - 8192)
    assert log.read(9000, 10) == (20_000, LINES[20_000:20_010], 11_000)
    with FullDisk(path, 12_288 + 20_000):
        log.take_bytes(LINES[30_000:50_000])
    log.take_bytes(LINES[50_000:60_000])
    assert gaps == [(8192, 20_000), (32_288, 50_000)]
    assert read_all(log)[0] == LINES[:8192] + LINES[20_000:32_288] + LINES[50_000:60_000]
    log.release()
    again = open_log(path, 0, list(gaps))
    assert read_all(again)[0] == LINES[:8192] + LINES[20_000:32_288] + LINES[50_000:60_000]
    again.release()


def test_a_full_disk_through_the_pipe(path: str) -> None:
    """The pipe is emptied all the same: it must never hold bytes of another session."""
    log = open_log(path)
    read_end, write_end = open_pipe()
    try:
        with FullDisk(path, 4096):
            for start in range(0, 12_000, 3000):
                os.write(write_end, LINES[start : start + 3000])
                log.take_pipe(read_end, 3000)
        with pytest.raises(BlockingIOError):
            os.read(read_end, 1)
    finally:
        os.close(read_end)
        os.close(write_end)
    assert log.end == 12_000
    assert read_all(log) == (LINES[:4096], 12_000 - 4096)
    log.release()


def test_a_gap_noted_only_at_its_beginning(path: str) -> None:
    """A worker killed on a full disk noted the gap's first bytes; the file knows the rest."""
    with open(path, "wb") as file:
        file.write(LINES[:8192])
        file.truncate(50_000)
    log = open_log(path, 0, [(8192, 9000)])
    assert log.end == 50_000
    assert read_all(log) == (LINES[:8192], 50_000 - 8192)
    log.take_bytes(b"more")
    assert read_all(log) == (LINES[:8192] + b"more", 50_000 - 8192)
    log.release()


def test_when_it_grew_is_known_after_a_restart(path: str) -> None:
    log = open_log(path)
    assert log.grown_at_ns == 0
    log.take_bytes(b"x")
    log.release()
    os.utime(path, ns=(0, 1_700_000_000 * 10**9))
    again = open_log(path)
    assert again.grown_at_ns == 1_700_000_000 * 10**9
    again.release()


def test_readers_are_woken_until_they_close(path: str) -> None:
    log = open_log(path)
    waker = threading.Event()
    assert log.retain()
    cursor = Cursor(log, 0, waker)
    log.take_bytes(b"x")
    assert waker.is_set()
    waker.clear()
    cursor.close()
    log.take_bytes(b"y")
    assert not waker.is_set()
    log.release()
    assert not log.retain(), "closed for good"


def is_open_here(path: str) -> bool:
    """Say whether a descriptor of this process leads to the file."""
    found = os.stat(path)
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.path.samestat(os.stat(f"/proc/self/fd/{name}"), found):
                return True
        except OSError:
            continue  # the one that read the directory, for instance
    return False


def test_the_file_is_closed_by_its_last_user(path: str) -> None:
    log = open_log(path)
    log.take_bytes(b"text")
    assert log.retain()
    cursor = Cursor(log, 0, threading.Event())
    log.release()
    assert cursor.read(10).data == b"text"
    assert is_open_here(path)
    cursor.close()
    assert not is_open_here(path)


def test_many_readers_beside_a_writer(path: str) -> None:
    """Each gets every byte once, whatever its pace."""
    log = open_log(path)
    results: dict[int, bytes] = {}

    def follow(number: int) -> None:
        waker = threading.Event()
        assert log.retain()
        cursor = Cursor(log, 0, waker)
        output = b""
        while len(output) < len(LINES):
            waker.clear()
            chunk = cursor.read(100 * (number + 1))
            output += chunk.data
            if not chunk.data:
                assert waker.wait(10)
        results[number] = output
        cursor.close()

    readers = [threading.Thread(target=follow, args=(number,)) for number in range(8)]
    for reader in readers:
        reader.start()
    for start in range(0, len(LINES), 501):
        log.take_bytes(LINES[start : start + 501])
    for reader in readers:
        reader.join(20)
    assert list(results.values()) == [LINES] * 8
    log.release()


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        open_log(str(tmp_path / "missing" / "output.log"))
    assert caught.value.errno == errno.ENOENT
