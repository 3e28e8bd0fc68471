"""Which session a process belongs to: told by its environment's mark, or by its ancestors."""

from __future__ import annotations

from collections.abc import Iterable

from codewire.io.processes import read_mark, read_process
from codewire.session.session import Session

# A chain of parents is never this long; a loop of reused pids would be.
MAX_PARENTS = 64


def session_of(pid: int, sessions: Iterable[Session]) -> Session | None:
    """Return the running session that a process was started in, None where it is none's."""
    running = [session for session in sessions if session.is_running()]
    marks = {session.record.mark(): session for session in running}
    leaders = {session.record.pid: session for session in running}
    for _ in range(MAX_PARENTS):
        if pid <= 1:
            return None
        found = leaders.get(pid) or marks.get(read_mark(pid))
        if found is not None:
            return found
        process = read_process(pid)
        pid = process.parent if process is not None else 0
    return None
