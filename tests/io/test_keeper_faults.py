"""The link between keeper and worker where the machine is short of something, or one is stuck."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import KeeperError
from codewire.io.fds import FileLimit
from codewire.io.wait import wait_readable
from codewire.keeper import protocol
from codewire.keeper.link import Link
from codewire.keeper.processes.children import Child
from codewire.keeper.processes.orphans import Orphans
from codewire.keeper.processes.roster import Roster
from codewire.keeper.workerside import custody as custody_module
from codewire.keeper.workerside import succession
from codewire.keeper.workerside.channel import Channel
from codewire.keeper.workerside.custody import Custody, SpawnOrder
from codewire.keeper.workerside.orders import Hello
from codewire.wire.exits import Exited
from tests.kernel import needs_endings
from tests.processes import is_alive

ORDER = SpawnOrder(1, "/bin/true", ["/bin/true"], {}, "/", 24, 80, {})


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process no room for another descriptor."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Every number below the limit must be in use: fill the gaps.
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    fillers: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, before[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in fillers:
            os.close(fd)


def identity(fd: int) -> int:
    """Return what tells one pipe from another."""
    return os.fstat(fd).st_ino


# The keeper's end


def test_without_room_for_duplicates_nothing_is_lost_or_reordered() -> None:
    """The socket is full, so what is sent must be held; there is no descriptor to hold it with."""
    ours, theirs = socket.socketpair()
    link = Link(ours, select.poll())
    pipes = [os.pipe() for _ in range(6)]
    link.send({"n": -1, "pad": "x" * 1_000_000})
    with no_descriptors():
        for number, (read_end, _) in enumerate(pipes):
            link.send({"n": number}, [read_end])
    channel = Channel(theirs)
    found: list[tuple[int, int]] = []

    def read_all() -> None:
        while len(found) < len(pipes) + 1:
            message, fds = channel.receive() or ({"n": -2}, [])
            found.append((message["n"], identity(fds[0]) if fds else 0))
            for fd in fds:
                os.close(fd)

    reader = threading.Thread(target=read_all)
    reader.start()
    while reader.is_alive():
        link.flush()
        reader.join(0.01)
    wanted = [(number, identity(read_end)) for number, (read_end, _) in enumerate(pipes)]
    assert found == [(-1, 0), *wanted]
    link.close()
    channel.close()
    for pair in pipes:
        for fd in pair:
            os.close(fd)


class Failing:
    """A socket whose calls fail so often with this error, and then work: a seam of Link."""

    def __init__(self, sock: socket.socket, number: int, times: int) -> None:
        self._sock = sock
        self._number = number
        self.left = times

    def _try(self) -> None:
        if self.left:
            self.left -= 1
            raise OSError(self._number, os.strerror(self._number))

    def send(self, data: bytes) -> int:
        self._try()
        return self._sock.send(data)

    def sendmsg(self, *args: Any) -> int:
        self._try()
        return self._sock.sendmsg(*args)

    def recvmsg(self, *args: Any) -> Any:
        self._try()
        return self._sock.recvmsg(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


ERRORS = ["ENOMEM", "ENOBUFS", "EMFILE", "EIO", "ENOSPC"]


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_not_a_lost_worker(name: str) -> None:
    import errno

    ours, theirs = socket.socketpair()
    poller = select.poll()
    failing = Failing(ours, getattr(errno, name), 2)
    link = Link(failing, poller)  # type: ignore[arg-type]
    link.send({"op": "exit", "id": 1})
    assert failing.left == 1
    assert poller.poll(0) == [], "it rests, and does not spin"
    for _ in range(2):
        moment = link.next_moment()
        assert moment is not None
        link.wake(moment)
    channel = Channel(theirs)
    item = channel.receive()
    assert item is not None
    assert item[0]["op"] == "exit"
    failing.left = 1
    channel.send({"op": "hello"})
    assert link.receive(), "an error while reading says nothing about the worker"
    assert link.next_message() is None
    link.wake(link.next_moment() or 0)
    assert link.receive()
    assert link.next_message() is not None
    channel.close()
    assert not link.receive(), "the end of the stream does"
    link.close()


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_not_a_lost_keeper(name: str) -> None:
    import errno

    ours, theirs = socket.socketpair()
    failing = Failing(ours, getattr(errno, name), 2)
    channel = Channel(failing)  # type: ignore[arg-type]
    other = Channel(theirs)
    channel.send({"op": "ready"})
    assert other.receive() == ({"op": "ready"}, [])
    failing.left = 2
    other.send({"op": "stop"})
    assert channel.receive() == ({"op": "stop"}, [])
    other.close()
    assert channel.receive() is None
    with pytest.raises(KeeperError):
        channel.send({"op": "ready"})
    channel.close()


def test_descriptors_that_did_not_arrive_are_missed_in_the_right_message() -> None:
    """The kernel drops them where there is no room; those of the next message stay its own."""
    ours, theirs = socket.socketpair()
    sender, receiver = Channel(ours), Channel(theirs)
    read_end, write_end = os.pipe()
    sender.send({"n": 1}, [read_end])
    with no_descriptors():
        first = receiver.receive()
    sender.send({"n": 2}, [write_end])
    second = receiver.receive()
    assert first is not None
    assert first[0]["n"] == 1
    assert not protocol.is_whole(*first)
    assert second is not None
    assert protocol.is_whole(*second)
    assert identity(second[1][0]) == identity(write_end)
    for fd in (read_end, write_end, *second[1]):
        os.close(fd)
    sender.close()
    receiver.close()


@needs_endings
def test_an_orphan_that_cannot_be_watched_has_not_ended() -> None:
    poller = select.poll()
    orphans = Orphans(poller)
    pid = os.posix_spawn("/bin/sleep", ["sleep", "100"], {})
    child = Child(1, pid, -1, None)
    with no_descriptors():
        orphans.add(child)
        assert orphans.look(1.0) == []
        assert child.pidfd == -1
    moment = orphans.next_moment()
    assert moment is not None
    assert orphans.look(moment) == []
    assert child.pidfd >= 0
    os.kill(pid, 9)
    ((fd, _),) = poller.poll(10_000)
    assert orphans.take_ended(fd) is child
    os.waitpid(pid, 0)


def test_an_abandoned_launch_is_ended_and_nothing_with_its_number() -> None:
    """The next session may have got the same number meanwhile."""
    roster = Roster(select.poll(), FileLimit(*resource.getrlimit(resource.RLIMIT_NOFILE)))
    directory = os.getcwd()
    order = {**ORDER.message(7), "path": "/bin/cat", "argv": ["cat"]}
    first = roster.spawn(order)[0]["pid"]
    second = roster.spawn({**order, "seq": 8})[0]["pid"]
    os.chdir(directory)
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) < 0, "given up by who reused it"
    roster.abandon({"seq": 7, "id": 1})
    assert is_alive(second)
    roster.abandon({"seq": 8, "id": 1})
    assert os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]) < 0
    assert roster.children == {}


# The worker's end


class Bereaved(Custody):
    """Ends with its keeper; the real one would start another, which then rules this process."""

    def _until_replaced(self) -> None:
        raise KeeperError("the keeper has ended")


class Keeper:
    """A keeper in the test's hands; `say` is called with its channel when the worker says hello."""

    def __init__(self, say: Callable[[Channel], None]) -> None:
        ours, self.theirs = socket.socketpair()
        self.channel = Channel(ours)
        null = os.open("/dev/null", os.O_RDONLY)
        self.fds = [null] * protocol.HELLO_FDS
        self._say = say
        threading.Thread(target=self._greet, daemon=True).start()

    def _greet(self) -> None:
        message, _ = self.channel.receive() or ({}, [])
        assert message["op"] == "hello"
        self._say(self.channel)

    def custody(self, **callbacks: Any) -> Custody:
        given = {"on_exit": lambda *_: None, "on_stop": lambda: None, "on_lost": list, **callbacks}
        custody = Bereaved(self.theirs, **given)
        threading.Thread(target=_run_to_the_end, args=(custody,), daemon=True).start()
        return custody


def _run_to_the_end(custody: Custody) -> None:
    with contextlib.suppress(KeeperError):
        custody.run()


HELLO = {"op": "hello", "version": 1, "keeper_pid": 0, "started_ns": 0, "restarts": 0}
HELLO |= {"socket": "", "detached": False, "file_limit": [1, 1], "kept": []}


def say_hello(channel: Channel) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    channel.send(HELLO, [null] * protocol.HELLO_FDS)
    os.close(null)
    channel.send({"op": "ready"})


def test_an_exit_before_hello_is_no_version_difference() -> None:
    """An older keeper tells ends to a worker that it has not greeted yet."""

    def early(channel: Channel) -> None:
        channel.send({"op": "exit", "id": 1, "exit": {"code": 4}})
        channel.send({"op": "exit", "id": 9, "exit": {"code": 5}})
        null = os.open("/dev/null", os.O_RDONLY)
        channel.send(HELLO, [null] * protocol.HELLO_FDS)
        record = {"id": 1, "pid": 2, "meta": {}, "exit": None, "master": False}
        channel.send({"op": "sessions", "sessions": [record]})
        channel.send({"op": "stop"})
        channel.send({"op": "ready"})

    stopping = threading.Event()
    keeper = Keeper(early)
    custody = keeper.custody(on_stop=stopping.set)
    assert [entry.exit for entry in custody.kept] == [Exited(4)]
    assert stopping.wait(10)
    keeper.channel.close()


def test_a_keeper_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launch ends with words; the process that comes late is ended, its terminal closed."""
    monkeypatch.setattr(custody_module, "SPAWN_SECONDS", 0.2)
    keeper = Keeper(say_hello)
    custody = keeper.custody()
    with pytest.raises(KeeperError, match="has not answered"):
        custody.spawn(ORDER)
    read_end, write_end = os.pipe()
    order, _ = keeper.channel.receive() or ({}, [])
    keeper.channel.send({"op": "spawned", "pid": 1, "seq": order["seq"], "id": 1}, [write_end])
    os.close(write_end)
    abandoned, _ = keeper.channel.receive() or ({}, [])
    assert abandoned == {"op": "abandon", "seq": order["seq"], "id": 1}
    assert wait_readable(read_end, 10), "the late terminal is closed"
    assert os.read(read_end, 1) == b""
    os.close(read_end)
    keeper.channel.close()


def test_a_launch_whose_terminal_did_not_arrive_is_ended_again() -> None:
    keeper = Keeper(say_hello)
    custody = keeper.custody()
    failures: list[str] = []

    def launch() -> None:
        try:
            custody.spawn(ORDER)
        except KeeperError as error:
            failures.append(str(error))

    launcher = threading.Thread(target=launch)
    launcher.start()
    order, _ = keeper.channel.receive() or ({}, [])
    # What the receiver sees when its table is full: the message without its descriptor.
    keeper.channel.send({"op": "spawned", "pid": 1, "seq": order["seq"], "id": 1, "fds": 1})
    launcher.join(10)
    assert "too many open files" in failures[0]
    assert (keeper.channel.receive() or ({}, []))[0]["op"] == "abandon"
    keeper.channel.close()


SUCCESSOR = """#!{python}
import socket, sys
sys.path.insert(0, {root!r})
from codewire.keeper.workerside.channel import Channel
channel = Channel(socket.socket(fileno=int(sys.argv[3])))
message, fds = channel.receive()
channel.send({{"op": "adopted", "count": message["count"], "fds_got": len(fds)}})
"""


def test_a_new_keeper_is_started_for_as_long_as_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its program is away, and comes back."""
    program = tmp_path / "python"
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setattr(succession, "program", lambda: [str(program)])
    null = os.open("/dev/null", os.O_RDONLY)
    hello = Hello(1, 0, 0, "", False, [1, 1], {}, *[null] * 5, {"keeper.claim": null})
    attempts: list[float] = []

    def on_lost() -> list[Any]:
        attempts.append(0.0)
        return []

    found: list[Channel] = []
    successor = succession.Succession(hello, on_lost)
    thread = threading.Thread(target=lambda: found.append(successor.next_keeper({})))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive(), "it tries on"
    assert attempts == []
    fresh = tmp_path / "fresh"
    fresh.write_text(SUCCESSOR.format(python=sys.executable, root=root))
    fresh.chmod(0o755)
    fresh.rename(program)
    thread.join(20)
    message, _ = found[0].receive() or ({}, [])
    assert (message["count"], message["fds_got"]) == (0, 6)
    assert hello.keeper_pid != 1
    found[0].close()
    os.waitpid(hello.keeper_pid, 0)
    os.close(null)
