"""What stands in for calls that only Linux has, tried on Linux without them."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import select
import signal
import socket
from pathlib import Path

import pytest

from codewire.io import endings, holes, peers, pipes, ptys, spawning, unix
from codewire.io.fds import FileLimit, raise_file_limit
from codewire.io.readiness import READABLE, WRITABLE, EdgeReadiness, OnceReadiness
from codewire.io.wait import spawn
from tests.kernel import needs_endings
from tests.support import wait_until


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Take Linux's own calls from os, select and socket."""
    for module, names in {
        os: "pipe2 memfd_create eventfd splice pidfd_open SEEK_DATA",
        select: "epoll POLLRDHUP",
        socket: "SO_PEERCRED MSG_CMSG_CLOEXEC MSG_MORE",
    }.items():
        for name in names.split():
            monkeypatch.delattr(module, name, raising=False)
    return monkeypatch


def is_private(fd: int) -> bool:
    return not os.get_inheritable(fd)


def close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)


def test_a_pipe(without: pytest.MonkeyPatch) -> None:
    ends = pipes.open_pipe()
    assert all(is_private(fd) and not os.get_blocking(fd) for fd in ends)
    with pytest.raises(BlockingIOError):
        os.read(ends[0], 1)
    assert pipes.enlarge_pipe(ends[1]) >= 4096
    with pytest.raises(OSError) as refused:
        pipes.move_to_pipe(ends[0], ends[1], 1)
    assert refused.value.errno == errno.ENOSYS
    close(*ends)


def test_memory_without_a_name(without: pytest.MonkeyPatch) -> None:
    before = set(os.listdir("/tmp"))
    fd = pipes.open_memory("test-memory", 16)
    assert is_private(fd)
    with mmap.mmap(fd, 16) as ours, mmap.mmap(os.dup(fd), 16) as theirs:
        ours[:4] = b"note"
        assert theirs[:4] == b"note"
    os.close(fd)
    assert not [name for name in set(os.listdir("/tmp")) - before if "test-memory" in name]


@pytest.mark.parametrize("counts", [True, False])
def test_a_bell(monkeypatch: pytest.MonkeyPatch, counts: bool) -> None:
    if not counts:
        monkeypatch.delattr(os, "eventfd", raising=False)
    bell = pipes.Bell()
    poller = select.poll()
    poller.register(bell.fd, select.POLLIN)
    for _ in range(2):
        assert not poller.poll(0)
        for _ in range(100_000 if not counts else 3):
            # Also more often than a pipe has room for.
            bell.ring()
        assert poller.poll(0)
        bell.silence()


KINDS = [EdgeReadiness, OnceReadiness] if hasattr(select, "epoll") else [OnceReadiness]


@pytest.mark.parametrize("kind", KINDS)
def test_a_descriptor_is_reported_until_it_was_read(
    kind: type[EdgeReadiness | OnceReadiness],
) -> None:
    bell = pipes.Bell()
    readiness = kind(bell)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        fd = ours.fileno()
        readiness.add(fd)
        readiness.add(fd)
        bell.silence()
        assert readiness.take() == []
        theirs.send(b"x")
        readiness.wait(10)
        assert (fd, READABLE) in readiness.take()
        assert readiness.take() == [], "it is said once"
        ours.recv(10)
        readiness.rearm(fd)
        assert readiness.take() == []
        readiness.watch_writable(fd, True)
        readiness.wait(10)
        assert any(f == fd and events & WRITABLE for f, events in readiness.take())
        readiness.watch_writable(fd, False)
        readiness.rearm(fd)
        theirs.send(b"y")
        readiness.wait(10)
        assert any(f == fd and events & READABLE for f, events in readiness.take())
        readiness.remove(fd)
        readiness.rearm(fd)
        theirs.send(b"z")
        assert not any(f == fd for f, _ in readiness.take())


def test_what_is_added_while_another_waits_is_reported() -> None:
    bell = pipes.Bell()
    readiness = OnceReadiness(bell)
    seen: list[int] = []

    def run() -> None:
        while len(seen) < 1:
            readiness.wait(20)
            for fd, _ in readiness.take():
                if fd == bell.fd:
                    bell.silence()
                else:
                    seen.append(fd)

    spawn(run)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        readiness.add(ours.fileno())
        wait_until(lambda: seen == [ours.fileno()], 20)


def test_who_listens_is_unknown_and_whether_it_left_is_not(without: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        assert peers.peer_of(ours) == peers.UNKNOWN
        assert peers.peer_pid(ours) == 0
        assert not peers.has_hung_up(ours.fileno())
        theirs.send(b"x")
        assert not peers.has_hung_up(ours.fileno())
        assert ours.recv(10) == b"x", "nothing was taken"
        theirs.close()
        assert peers.has_hung_up(ours.fileno())


def test_descriptors_that_came_are_private(without: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        unix.send_with_fds(ours, b"x", [0])
        data, fds = unix.receive_with_fds(theirs, 10)
    assert data == b"x" and [is_private(fd) for fd in fds] == [True]
    close(*fds)


@needs_endings
def test_the_end_of_a_process_can_be_waited_for() -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "100"], {})
    end = endings.open_end(pid)
    assert is_private(end) and not endings.has_ended(end)
    os.kill(pid, signal.SIGKILL)
    poller = select.poll()
    poller.register(end, select.POLLIN)
    assert poller.poll(10_000)
    assert endings.has_ended(end)
    os.waitpid(pid, 0)
    os.close(end)
    with pytest.raises(ProcessLookupError):
        endings.open_end(pid)


def test_the_end_of_a_process_that_nobody_tells(without: pytest.MonkeyPatch) -> None:
    without.delattr(select, "kqueue", raising=False)
    with pytest.raises(OSError) as refused:
        endings.open_end(os.getpid())
    assert refused.value.errno == errno.ENOSYS


def test_where_a_log_goes_on_behind_a_gap(
    without: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    fd = os.open(os.path.join(tmp_path, "log"), os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"before", 0)
    os.pwrite(fd, b"after", 200_000)
    assert holes.find_written(fd, 6) == 200_000
    assert holes.find_written(fd, 3) == 3
    with pytest.raises(OSError) as refused:
        holes.find_written(fd, 200_005)
    assert refused.value.errno == errno.ENXIO
    os.close(fd)


def test_a_slave_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave, path = ptys.open_pty(24, 80)
    # A request that no terminal knows.
    monkeypatch.setattr(ptys, "TIOCGPTPEER", 0x54FF)
    other = ptys.open_slave(master)
    assert os.ttyname(other) == path and is_private(other)
    close(master, slave, other)


def everything(master: int) -> bytes:
    """Return all that a terminal nobody has open any more has to say."""
    data = b""
    with contextlib.suppress(OSError):
        while piece := os.read(master, 1000):
            data += piece
    return data


@pytest.mark.parametrize("opening", [True, False])
def test_a_program_gets_its_terminal(monkeypatch: pytest.MonkeyPatch, opening: bool) -> None:
    """By opening it, and by asking for it; what cannot be run is said, and nothing is left."""
    monkeypatch.setattr(spawning, "OPENING_CONTROLS", opening and hasattr(select, "epoll"))
    limit = FileLimit(*raise_file_limit())
    master, slave, path = ptys.open_pty(24, 80)
    program = "read line </dev/tty; echo got $line; kill -s PIPE $$; exit 3"
    ignored = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        argv = ["sh", "-c", program]
        pid = spawning.spawn_on_terminal("/bin/sh", argv, {}, path, limit)
        os.close(slave)
        assert os.getsid(pid) == pid
        assert os.tcgetpgrp(master) == pid
        os.write(master, b"hello\n")
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGPIPE, "it is not ignored as it is here"
        assert b"got hello" in everything(master)
        for wrong in ("/nowhere", "/dev/null"):
            with pytest.raises(OSError):
                spawning.spawn_on_terminal(wrong, ["x"], {}, path, limit)
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    finally:
        signal.signal(signal.SIGPIPE, ignored)
        os.close(master)


def test_a_program_far_away(tmp_path: Path) -> None:
    """Nobody but the child goes to the directory, and one that does not come back is killed."""
    limit = FileLimit(*raise_file_limit())
    here = os.getcwd()
    master, slave, path = ptys.open_pty(24, 80)
    argv = ["sh", "-c", "pwd; exit 3"]
    pid = spawning.spawn_far("/bin/sh", argv, {}, str(tmp_path), path, limit)
    os.close(slave)
    assert os.getsid(pid) == pid and os.getcwd() == here
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    assert str(tmp_path).encode() in everything(master)
    for program, directory in (("/nowhere", "/"), ("/bin/sh", "/nowhere")):
        with pytest.raises(FileNotFoundError):
            spawning.spawn_far(program, ["x"], {}, directory, path, limit)
    os.close(master)


def test_a_program_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "FAR_SECONDS", 0.1)
    # What the child waits for in our place; its pid is whoever is reaped next.
    monkeypatch.setattr(spawning.os, "chdir", lambda directory: signal.pause())
    limit = FileLimit(*raise_file_limit())
    master, slave, path = ptys.open_pty(24, 80)
    with pytest.raises(TimeoutError, match="does not answer"):
        spawning.spawn_far("/bin/sh", ["sh"], {}, "/", path, limit)
    _, status = os.waitpid(-1, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    close(master, slave)


def test_a_leader_without_posix_spawns_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> int:
        raise NotImplementedError

    monkeypatch.setattr(os, "posix_spawn", refuse)
    pid = spawning.spawn_leader(["/bin/sleep", "100"], {})
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
