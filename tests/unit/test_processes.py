"""Which processes count as a session's, over a made-up /proc: nothing here is signalled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codewire.io.processes import (
    MARK_VARIABLE,
    Device,
    Process,
    ProcessTable,
    Trace,
    is_halted,
    read_process,
    tty_number,
)

KEEPER, LEADER = 50, 100
HERE, CONTAINER = "pid:[1]", "pid:[2]"
# Devices that everybody has stand for terminals.
OURS, THEIRS = "/dev/null", "/dev/zero"
KEEPER_ARGV = ("python3", "/opt/cw.py", "keeper", "--detached")


def device(path: str) -> Device:
    status = os.stat(path)
    return status.st_dev, status.st_rdev


class FakeProc:
    """A directory that looks like /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._write("self", 1, HERE, ())

    def _write(self, name: str, pid: int, namespace: str, argv: tuple[str, ...]) -> Path:
        directory = self.root / name
        for part in ("fd", "ns"):
            (directory / part).mkdir(parents=True)
        (directory / "ns" / "pid").symlink_to(namespace)
        (directory / "cmdline").write_text("".join(f"{word}\0" for word in argv))
        return directory

    def add(
        self,
        pid: int,
        parent: int = 1,
        session: int = 0,
        *,
        tty: int = 0,
        fds: dict[str, str] | None = None,
        started: int = 1000,
        state: str = "S",
        namespace: str = HERE,
        environment: str = "",
        argv: tuple[str, ...] = ("prog",),
    ) -> None:
        directory = self._write(str(pid), pid, namespace, argv)
        rest = " ".join("0" for _ in range(14))
        stat = f"{pid} (prog) {state} {parent} {pid} {session or pid} {tty} {rest} {started} 0"
        (directory / "stat").write_text(stat)
        (directory / "environ").write_bytes(environment.encode())
        for name, path in (fds or {}).items():
            (directory / "fd" / name).symlink_to(path)

    def table(self) -> ProcessTable:
        return ProcessTable(str(self.root))

    def tree(self, *, known: dict[int, Process] | None = None, is_gone: bool = False) -> list[int]:
        return sorted(self.table().tree(LEADER, known or {}, is_gone, device(OURS)))

    def orphans(self, *marks: str, since: int = 0) -> dict[int, list[int]]:
        traces = {number: Trace(mark, device(OURS)) for number, mark in enumerate(marks, 1)}
        found = self.table().orphans(traces, KEEPER, since)
        return {number: sorted(processes) for number, processes in found.items()}


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


def test_the_stat_line_is_read(proc: FakeProc) -> None:
    proc.add(7, 3, 5, tty=34816, started=77)
    found = read_process(7, str(proc.root))
    assert found == Process(7, 3, 5, 34816, 77, "S", "prog")
    assert read_process(8, str(proc.root)) is None


@pytest.mark.parametrize("text", ["", "7", "7 (x", "7 (x) S 1", "7 (x) S a b c d e f"])
def test_a_line_that_is_none_is_no_process(proc: FakeProc, text: str) -> None:
    proc.add(7)
    (proc.root / "7" / "stat").write_text(text)
    assert read_process(7, str(proc.root)) is None


def test_terminal_numbers_are_the_kernels() -> None:
    assert tty_number((0, os.makedev(136, 3))) == 136 << 8 | 3
    assert tty_number((0, os.makedev(136, 300))) == (300 & 0xFF) | 136 << 8 | (300 & ~0xFF) << 12


def test_descendants_and_their_unix_sessions_belong(proc: FakeProc) -> None:
    proc.add(LEADER, KEEPER)
    proc.add(101, LEADER, LEADER)
    proc.add(102, 101)  # leads a Unix session of its own
    proc.add(103, 1, 102)  # lost its parent, is still in that
    proc.add(104, 1, LEADER)
    proc.add(200, KEEPER)
    proc.add(201, 200, 200)
    assert proc.tree() == [LEADER, 101, 102, 103, 104]


def test_an_equal_terminal_number_is_another_terminal(proc: FakeProc) -> None:
    """Two devpts instances both have a /dev/pts/0."""
    number = tty_number(device(OURS))
    proc.add(LEADER, KEEPER, tty=number, fds={"0": OURS})
    proc.add(300, 1, tty=number, fds={"0": THEIRS, "1": THEIRS})
    proc.add(301, 300, 300, tty=number, fds={"2": THEIRS})
    assert proc.tree() == [LEADER]


def test_the_same_device_belongs(proc: FakeProc) -> None:
    number = tty_number(device(OURS))
    proc.add(LEADER, KEEPER)
    proc.add(300, 1, tty=number, fds={"0": THEIRS, "255": OURS})
    proc.add(301, 300, 300)
    proc.add(302, 1, fds={"0": OURS})  # it has it open, and no or another terminal of its own
    assert proc.tree() == [LEADER, 300, 301]


def test_what_cannot_be_read_is_left_alone(proc: FakeProc) -> None:
    """Another user's process: neither its descriptors nor its namespace may be seen."""
    number = tty_number(device(OURS))
    proc.add(LEADER, KEEPER)
    proc.add(300, 1, tty=number)
    (proc.root / "300" / "fd").rmdir()
    proc.add(301, 1, tty=number, fds={"0": OURS})
    (proc.root / "301" / "ns" / "pid").unlink()
    proc.add(302, 1, tty=number, fds={"0": OURS}, namespace=CONTAINER)
    assert proc.tree() == [LEADER]


def test_session_0_is_nobodys(proc: FakeProc) -> None:
    """Processes whose Unix session is led from a pid namespace around ours all have number 0."""
    for pid in (300, 301):
        proc.add(pid, 0)
        stat = proc.root / str(pid) / "stat"
        stat.write_text(stat.read_text().replace(f" 0 {pid} {pid} ", f" 0 {pid} 0 "))
    assert read_process(300, str(proc.root)).session == 0  # type: ignore[union-attr]
    table = proc.table()
    for is_gone in (False, True):
        assert table.tree(0, {}, is_gone) == {}
    known = table.tree(300, {})
    assert list(known) == [300], "not with whoever else is in 0"


def test_a_reused_pid_is_another(proc: FakeProc) -> None:
    known = {LEADER: Process(LEADER, KEEPER, LEADER, 0, 999, "S", "prog")}
    proc.add(LEADER, 1, started=1000)
    proc.add(101, LEADER, LEADER)
    assert proc.tree(known=known) == []
    assert proc.tree(is_gone=True) == []


def test_we_and_what_we_run_in_never_belong(proc: FakeProc) -> None:
    proc.add(os.getppid(), 1)
    proc.add(os.getpid(), os.getppid(), os.getppid())
    table = proc.table()
    assert table.tree(os.getpid(), {}) == table.tree(os.getppid(), {}) == {}


def test_a_node_started_inside_is_left_alone(proc: FakeProc) -> None:
    proc.add(LEADER, KEEPER)
    proc.add(101, LEADER, argv=KEEPER_ARGV)
    proc.add(102, 101, argv=("python3", "/opt/cw.py", "worker", "5"))
    proc.add(103, 101)
    # Detached as auto-start does it: it leads no Unix session, its parents are gone or not yet.
    proc.add(104, LEADER, 105, argv=KEEPER_ARGV)
    assert proc.tree() == [LEADER]


def test_a_node_in_the_foreground_is_a_program_like_others(proc: FakeProc) -> None:
    proc.add(LEADER, KEEPER)
    proc.add(110, LEADER, LEADER, argv=KEEPER_ARGV)
    proc.add(111, 110, argv=("python3", "/opt/cw.py", "worker", "5"))
    proc.add(112, LEADER, argv=("python3", "zoo.py", "keeper", "--lions"))
    assert proc.tree() == [LEADER, 110, 111, 112]


def test_a_session_whose_command_is_a_node_is_one(proc: FakeProc) -> None:
    proc.add(LEADER, KEEPER, argv=KEEPER_ARGV)
    assert proc.tree() == [LEADER]


def test_daemons_are_known_by_their_mark(proc: FakeProc) -> None:
    mark = f"A=b\0{MARK_VARIABLE}=1-77\0C=d"
    proc.add(200, 1, environment=mark)
    proc.add(201, 200, 200)
    proc.add(300, 1, environment=f"X{MARK_VARIABLE}=1-77\0")
    proc.add(301, 1, environment=f"{MARK_VARIABLE}=1-778")
    proc.add(302, 1, environment=mark, namespace=CONTAINER)
    proc.add(303, 1, environment=mark, argv=KEEPER_ARGV)
    proc.add(304, 1, environment=mark, started=10)
    assert proc.orphans("1-77", since=11) == {1: [200, 201]}
    assert proc.orphans("1-77") == {1: [200, 201, 304]}
    assert proc.orphans("9-9") == {}


def test_sessions_of_a_node_inside_are_not_ours(proc: FakeProc) -> None:
    """A node that sets no marks hands on the one it was started with."""
    mark = f"{MARK_VARIABLE}=1-77"
    proc.add(KEEPER, 1, argv=KEEPER_ARGV)
    proc.add(200, KEEPER, environment=mark)
    proc.add(300, KEEPER, 299, environment=mark, argv=("/usr/bin/cw", "node"))
    proc.add(301, 300, environment=mark)
    proc.add(302, 301, 301, environment=mark)
    assert proc.orphans("1-77") == {1: [200]}


def test_a_daemon_without_environment_is_known_by_its_terminal(proc: FakeProc) -> None:
    proc.add(200, KEEPER, fds={"1": OURS})
    proc.add(201, KEEPER, fds={"1": THEIRS})
    proc.add(202, KEEPER, fds={"7": OURS})
    proc.add(203, 1, fds={"1": OURS})  # whoever writes to our terminal
    proc.add(204, KEEPER, fds={"1": OURS}, environment=f"{MARK_VARIABLE}=3-1")
    assert proc.orphans("1-77") == {1: [200]}


def test_no_proc_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        ProcessTable(str(tmp_path / "none"))


def test_nobody_is_halted_without_a_pid() -> None:
    assert not is_halted(0)
    assert not is_halted(os.getpid())
