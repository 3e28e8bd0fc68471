"""Ending sessions for sure: SIGTERM, a grace time, SIGSTOP, SIGKILL, over all they started.

SIGTERM goes to the process group and every other process of the session's tree. An interactive
shell ignores it by design and gets the SIGHUP of a closing terminal instead. What is left after
the grace time is first stopped, until a look finds nothing new: a program that starts a child anew
as soon as that dies would otherwise be one step ahead. See signal(7).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from codewire.io.clock import CLOCK
from codewire.io.processes import (
    INIT,
    Process,
    ProcessTable,
    Trace,
    is_interactive_shell,
    is_still_there,
    signal_process,
)
from codewire.session.session import Session

# How often the end is looked for: soon at first, then seldom.
FIRST_LOOK_SECONDS = 0.01
LAST_LOOK_SECONDS = 0.2
# A look at thousands of processes takes a while: it may take one part in so many of our time.
LOOK_SHARE = 20
# After SIGKILL only a process stuck in the kernel stays (uninterruptible sleep).
KILL_SECONDS = 3.0
# Part of those: how long processes are stopped before they are killed, and the pause between looks.
FREEZE_SECONDS = 1.0
FREEZE_LOOK_SECONDS = 0.005
# Many a helper ends by itself once its session has: it gets so long before it is named.
LINGER_SECONDS = 0.5
LINGER_LOOK_SECONDS = 0.05


class Ladder:
    """One climb for one or many sessions at once."""

    def __init__(
        self,
        sessions: Sequence[Session],
        signal_group: Callable[[int, int], None],
        grace_seconds: float,
        traces: Mapping[int, Trace] | None = None,
        keeper: int = INIT,
        takes_daemons: bool = False,
    ) -> None:
        """`signal_group(session id, signal)` reaches the leader's process group.

        `traces` tell the processes that left a session's tree, by its id; with `takes_daemons` they
        are ended, too. `keeper` is the process they became children of.
        """
        self._sessions = sessions
        self._signal_group = signal_group
        self._grace = grace_seconds
        self._traces = traces or {}
        self._keeper = keeper
        self._takes_daemons = takes_daemons
        self._members: dict[int, dict[int, Process]] = {s.id: {} for s in sessions}
        self._finished = {s.id for s in sessions if not s.is_running()}
        self._born: dict[int, int] = {}
        self._began = _boot_ticks()
        self._older: set[int] | None = None
        self._next_look = 0.0
        self._waker = threading.Event()

    def climb(self) -> dict[int, list[Process]]:
        """Block until everything is gone or nothing more can be done; return survivors by id.

        Daemons that were spared are among them, with `is_daemon`. Takes the grace time,
        KILL_SECONDS and LINGER_SECONDS at most.
        """
        for session in self._sessions:
            session.watch(self._waker)
        try:
            self._look()
            self._signal_all(signal.SIGTERM, spare_handlers=True)
            if not self._wait_gone(self._grace):
                deadline = time.monotonic() + KILL_SECONDS
                self._freeze(min(FREEZE_SECONDS, KILL_SECONDS / 2))
                self._signal_all(signal.SIGKILL)
                self._wait_gone(deadline - time.monotonic(), kills=True)
            return self._survivors()
        finally:
            for session in self._sessions:
                session.unwatch(self._waker)

    def _look(self) -> None:
        started = time.monotonic()
        try:
            table = ProcessTable()
        except OSError:
            # Out of descriptors, or no /proc: the process groups are signalled all the same.
            return
        orphans = self._orphans(table)
        for session in self._sessions:
            known = {**self._members[session.id], **orphans.get(session.id, {})}
            if session.id in self._finished:
                # Its pid is anybody's by now, its terminal's number too.
                self._members[session.id] = table.alive(known)
                continue
            leader, is_gone = session.record.pid, session.exit is not None
            trace = self._traces.get(session.id, Trace())
            self._members[session.id] = table.tree(leader, known, is_gone, trace.device)
            root = None if is_gone else table.find(leader)
            if root is not None:
                self._born.setdefault(session.id, root.started)
        took = time.monotonic() - started
        self._next_look = time.monotonic() + max(LAST_LOOK_SECONDS, took * LOOK_SHARE)

    def _orphans(self, table: ProcessTable) -> dict[int, dict[int, Process]]:
        """Return what left a tree and is to be ended all the same.

        That is what a dying parent has just started, so that it never was in the tree; and, where
        that is asked for, daemons.
        """
        if not self._traces:
            return {}
        since = 0 if self._takes_daemons else self._began
        found = table.orphans(self._traces, self._keeper, since)
        if self._takes_daemons:
            return found
        if self._older is None:
            # Before the first signal: these are daemons, however young.
            self._older = {pid for processes in found.values() for pid in processes}
        return {
            number: {
                pid: process
                for pid, process in processes.items()
                # Not a daemon's child: that is as much a daemon's as before.
                if process.parent in (self._keeper, INIT) and pid not in self._older
            }
            for number, processes in found.items()
        }

    def _survivors(self) -> dict[int, list[Process]]:
        left = {number: list(members.values()) for number, members in self._members.items()}
        daemons = [
            (number, process._replace(is_daemon=True))
            for number, processes in self._daemons().items()
            for pid, process in processes.items()
            if pid not in self._members[number]
        ]
        deadline = time.monotonic() + LINGER_SECONDS
        while daemons and time.monotonic() < deadline:
            time.sleep(LINGER_LOOK_SECONDS)
            daemons = [(number, p) for number, p in daemons if is_still_there(p)]
        for number, process in daemons:
            left[number].append(process)
        return {number: processes for number, processes in left.items() if processes}

    def _daemons(self) -> dict[int, dict[int, Process]]:
        if self._takes_daemons or not self._traces:
            return {}
        # None is older than its session.
        ids = [session.id for session in self._sessions]
        since = min((self._born.get(number, 0) for number in ids), default=0)
        try:
            return ProcessTable().orphans(self._traces, self._keeper, since)
        except OSError:
            return {}

    def _signal_all(self, number: int, spare_handlers: bool = False) -> None:
        for session in self._sessions:
            if session.id not in self._finished:
                self._signal_group(session.id, number)
            for process in self._members[session.id].values():
                signal_process(process, number)
                if spare_handlers and is_interactive_shell(process.pid):
                    signal_process(process, signal.SIGHUP)
                if spare_handlers and process.state == "T":
                    signal_process(process, signal.SIGCONT)

    def _freeze(self, seconds: float) -> None:
        """Stop everything until two looks in a row find the same, all of it stopped."""
        deadline = time.monotonic() + seconds
        told: set[int] = set()
        settled: set[int] | None = None
        while True:
            self._look()
            members = [p for found in self._members.values() for p in found.values()]
            awake = [p for p in members if not _is_still(p, told)]
            pids = {process.pid for process in members}
            # What was started while we looked is seen by the next look only.
            if (not awake and pids == settled) or time.monotonic() >= deadline:
                return
            settled = pids if not awake else None
            for process in awake:
                signal_process(process, signal.SIGSTOP)
                told.add(process.pid)
            time.sleep(FREEZE_LOOK_SECONDS)

    def _wait_gone(self, seconds: float, *, kills: bool = False) -> bool:
        """Wait until all is gone; with `kills` everything that a look finds is killed."""
        deadline = time.monotonic() + seconds
        pause = FIRST_LOOK_SECONDS
        while True:
            self._waker.clear()
            now = time.monotonic()
            if self._all_ended() or now >= min(deadline, self._next_look):
                self._look()
                if not any(self._members.values()) and self._all_ended():
                    return True
                if kills:
                    self._signal_all(signal.SIGKILL)
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._waker.wait(min(left, pause))
            pause = min(LAST_LOOK_SECONDS, pause * 2)

    def _all_ended(self) -> bool:
        return not any(session.is_running() for session in self._sessions)


def _is_still(process: Process, told: set[int]) -> bool:
    """Say whether a process can start nothing: stopped, or told to and stuck until it obeys.

    A parent in vfork(2) waits for a child that may be stopped already: it has state D.
    """
    return process.state == "T" or (process.pid in told and process.state in "Dt")


def _boot_ticks() -> int:
    """Return the time in the unit of `Process.started`."""
    return int(CLOCK.steady_ns() * os.sysconf("SC_CLK_TCK") // 1_000_000_000)
