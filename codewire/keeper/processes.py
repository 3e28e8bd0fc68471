"""Which processes belong to a session, read from /proc, and signalling them without mistakes.

A process belongs when it descends from the session's leader, is in its Unix session, or has its
terminal; what has left all three (a daemon) is nobody's. See proc(5), pidfd_open(2).
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple


class Process(NamedTuple):
    """One line of /proc/<pid>/stat. `started` (clock ticks since boot) tells a reused pid apart."""

    pid: int
    parent: int
    session: int
    tty: int
    started: int
    state: str
    command: str


def read_process(pid: int) -> Process | None:
    """Return a process by pid; None when there is none. A zombie is none: it only waits."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    # The command is in parentheses and may itself contain spaces and parentheses.
    opening, closing = text.index("("), text.rindex(")")
    fields = text[closing + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Process(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        tty=int(fields[4]),
        started=int(fields[19]),
        state=fields[0],
        command=text[opening + 1 : closing],
    )


class ProcessTable:
    """One look at every live process this user can see."""

    def __init__(self) -> None:
        found = (read_process(int(name)) for name in os.listdir("/proc") if name.isdigit())
        self._by_pid = {process.pid: process for process in found if process is not None}
        self._by_session: dict[int, list[Process]] = {}
        self._by_tty: dict[int, list[Process]] = {}
        self._by_parent: dict[int, list[Process]] = {}
        for process in self._by_pid.values():
            self._by_session.setdefault(process.session, []).append(process)
            self._by_tty.setdefault(process.tty, []).append(process)
            self._by_parent.setdefault(process.parent, []).append(process)

    def tree(
        self, leader: int, known: dict[int, Process], is_gone: bool = False
    ) -> dict[int, Process]:
        """Return the live processes of the session led by `leader`, by pid.

        `is_gone` says that the leader has been reaped, so its pid may be reused. `known` is an
        earlier answer: its members stay in, though their parent may have died since, and so do
        their children.
        """
        root = self._by_pid.get(leader)
        queue: list[Process] = []
        if is_gone:
            # A living process with that pid is another one, and so is the session it leads.
            queue += self._by_session.get(leader, []) if root is None else []
        elif root is not None:
            queue += [root, *self._by_session.get(leader, [])]
            queue += self._by_tty.get(root.tty, []) if root.tty else []
        queue += [
            self._by_pid[pid]
            for pid, process in known.items()
            if pid in self._by_pid and self._by_pid[pid].started == process.started
        ]
        members: dict[int, Process] = {}
        while queue:
            process = queue.pop()
            if process.pid not in members and process.pid != os.getpid():
                members[process.pid] = process
                queue += self._by_parent.get(process.pid, [])
        return members


def signal_process(process: Process, number: int) -> None:
    """Signal exactly this process, never a later one with the same pid."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        now = read_process(process.pid)
        if now is not None and now.started == process.started:
            signal.pidfd_send_signal(fd, number)
    except OSError:
        pass
    finally:
        os.close(fd)


def is_interactive_shell(pid: int) -> bool:
    """Say whether the process ignores what job-control shells at a prompt do: SIGTERM and SIGTSTP.

    A program that only ignores SIGTERM (to finish something) does not count. See SigIgn, proc(5).
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = [line for line in file if line.startswith(b"SigIgn:")]
    except OSError:
        return False
    ignored = int(lines[0].split()[1], 16) if lines else 0
    return all(ignored >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGTSTP))
