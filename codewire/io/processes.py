"""Which processes are a session's, read from /proc, and signalling them without mistakes.

A session's are those that descend from its leader, the Unix sessions they lead or are in, and
those whose terminal is the session's *device*: a terminal's number alone says nothing, since every
devpts instance (container, sandbox) counts from 0. What left all three (a daemon) is found by the
mark in its environment and only named. What cannot be read is left alone. See proc(5), pts(4),
pidfd_open(2), pid_namespaces(7).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from codewire.io.procfs import (
    KEEPER,
    PROC,
    WORKER,
    Process,
    command_words,
    environment_words,
    is_mounted,
    is_upstream_node,
    list_pids,
    node_role,
    read_process,
)

__all__ = ["Process", "read_process"]

# (st_dev, st_rdev) of a terminal's node: the same in two processes only if the terminal is.
Device = tuple[int, int]
# The variable that names a session beyond doubt to whoever reads a process's environment.
MARK_VARIABLE = "CW_SESSION_MARK"
# Bounds on what a process can make us read; both far above what programs have.
MAX_ENVIRONMENT_BYTES = 4 << 20
MAX_DESCRIPTORS = 1024
STANDARD_DESCRIPTORS = ("0", "1", "2")
# A chain of parents is never this long; a loop of reused pids would be.
MAX_PARENTS = 64
# What is at a prompt where signal masks are not shown.
SHELLS = frozenset(("bash", "zsh", "sh", "fish", "dash", "ksh", "tcsh", "csh"))
# Who takes in orphans beside our own keeper.
INIT = 1


def ancestors(pid: int, proc: str = PROC) -> Iterator[int]:
    """Yield a process of our namespace and those it descends from, MAX_PARENTS at most."""
    for _ in range(MAX_PARENTS):
        if pid <= INIT:
            return
        yield pid
        process = read_process(pid, proc)
        pid = process.parent if process is not None else 0


class Trace(NamedTuple):
    """How to know a session's processes that left its tree: by mark, or by terminal."""

    mark: str = ""
    device: Device | None = None


def read_namespace(pid: int | str, proc: str = PROC) -> str:
    """Return the name of a process's pid namespace, "" where it may not be read."""
    try:
        return os.readlink(f"{proc}/{pid}/ns/pid")
    except OSError:
        return ""


def tty_number(device: Device) -> int:
    """Return a terminal's number as stat files have it (tty_nr, proc(5))."""
    major, minor = os.major(device[1]), os.minor(device[1])
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


class ProcessTable:
    """One look at every live process this user can see. `proc` is where procfs is mounted."""

    def __init__(self, proc: str = PROC) -> None:
        """Raises OSError when processes cannot be listed, or no descriptor is left for it."""
        self._proc = proc
        # Elsewhere there are no pid namespaces, and no container's processes to be seen.
        self._has_namespaces = is_mounted(proc)
        self._namespace = read_namespace("self", proc)
        found = (read_process(pid, proc) for pid in list_pids(proc))
        self._by_pid = {process.pid: process for process in found if process is not None}
        self._by_session: dict[int, list[Process]] = {}
        self._by_tty: dict[int, list[Process]] = {}
        self._by_parent: dict[int, list[Process]] = {}
        self._ours = {INIT, os.getpid()}
        for process in self._by_pid.values():
            # 0 is no session: its leader is in a pid namespace around ours, as are many strangers.
            if process.session > 0:
                self._by_session.setdefault(process.session, []).append(process)
            self._by_tty.setdefault(process.tty, []).append(process)
            if process.parent > 0:
                self._by_parent.setdefault(process.parent, []).append(process)
        self._add_ancestors(os.getppid())

    def _add_ancestors(self, pid: int) -> None:
        """Count what we run in as ours: no session holds it, whatever a look may suggest."""
        while pid not in self._ours and (process := self._by_pid.get(pid)) is not None:
            self._ours.add(pid)
            pid = process.parent

    def find(self, pid: int) -> Process | None:
        """Return one process, None when it does not live."""
        return self._by_pid.get(pid)

    def tree(
        self,
        leader: int,
        known: Mapping[int, Process],
        is_gone: bool = False,
        device: Device | None = None,
    ) -> dict[int, Process]:
        """Return the live processes of the session led by `leader`, by pid.

        `is_gone` says that the leader has been reaped, so its pid may be reused. `known` is an
        earlier answer: its members stay in, though their parent may have died since, and so do
        their children. `device` is the session's terminal, where it is known.
        """
        root = self._by_pid.get(leader)
        was = known.get(leader)
        roots: list[Process] = []
        if is_gone or (root is not None and was is not None and was.started != root.started):
            # A living process with that pid is another one, and so is the session it leads.
            roots += self._by_session.get(leader, []) if root is None else []
        elif root is not None:
            roots += [root, *self._by_session.get(leader, [])]
        if device is not None:
            roots += self._on_terminal(device)
        roots += self.alive(known).values()
        return self._spread(roots, leader, follows_sessions=True)

    def alive(self, known: Mapping[int, Process]) -> dict[int, Process]:
        """Return those of an earlier answer that still live, as they are now."""
        return {
            pid: now._replace(namespace=process.namespace)
            for pid, process in known.items()
            if (now := self._by_pid.get(pid)) is not None and now.started == process.started
        }

    def orphans(
        self, traces: Mapping[int, Trace], keeper: int, since: int = 0
    ) -> dict[int, dict[int, Process]]:
        """Return what carries the traces of sessions, with all descendants, by session id and pid.

        Parentage is no matter here: these are daemons, and members too. `keeper` is the process
        that orphans of its sessions fall to, `since` the earliest start in clock ticks.
        """
        marks = {trace.mark: number for number, trace in traces.items() if trace.mark}
        devices = {t.device: number for number, t in traces.items() if t.device is not None}
        roots: dict[int, list[Process]] = {}
        for process in self._by_pid.values():
            # One that hangs in the kernel may hold the lock that reading its memory takes.
            if process.started < since or process.state == "D" or process.pid in self._ours:
                continue
            mark = self._mark(process.pid)
            number = marks.get(mark)
            if not mark and process.parent == keeper:
                held = self._devices(process.pid, STANDARD_DESCRIPTORS)
                number = next((devices[d] for d in held if d in devices), None)
            if number is None or not self._is_near(process):
                continue
            if not self._is_under_node(process, keeper):
                roots.setdefault(number, []).append(process)
        return {
            number: self._spread(found, 0, follows_sessions=False)
            for number, found in roots.items()
        }

    def _spread(
        self, roots: list[Process], leader: int, *, follows_sessions: bool
    ) -> dict[int, Process]:
        """Return `roots` with all that descends from them, and the Unix sessions they are in."""
        queue, members, sessions = list(roots), dict[int, Process](), set[int]()
        while queue:
            process = queue.pop()
            if process.pid in members or process.pid in self._ours:
                continue
            if process.pid != leader and self._is_independent(process, leader, members):
                continue
            namespace = read_namespace(process.pid, self._proc)
            members[process.pid] = process._replace(namespace=namespace)
            queue += self._by_parent.get(process.pid, [])
            if follows_sessions and process.session not in sessions:
                sessions.add(process.session)
                queue += self._by_session.get(process.session, [])
        return members

    def _is_independent(self, process: Process, leader: int, members: Mapping[int, object]) -> bool:
        """Say whether a process is a codewire node, which outlives the session it was started in.

        One that runs in the session's own foreground, or is its command, is a program like others,
        and its worker goes with it.
        """
        role = self._role(process.pid)
        if role == WORKER:
            return process.parent not in members
        return role == KEEPER and process.session != leader

    def _is_under_node(self, process: Process, keeper: int) -> bool:
        """Say whether a process belongs to another node, whose keeper has our session's mark."""
        for _ in range(MAX_PARENTS):
            parent = self._by_pid.get(process.parent)
            if parent is None or parent.pid == keeper or parent.pid in self._ours:
                return False
            if self._role(parent.pid):
                return True
            process = parent
        return False

    def _role(self, pid: int) -> str:
        """Return which of a node's processes this is, by its command line: keeper, worker or ""."""
        try:
            role = node_role(pid, self._proc)
            # Upstream's is one process.
            return role or (KEEPER if is_upstream_node(pid, self._proc) else "")
        except OSError:
            return ""

    def _on_terminal(self, device: Device) -> list[Process]:
        return [
            process
            for process in self._by_tty.get(tty_number(device), [])
            if self._is_near(process) and device in self._devices(process.pid)
        ]

    def _is_near(self, process: Process) -> bool:
        """Say whether a process is surely in our own pid namespace, so no container's."""
        if not self._has_namespaces:
            return True
        return bool(self._namespace) and (
            read_namespace(process.pid, self._proc) == self._namespace
        )

    def _devices(self, pid: int, names: Iterable[str] | None = None) -> Iterator[Device]:
        """Yield the devices that a process has open; none where that may not be seen."""
        directory = f"{self._proc}/{pid}/fd"
        try:
            found = list(names if names is not None else os.listdir(directory)[:MAX_DESCRIPTORS])
        except OSError:
            return
        for name in found:
            path = f"{directory}/{name}"
            try:
                target = os.readlink(path)
                # A file elsewhere may be on a file system that does not answer: not asked.
                if target.startswith("/dev/") or target.rpartition("/")[2].isdigit():
                    status = os.stat(path)
                    yield status.st_dev, status.st_rdev
            except OSError:
                continue

    def _mark(self, pid: int) -> str:
        return read_mark(pid, self._proc)


def read_mark(pid: int, proc: str = PROC) -> str:
    """Return the mark in a process's environment, "" when it has none or may not be read."""
    environment = environment_words(pid, MAX_ENVIRONMENT_BYTES, proc)
    _, found, rest = (b"\0" + environment).partition(f"\0{MARK_VARIABLE}=".encode())
    return rest.partition(b"\0")[0].decode("utf-8", "replace") if found else ""


def signal_process(process: Process, number: int) -> None:
    """Signal exactly this process, never a later one with the same pid."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    except (OSError, AttributeError):
        # A kernel, C library or sandbox without it, or no descriptor left: the check must do.
        if is_still_there(process):
            _kill(process.pid, number)
        return
    try:
        if _pid_of(fd) in (process.pid, None) and is_still_there(process):
            signal.pidfd_send_signal(fd, number)
    except OSError:
        pass
    finally:
        os.close(fd)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass


def is_still_there(process: Process) -> bool:
    """Say whether a pid means the same process as at the look: start time and pid namespace."""
    now = read_process(process.pid)
    if now is None or now.started != process.started:
        return False
    return not process.namespace or read_namespace(process.pid) in (process.namespace, "")


def _pid_of(pidfd: int) -> int | None:
    """Return the pid that /proc knows a pidfd's process by; None where it does not say.

    It is another than ours where /proc belongs to another pid namespace (pidfd_open(2)).
    """
    with open(f"{PROC}/self/fdinfo/{pidfd}", "rb") as file:
        for line in file:
            if line.startswith(b"Pid:"):
                return int(line.split()[1])
    return None


def is_halted(pid: int) -> bool:
    """Say whether a process has been stopped by a signal (SIGSTOP, SIGTSTP) and not continued."""
    process = read_process(pid) if pid > 0 else None
    return process is not None and process.state == "T"


def is_interactive_shell(pid: int) -> bool:
    """Say whether the process ignores what job-control shells at a prompt do: SIGTERM and SIGTSTP.

    A program that only ignores SIGTERM (to finish something) does not count. See SigIgn, proc(5).
    """
    try:
        with open(f"{PROC}/{pid}/status", "rb") as file:
            lines = [line for line in file if line.startswith(b"SigIgn:")]
    except OSError:
        return not is_mounted() and _is_shell_by_name(pid)
    ignored = int(lines[0].split()[1], 16) if lines else 0
    return all(ignored >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGTSTP))


def _is_shell_by_name(pid: int) -> bool:
    """As far as a command line tells: a shell without a script or command."""
    words = [os.fsdecode(word) for word in command_words(pid) if word]
    name = words[0].rpartition("/")[2].removeprefix("-") if words else ""
    return name in SHELLS and all(word[:1] == "-" and "c" not in word for word in words[1:])
