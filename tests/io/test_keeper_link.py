"""A real keeper, spoken to by a test in the worker's place."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.errors import KeeperError
from codewire.io.fds import FileLimit
from codewire.io.unix import receive_with_fds
from codewire.io.wait import wait_readable
from codewire.keeper import protocol
from codewire.keeper.link import Link
from codewire.keeper.processes.children import Child, spawn_child
from codewire.keeper.workerside.custody import Custody, Hello, SpawnFailed, SpawnOrder
from codewire.wire.exits import Exit, Exited, Signalled
from tests.support import REPOSITORY, is_alive, wait_until

PIPE_MESSAGES = 500


def test_messages_keep_their_order_and_descriptors() -> None:
    """Cut anywhere, with descriptors on every third message."""
    poller = select.poll()
    ours, theirs = socket.socketpair()
    link = Link(ours, poller)
    reader = protocol.MessageReader()
    null = os.open("/dev/null", os.O_RDONLY)
    received: list[tuple[int, int]] = []

    def read_all() -> None:
        while len(received) < PIPE_MESSAGES:
            assert wait_readable(theirs.fileno(), 10)
            data, fds = receive_with_fds(theirs, 777)
            reader.feed(data, fds)
            while (item := reader.next_message()) is not None:
                message, with_it = item
                received.append((message["n"], len(with_it)))
                for fd in with_it:
                    os.close(fd)

    consumer = threading.Thread(target=read_all)
    consumer.start()
    for number in range(PIPE_MESSAGES):
        link.send(
            {"n": number, "pad": "x" * (number * 37 % 5000)}, [null] * (2 * (number % 3 == 0))
        )
    while consumer.is_alive():
        link.flush()
        consumer.join(0.01)
    assert received == [(number, 2 * (number % 3 == 0)) for number in range(PIPE_MESSAGES)]
    link.close()
    theirs.close()
    os.close(null)


def test_a_stalled_worker_does_not_block_the_keeper() -> None:
    poller = select.poll()
    ours, theirs = socket.socketpair()
    link = Link(ours, poller)
    for _ in range(200):
        link.send({"pad": "x" * 10_000})  # far more than a socket holds
    reader, writer = os.pipe()
    link.send({"with": "fd"}, [writer])
    os.close(writer)
    link.close()
    link.close()
    # The end of the pipe shows that no duplicate of its writing end is left.
    assert wait_readable(reader, 10), "queued descriptors are closed"
    assert os.read(reader, 1) == b""
    os.close(reader)
    with pytest.raises(OSError):
        theirs.sendall(b"x")
    theirs.close()


def test_a_message_without_bounds_is_refused() -> None:
    reader = protocol.MessageReader()
    reader.feed((protocol.MAX_MESSAGE + 1).to_bytes(4, "big"), [])
    with pytest.raises(KeeperError):
        reader.next_message()


def test_versions_that_differ_are_named() -> None:
    protocol.check_version(protocol.VERSION)
    for other in (protocol.VERSION + 1, None, "1"):
        with pytest.raises(KeeperError, match="cw stop"):
            protocol.check_version(other)


# A keeper whose worker is the test: a lost worker is killed, so it is given another pid than ours.
KEEPER = """
import os, socket, sys
from codewire.keeper.process import Keeper
from codewire.paths import data_dir

keeper = Keeper(data_dir(), False)
keeper.open()
keeper.use_link(socket.socket(fileno=int(sys.argv[1])))
keeper._worker.pid = os.posix_spawn("/bin/sleep", ["sleep", "100"], {})
sys.exit(keeper.run())
"""


def descriptors_of(hello: Hello) -> list[int]:
    """Return the descriptors that came with a Hello."""
    fds = [hello.listener, hello.lock, hello.pipe_read, hello.pipe_write, hello.note]
    return [*fds, *hello.listeners.values(), *hello.carried.values()]


class Bereaved(Custody):
    """Ends with its keeper; the real one would start another, which then rules this process."""

    def _until_replaced(self) -> None:
        raise KeeperError("the keeper has ended")


class Worker:
    """The worker's side, in this process; the keeper is a child."""

    def __init__(self, home: Path) -> None:
        self.exits: dict[int, dict[str, object]] = {}
        self.halts: list[tuple[int, bool]] = []
        self.stopping = threading.Event()
        ours, theirs = socket.socketpair()
        fd = theirs.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(fd)],
            env={**os.environ, "CODEWIRE_DIR": str(home), "PYTHONPATH": str(REPOSITORY)},
            pass_fds=[fd],
            stderr=subprocess.DEVNULL,
        )
        self.keeper = self.process.pid
        theirs.close()
        self.custody = Bereaved(
            ours,
            on_exit=lambda number, how: self.exits.update({number: how}),
            on_stop=self.stopping.set,
            on_lost=list,
            on_halted=lambda number, halted: self.halts.append((number, halted)),
        )
        self.masters: list[int] = []
        self._sock = ours
        self._listener = threading.Thread(target=self._run, daemon=True)
        self._listener.start()

    def close(self) -> None:
        """Say that all is over and go, as a worker does."""
        self.custody.stopped()
        self._sock.shutdown(socket.SHUT_RDWR)
        self._listener.join(10)
        self._sock.close()
        for fd in descriptors_of(self.custody.hello):
            os.close(fd)

    def _run(self) -> None:
        try:
            self.custody.run()
        except KeeperError:
            return

    def spawn(self, number: int, *argv: str, cwd: str = "/") -> int:
        order = SpawnOrder(number, argv[0], list(argv), {"A": "b"}, cwd, 24, 80, {"id": number})
        pid, master = self.custody.spawn(order)
        self.masters.append(master)
        return pid

    def exit_of(self, number: int) -> Exit:
        return wait_until(lambda: self.exits.get(number), 30, f"the exit of {number}")  # type: ignore[return-value]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path / "data")
    yield worker
    for fd in worker.masters:
        os.close(fd)
    worker.close()
    assert worker.process.wait(10) == 0


def test_a_child_is_started_and_its_end_told(worker: Worker) -> None:
    worker.spawn(1, "/bin/sh", "-c", "exit 42")
    worker.spawn(2, "/bin/sh", "-c", "kill -9 $$")
    assert worker.exit_of(1) == Exited(42)
    assert worker.exit_of(2) == Signalled(9)


def test_a_child_that_is_stopped_and_goes_on_is_told(worker: Worker) -> None:
    script = "trap 'exit 3' TERM; kill -STOP $$; while :; do sleep 0.05; done"
    pid = worker.spawn(1, "/bin/sh", "-c", script)
    wait_until(lambda: worker.halts == [(1, True)], 30, "the stop is told")
    assert is_alive(pid)
    worker.custody.signal(1, signal.SIGCONT)
    wait_until(lambda: worker.halts == [(1, True), (1, False)], 30, "that it goes on is told")
    worker.custody.signal(1, signal.SIGTERM)
    assert worker.exit_of(1) == Exited(3)


def test_a_worker_is_told_of_halts_only_after_its_greeting() -> None:
    """Before that it expects `hello`; who is stopped is in the records that come with it."""
    ours, theirs = socket.socketpair()
    link = Link(ours, select.poll())
    child = Child(1, 2, -1, None)
    child.halted = True
    link.tell_halted(child)
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    assert child.describe()["halted"] is True
    link.is_greeted = True
    link.tell_halted(child)
    assert b"halted" in theirs.recv(1000)
    link.close()
    theirs.close()


def test_signals_reach_the_group(worker: Worker) -> None:
    pid = worker.spawn(1, "/bin/sh", "-c", "sleep 100 & wait")
    worker.custody.signal(1, signal.SIGTERM)
    assert worker.exit_of(1) == Signalled(15)
    worker.custody.signal(1, signal.SIGTERM)
    assert not is_alive(pid)


def test_a_failed_start_is_told_with_its_cause(worker: Worker) -> None:
    for path, cwd, words in [
        ("/no/such/file", "/", "no such file"),
        ("/etc/passwd", "/", "permission denied"),
        ("/bin/true", "/no/such/directory", "no such file"),
    ]:
        with pytest.raises(SpawnFailed, match=words):
            worker.spawn(1, path, cwd=cwd)
    worker.spawn(2, "/bin/sh", "-c", "exit 5")
    assert worker.exit_of(2) == Exited(5)


def test_who_waits_for_a_keeper_that_died_is_told(worker: Worker) -> None:
    """At once, not after all the time that a keeper may take."""
    told: list[str] = []

    def launch() -> None:
        try:
            worker.spawn(1, "/bin/true")
        except KeeperError as error:
            told.append(str(error))

    os.kill(worker.keeper, signal.SIGSTOP)
    try:
        thread = threading.Thread(target=launch)
        thread.start()
        wait_until(lambda: worker.custody._pending, 30, "the launch waits")
        worker.custody._tell_waiters()
        thread.join(10)
    finally:
        os.kill(worker.keeper, signal.SIGCONT)
    assert told == ["the keeper was replaced while it started the session; try again"]


def test_the_keeper_holds_no_more_than_it_must(worker: Worker) -> None:
    def held() -> int:
        return len(os.listdir(f"/proc/{worker.keeper}/fd"))

    before = held()
    for number in range(1, 31):
        worker.spawn(number, "/bin/true")
        worker.exit_of(number)
    assert held() == before + 30, "one master each"
    for number in range(1, 31):
        worker.custody.release(number)
    wait_until(lambda: held() == before, 30, "the masters are closed")
    for number in range(1, 31):
        worker.custody.forget(number)
    worker.spawn(99, "/bin/true")
    assert worker.exit_of(99) == Exited(0)


def test_a_listener_can_be_left_with_the_keeper(worker: Worker) -> None:
    before = len(os.listdir(f"/proc/{worker.keeper}/fd"))
    with socket.socket() as listener:
        worker.custody.keep("extra", os.dup(listener.fileno()))
        wait_until(
            lambda: len(os.listdir(f"/proc/{worker.keeper}/fd")) == before + 1, 30, "it has it"
        )


def test_a_stop_reaches_the_worker(worker: Worker) -> None:
    os.kill(worker.keeper, signal.SIGTERM)
    assert worker.stopping.wait(10)


def terminals_held() -> int:
    """Return how many ends of pseudo-terminals this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one that read the directory, for instance
        count += "/ptmx" in target or "/pts/" in target
    return count


def test_a_spawn_that_fails_leaves_no_descriptor() -> None:
    before = terminals_held()
    directory = os.getcwd()
    limit = FileLimit(*resource.getrlimit(resource.RLIMIT_NOFILE))
    order = {"rows": 24, "cols": 80, "cwd": "/", "path": "/none", "argv": ["x"], "env": {}}
    try:
        for _ in range(5):
            with pytest.raises(OSError):
                spawn_child({**order, "id": 1, "meta": None}, limit)
            with pytest.raises(OSError):
                spawn_child({**order, "cwd": "/none", "id": 1, "meta": None}, limit)
    finally:
        os.chdir(directory)
    assert terminals_held() == before
