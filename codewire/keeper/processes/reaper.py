"""What became of the processes, and telling the worker: ends, and leaders that a signal stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

from codewire.io.transient import PAUSE_SECONDS
from codewire.keeper.link import Link
from codewire.keeper.processes.children import UNKNOWN_EXIT, Child, Exit, reap
from codewire.keeper.processes.roster import Roster
from codewire.keeper.supervision import Supervisor


class Reaper:
    """Collects ended children and watches those that are not ours. Never blocks."""

    def __init__(self, roster: Roster, worker: Supervisor, link: Callable[[], Link | None]) -> None:
        """`link` returns the link to the worker of the moment."""
        self._roster = roster
        self._worker = worker
        self._link = link
        self._again_at: float | None = None

    def next_moment(self) -> float | None:
        """Return when (monotonic) to reap though no signal has come."""
        return self._again_at

    def reap(self) -> None:
        """Collect what became of our children: sessions, workers, and orphans."""
        self._again_at = None
        try:
            for pid, what in reap():
                child = self._roster.by_pid.get(pid)
                if isinstance(what, bool):
                    self._note_halted(child, what)
                    continue
                self._worker.note_end(pid, what)
                if child is not None:
                    del self._roster.by_pid[pid]
                    self._record_exit(child, what)
        except OSError:
            self._again_at = time.monotonic() + PAUSE_SECONDS

    def look(self, now: float) -> None:
        """Look after those that were not yet watched."""
        for child in self._roster.orphans.look(now):
            self._record_exit(child, UNKNOWN_EXIT)

    def serve(self, fd: int) -> None:
        """Take the end of a process that is not our child, if `fd` is its pidfd."""
        child = self._roster.orphans.take_ended(fd)
        if child is not None:
            self._record_exit(child, UNKNOWN_EXIT)

    def tell_early_ends(self) -> None:
        """Tell a worker that was taken over what was ordered, done and ended before that.

        What it handed over it knows; only those that we started can be news.
        """
        for child in self._roster.children.values():
            if child.sequence and child.exit is not None:
                self._record_exit(child, child.exit)

    def _note_halted(self, child: Child | None, halted: bool) -> None:
        if child is not None:
            child.halted = halted
            link = self._link()
            if link is not None and self._roster.owns(child):
                link.tell_halted(child)

    def _record_exit(self, child: Child, how: Exit) -> None:
        child.exit = how
        link = self._link()
        # A worker that has not been greeted gets it with the record.
        if link is not None and link.is_greeted and self._roster.owns(child):
            link.send({"op": "exit", "id": child.id, "exit": how})
