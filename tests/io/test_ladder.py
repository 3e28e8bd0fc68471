"""Processes of a session, found in /proc, and the ladder that ends them; all of them real."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codewire.io.processes import (
    MARK_VARIABLE,
    Process,
    ProcessTable,
    Trace,
    read_process,
    signal_process,
)
from codewire.session import ladder as ladder_module
from codewire.session.ladder import Ladder
from codewire.wire.exits import Exit, Exited
from tests.support import is_alive, wait_until


class Leader:
    """A program in its own Unix session, and what the ladder asks of a session."""

    def __init__(self, number: int, script: str, cwd: Path) -> None:
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.id = number
        self.record = self
        self.pid = self.process.pid
        self.ended = threading.Event()
        self.is_running = lambda: not self.ended.is_set()
        self.exit: Exit | None = None
        self._wakers: list[threading.Event] = []
        self._stopping = threading.Event()
        self._reaper = threading.Thread(target=self._reap)
        self._reaper.start()

    def _reap(self) -> None:
        """Notice its end as the keeper does, and say so as the lifecycle does."""
        while self.process.poll() is None:
            if self._stopping.wait(0.005):
                return
        self.exit = Exited(self.process.returncode)
        self.ended.set()
        for waker in self._wakers:
            waker.set()

    def watch(self, waker: threading.Event) -> None:
        self._wakers.append(waker)

    def unwatch(self, waker: threading.Event) -> None:
        self._wakers.remove(waker)

    def signal_group(self, number: int) -> None:
        if self.exit is None:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                pass

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._stopping.set()
        self._reaper.join()


Start = Callable[[str], Leader]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    leaders: list[Leader] = []

    def one(script: str) -> Leader:
        leaders.append(Leader(len(leaders) + 1, script, tmp_path))
        return leaders[-1]

    yield one
    for leader in leaders:
        leader.close()


def climb(
    leaders: list[Leader],
    grace: float,
    traces: dict[int, Trace] | None = None,
    takes_daemons: bool = False,
) -> dict[int, list[Process]]:
    by_id = {leader.id: leader for leader in leaders}
    ladder = Ladder(
        leaders,  # type: ignore[arg-type]
        lambda number, what: by_id[number].signal_group(what),
        grace,
        traces,
        takes_daemons=takes_daemons,
    )
    return ladder.climb()


def tree_of(leader: Leader) -> set[int]:
    return set(ProcessTable().tree(leader.pid, {}))


def grown(leader: Leader, count: int) -> set[int]:
    return wait_until(
        lambda: len(tree := tree_of(leader)) >= count and tree, 30, "the tree has grown"
    )  # type: ignore[return-value]


def test_the_tree_holds_all_descendants(start: Start) -> None:
    leader = start(
        "setsid sh -c 'setsid sleep 101 & sleep 102' & sleep 103 & sh -c 'sleep 104 & wait' & wait"
    )
    tree = grown(leader, 7)
    other = start("sleep 105 & wait")
    grown(other, 2)
    assert tree == tree_of(leader)
    assert not tree & tree_of(other)
    assert os.getpid() not in tree
    assert climb([leader], 2) == {}
    assert not any(map(is_alive, tree))
    assert is_alive(other.pid)


def test_members_stay_known_when_their_parents_die(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    leader = start("setsid sh -c 'sleep 101 & wait' & read line < go")
    grown(leader, 3)
    known = ProcessTable().tree(leader.pid, {})
    (tmp_path / "go").write_text("\n")
    assert leader.ended.wait(10)
    left = ProcessTable().tree(leader.pid, known, is_gone=True)
    assert 2 <= len(left) < len(known)
    assert leader.pid not in left
    for process in left.values():
        signal_process(process, signal.SIGKILL)


def test_a_program_that_ignores_sigterm_has_its_grace_time(start: Start, tmp_path: Path) -> None:
    """Only a shell at its prompt is hung up at once."""
    leader = start("trap '' TERM; touch ready; sleep 0.6; touch finished")
    wait_until((tmp_path / "ready").exists, 30, "the trap is set")
    assert climb([leader], 10) == {}
    assert (tmp_path / "finished").exists()


def test_sigterm_is_enough_for_most(start: Start) -> None:
    leaders = [start("sleep 100") for _ in range(5)]
    started = time.monotonic()
    assert climb(leaders, 60) == {}
    assert time.monotonic() - started < 30, "the grace time was waited out"
    assert {leader.process.wait(5) for leader in leaders} == {-signal.SIGTERM}


def test_the_stubborn_get_their_time_then_sigkill(start: Start, tmp_path: Path) -> None:
    leader = start("trap '' TERM HUP; touch ready; while :; do sleep 0.05; done")
    wait_until((tmp_path / "ready").exists, 30, "the trap is set")
    started = time.monotonic()
    assert climb([leader], 0.3) == {}
    assert 0.3 <= time.monotonic() - started < 30
    assert leader.process.wait(5) == -signal.SIGKILL


def test_a_stopped_process_is_ended_too(start: Start, tmp_path: Path) -> None:
    leader = start("trap 'touch cleaned; exit 7' TERM; touch ready; while :; do sleep 0.05; done")
    wait_until((tmp_path / "ready").exists, 30, "the trap is set")
    os.kill(leader.pid, signal.SIGSTOP)
    wait_until(lambda: (p := read_process(leader.pid)) and p.state == "T", 30, "it has stopped")
    assert climb([leader], 10) == {}
    assert leader.process.wait(5) == 7
    assert (tmp_path / "cleaned").exists()


def test_survivors_are_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no signal ends (it sits in the kernel) is told by pid and name."""
    leader = start("setsid sleep 100 & exec sleep 101")
    tree = grown(leader, 2)
    (stuck,) = tree - {leader.pid}
    wait_until(lambda: (p := read_process(stuck)) and p.command == "sleep", 30)

    def signal_others(process: Process, number: int) -> None:
        if process.pid != stuck:
            signal_process(process, number)
            # However long the leader takes to die, it is not among the survivors.
            assert leader.ended.wait(10)

    monkeypatch.setattr(ladder_module, "signal_process", signal_others)
    monkeypatch.setattr(ladder_module, "KILL_SECONDS", 0.2)
    survivors = climb([leader], 0.2)
    assert [(p.pid, p.command) for p in survivors[leader.id]] == [(stuck, "sleep")]
    os.kill(stuck, signal.SIGKILL)


def test_the_leader_may_be_gone_already(start: Start) -> None:
    leader = start("exit 0")
    assert leader.ended.wait(10)
    assert climb([leader], 0.2) == {}


GUARD = """
trap '' TERM HUP
while :; do
    setsid sh -c 'echo $$ >> pids; exec sleep 1000' &
    wait $!
done
"""


def test_what_starts_its_child_anew_is_stopped_first(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that dies is replaced, in a Unix session of its own, before its parent is killed."""
    (tmp_path / "guard").write_text(GUARD)
    leader = start("setsid sh guard & echo $! > guard.pid; wait")
    guard = int(str(wait_until(lambda: read(tmp_path / "guard.pid"), 30)))
    child = int(str(wait_until(lambda: read(tmp_path / "pids"), 30)))
    wait_until(lambda: (p := read_process(child)) and p.command == "sleep", 30)
    killed: list[int] = []

    def kill_slowly(process: Process, number: int) -> None:
        if number == signal.SIGKILL and not killed:
            killed.append(child)
            os.kill(child, signal.SIGKILL)
            wait_until(
                lambda: is_stopped(guard) or len(read(tmp_path / "pids").split()) > 1,
                30,
                "the guard has noticed, or cannot",
            )
        signal_process(process, number)

    monkeypatch.setattr(ladder_module, "signal_process", kill_slowly)
    try:
        assert climb([leader], 0.2) == {}
        started = [int(pid) for pid in read(tmp_path / "pids").split()]
        assert killed and not any(map(is_alive, [guard, *started]))
    finally:
        for pid in read(tmp_path / "pids").split():
            if is_alive(int(pid)):
                os.kill(int(pid), signal.SIGKILL)


def read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def is_stopped(pid: int) -> bool:
    process = read_process(pid)
    return process is None or process.state == "T"


# Its parent ends at once, and it leads a Unix session of its own.
DAEMON = "(setsid sh -c 'echo $$ > daemon; exec sleep 1000' </dev/null >/dev/null 2>&1 &)"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[], int]]:
    def pid() -> int:
        number = int(str(wait_until(lambda: read(tmp_path / "daemon"), 30, "it has started")))
        wait_until(lambda: (p := read_process(number)) and p.command == "sleep", 30)
        return number

    yield pid
    left = read(tmp_path / "daemon")
    if left and is_alive(int(left)):
        os.kill(int(left), signal.SIGKILL)


@pytest.mark.parametrize("takes_daemons", [False, True])
def test_a_daemon_is_named_unless_it_is_to_be_ended(
    start: Start, daemon: Callable[[], int], takes_daemons: bool
) -> None:
    mark = f"1-{time.time_ns()}"
    leader = start(f"export {MARK_VARIABLE}={mark}; {DAEMON}; exec sleep 1000")
    pid = daemon()
    left = climb([leader], 5, {leader.id: Trace(mark)}, takes_daemons)
    assert not is_alive(leader.pid)
    if takes_daemons:
        assert left == {} and not is_alive(pid)
    else:
        assert [(p.pid, p.is_daemon) for p in left[leader.id]] == [(pid, True)]
        assert is_alive(pid)


def test_a_daemon_is_no_last_child_however_young(
    start: Start, daemon: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start times are in hundredths of a second; what counts is what was there before."""
    mark = f"1-{time.time_ns()}"
    leader = start(f"export {MARK_VARIABLE}={mark}; {DAEMON}; exec sleep 1000")
    pid = daemon()
    monkeypatch.setattr(ladder_module, "_boot_ticks", lambda: 0)
    left = climb([leader], 5, {leader.id: Trace(mark)})
    assert [(p.pid, p.is_daemon) for p in left[leader.id]] == [(pid, True)]
    assert is_alive(pid)


def test_a_helper_that_ends_with_its_session_is_no_survivor(start: Start, tmp_path: Path) -> None:
    mark = f"1-{time.time_ns()}"
    (tmp_path / "helper").write_text("echo $$ > daemon; read line < pipe")
    os.mkfifo(tmp_path / "pipe")
    leader = start(f"export {MARK_VARIABLE}={mark}; (setsid sh helper &); exec sleep 1000 > pipe")
    helper = int(str(wait_until(lambda: read(tmp_path / "daemon"), 30)))
    wait_until(lambda: (p := read_process(leader.pid)) and p.command == "sleep", 30)
    assert climb([leader], 5, {leader.id: Trace(mark)}) == {}
    assert not is_alive(helper)


def test_a_finished_session_is_known_by_its_mark_alone(
    start: Start, daemon: Callable[[], int]
) -> None:
    """Its pid may be anybody's: here it is a stranger's that leads a Unix session."""
    mark = f"1-{time.time_ns()}"
    finished = start(f"export {MARK_VARIABLE}={mark}; {DAEMON}; exit 0")
    assert finished.ended.wait(10)
    stranger = start("sleep 1000 & wait")
    members = grown(stranger, 2)
    finished.pid = stranger.pid
    finished.exit = None
    pid = daemon()
    assert climb([finished], 5, {finished.id: Trace(mark)}, takes_daemons=True) == {}
    assert not is_alive(pid)
    assert all(map(is_alive, members))
    finished.pid = finished.process.pid


def test_the_last_child_of_a_dying_parent_is_ended(start: Start, tmp_path: Path) -> None:
    """It was never in the tree that a look saw: its parent has died of SIGTERM meanwhile."""
    mark = f"1-{time.time_ns()}"
    last = "trap '' TERM HUP; echo $$ > last; exec sleep 1000"
    (tmp_path / "parent").write_text(
        f'trap "setsid sh -c \\"{last.replace("$", chr(92) + "$")}\\" & exit" TERM\n'
        "touch ready\nwhile :; do sleep 0.05; done\n"
    )
    leader = start(f"export {MARK_VARIABLE}={mark}; exec sh parent")
    wait_until((tmp_path / "ready").exists, 30, "the trap is set")
    assert climb([leader], 0.5, {leader.id: Trace(mark)}) == {}
    pid = int(str(wait_until(lambda: read(tmp_path / "last"), 30)))
    assert not is_alive(pid)


def test_without_proc_the_process_group_is_ended(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hidden, not mounted, or no descriptor left to read it with."""

    def none() -> ProcessTable:
        raise OSError("no /proc")

    leader = start("trap '' TERM; sleep 1000 & wait")
    tree = grown(leader, 2)
    monkeypatch.setattr(ladder_module, "ProcessTable", none)
    assert climb([leader], 0.2) == {}
    wait_until(lambda: not any(map(is_alive, tree)), 30, "both are gone")
