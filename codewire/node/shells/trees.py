"""Ending everything that one process has started: hung up first, killed soon after.

For the warden, and for a worker that has lost its warden.
"""

from __future__ import annotations

import signal
import time

from codewire.io.processes import Process, ProcessTable, signal_process

# From SIGHUP to SIGKILL, and until what survives that (it hangs in the kernel) is given up.
HANGUP_SECONDS, GIVE_UP_SECONDS = 0.5, 10.0
TICK_SECONDS = 0.05


class Tree:
    """What descends from `pid`, and its Unix session. Moments are monotonic seconds, handed in."""

    def __init__(self, pid: int, now: float) -> None:
        self.pid = pid
        # Whether it has been reaped: its pid may be another's by now.
        self.is_reaped = False
        self._members: dict[int, Process] = {}
        self._was_hung_up = False
        self._empty_looks = 0
        self._kill_at = now + HANGUP_SECONDS

    def end(self, table: ProcessTable, now: float) -> bool:
        """Signal what there is of it; say whether that was the last time. Call it every tick."""
        self._members = table.tree(self.pid, self._members, self.is_reaped)
        # One look may miss a child whose parent ended while the processes were being listed.
        self._empty_looks = 0 if self._members else self._empty_looks + 1
        if self._empty_looks > 1 or now > self._kill_at + GIVE_UP_SECONDS:
            return True
        if now >= self._kill_at:
            self._signal(signal.SIGKILL)
        elif self._members and not self._was_hung_up:
            self._was_hung_up = True
            self._signal(signal.SIGHUP)
            # What was stopped cannot take it.
            self._signal(signal.SIGCONT)
        return False

    def _signal(self, number: int) -> None:
        for process in self._members.values():
            signal_process(process, number)


def end_session(pid: int) -> None:
    """End a process that has just lost its parent, and what is left of its session. Blocks."""
    tree = Tree(pid, time.monotonic())
    try:
        while True:
            table = ProcessTable()
            tree.is_reaped = table.find(pid) is None
            if tree.end(table, time.monotonic()):
                return
            time.sleep(TICK_SECONDS)
    except (OSError, MemoryError):
        # Processes cannot be listed: their descriptors have ended, most end by that.
        pass
