"""Ending sessions for sure: SIGTERM, a grace time, SIGKILL, over everything they started.

SIGTERM goes to the process group and every other process of the session's tree. An interactive
shell ignores it by design and gets the SIGHUP of a closing terminal instead. See signal(7).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence

from codewire.keeper.processes import (
    Process,
    ProcessTable,
    is_interactive_shell,
    signal_process,
)
from codewire.session.session import Session

# How often the tree is looked at while it dies: soon at first, then seldom.
FIRST_LOOK_SECONDS = 0.01
LAST_LOOK_SECONDS = 0.2
# After SIGKILL only a process stuck in the kernel stays (uninterruptible sleep).
KILL_SECONDS = 3.0


class Ladder:
    """One climb for one or many sessions at once."""

    def __init__(
        self,
        sessions: Sequence[Session],
        signal_group: Callable[[int, int], None],
        grace_seconds: float,
    ) -> None:
        """`signal_group(session id, signal)` reaches the leader's process group."""
        self._sessions = sessions
        self._signal_group = signal_group
        self._grace = grace_seconds
        self._members: dict[int, dict[int, Process]] = {s.id: {} for s in sessions}
        self._waker = threading.Event()

    def climb(self) -> dict[int, list[Process]]:
        """Block until everything is gone or nothing more can be done; return survivors by id."""
        for session in self._sessions:
            session.watch(self._waker)
        try:
            self._signal_all(signal.SIGTERM, spare_handlers=True)
            if not self._wait_gone(self._grace):
                self._signal_all(signal.SIGKILL)
                self._wait_gone(KILL_SECONDS)
            return {
                session.id: list(self._members[session.id].values())
                for session in self._sessions
                if self._members[session.id]
            }
        finally:
            for session in self._sessions:
                session.unwatch(self._waker)

    def _look(self) -> None:
        try:
            table = ProcessTable()
        except OSError:
            # Out of descriptors: the process groups are signalled all the same.
            return
        for session in self._sessions:
            known = self._members[session.id]
            leader = session.record.pid
            self._members[session.id] = table.tree(leader, known, bool(session.exit))

    def _signal_all(self, number: int, spare_handlers: bool = False) -> None:
        self._look()
        for session in self._sessions:
            self._signal_group(session.id, number)
            for process in self._members[session.id].values():
                signal_process(process, number)
                if spare_handlers and is_interactive_shell(process.pid):
                    signal_process(process, signal.SIGHUP)
                if spare_handlers and process.state == "T":
                    signal_process(process, signal.SIGCONT)

    def _wait_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        pause = FIRST_LOOK_SECONDS
        while True:
            self._waker.clear()
            if all(s.ended.is_set() for s in self._sessions) or time.monotonic() >= deadline:
                self._look()
                if not any(self._members.values()) and self._all_ended():
                    return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._waker.wait(min(left, pause))
            pause = min(LAST_LOOK_SECONDS, pause * 2)

    def _all_ended(self) -> bool:
        return all(session.ended.is_set() for session in self._sessions)
