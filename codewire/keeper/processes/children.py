"""The keeper's records, how it starts a session's process, and waits for an end.

See posix_spawn(3), pty(7), PR_SET_CHILD_SUBREAPER in prctl(2).
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterator
from typing import Any

from codewire.io.endings import has_ended, open_end
from codewire.io.fds import FileLimit
from codewire.io.processes import Process, ProcessTable, read_process
from codewire.io.ptys import open_pty
from codewire.io.spawning import spawn_far, spawn_on_terminal

Exit = dict[str, Any]
UNKNOWN_EXIT: Exit = {"unknown": True}

PR_SET_CHILD_SUBREAPER = 36


class Child:
    """One session's process: pid, our duplicate of its master, how it ended once it has."""

    __slots__ = ("exit", "halted", "id", "master", "members", "meta", "pid", "pidfd", "sequence")

    def __init__(self, session_id: int, pid: int, master: int, meta: Any) -> None:
        self.id = session_id
        self.pid = pid
        self.master = master
        self.meta = meta
        self.exit: Exit | None = None
        # Only for a process that is not our child: we took it over from a keeper that died.
        self.pidfd = -1
        # Whether a signal has stopped it (SIGSTOP); None where only /proc knows.
        self.halted: bool | None = False
        # Of the order that started it: tells it from another with the same id. 0: unknown.
        self.sequence = 0
        # Its processes as they were seen last, by pid.
        self.members: dict[int, Process] = {}

    def describe(self) -> dict[str, Any]:
        """Return the record as a worker needs it."""
        return {
            "id": self.id,
            "pid": self.pid,
            "meta": self.meta,
            "exit": self.exit,
            "master": self.master >= 0,
            "halted": self.halted,
        }

    def close_master(self) -> None:
        """Close our duplicate of the master. Idempotent."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def close(self) -> None:
        """Close every descriptor of the record. Idempotent."""
        self.close_master()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def signal_group(self, number: int) -> None:
        """Send a signal to the process group, only while the pid is surely still this process."""
        if self.exit is None:
            try:
                # No child of ours: its pid may be another's before we have seen its end.
                if self.pidfd >= 0 and has_ended(self.pidfd):
                    return
                os.killpg(self.pid, number)
            except OSError:
                # Gone, or not ours to signal.
                pass

    def is_gone(self) -> bool:
        """Say whether the process has ended; for one that is not our child."""
        return read_process(self.pid) is None


def members_of(children: list[Child]) -> list[Process]:
    """Return the live processes of sessions: what descends from the leaders, and their Unix
    sessions (setsid(2)). Each child remembers its own, whose parents may die first.

    Where /proc cannot be read, whoever was found before.
    """
    try:
        table = ProcessTable()
    except (OSError, MemoryError):
        return [process for child in children for process in child.members.values()]
    for child in children:
        child.members = table.tree(child.pid, child.members, child.exit is not None)
    return [process for child in children for process in child.members.values()]


def spawn_child(order: dict[str, Any], limit: FileLimit, is_far: bool = False) -> Child:
    """Start `order["path"]` on a new PTY as session leader with controlling terminal.

    `is_far`: it or its directory is on a file system that may hang. Raises OSError (chdir, PTY or
    exec failed, or does not answer); nothing is left behind then.
    """
    master, slave, slave_path = open_pty(order["rows"], order["cols"])
    path, argv, env, directory = order["path"], order["argv"], order["env"], order["cwd"]
    try:
        # While our own slave is open, so that nobody finds the terminal hung up.
        if is_far:
            pid = spawn_far(path, argv, env, directory, slave_path, limit)
        else:
            # posix_spawn has no working directory; this process has one thread, so borrow ours.
            os.chdir(directory)
            pid = spawn_on_terminal(path, argv, env, slave_path, limit)
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
        if not is_far:
            with contextlib.suppress(OSError):
                os.chdir("/")
    return Child(order["id"], pid, master, order["meta"])


def exit_of(status: int) -> Exit:
    """Translate a wait(2) status."""
    code = os.waitstatus_to_exitcode(status)
    return {"code": code} if code >= 0 else {"signal": -code}


def reap() -> Iterator[tuple[int, Exit | bool]]:
    """Yield (pid, what) for every child that something became of: its exit, if it has ended.

    Of one that a signal has stopped `what` is True, of one that goes on False. Never blocks.
    Raises OSError when the system cannot say.
    """
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
            yield pid, os.WIFSTOPPED(status)
        else:
            yield pid, exit_of(status)


def keep_orphans() -> None:
    """Become the parent of what loses its own among our descendants, as PID 1 would.

    Then a daemon started in a session is known for ours. Where that does not work (no ctypes, an
    old kernel) daemons are init's children, and found by their environment alone.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def await_end(pid: int, seconds: float) -> None:
    """Block until a process has ended, child or not, reaped or not; at most so long.

    Whoever sees the keeper gone may take it that everything is.
    """
    try:
        end = open_end(pid)
    except ProcessLookupError:
        return
    except OSError:
        # No descriptor to spare; or a kernel or libc without it.
        deadline = time.monotonic() + seconds
        while read_process(pid) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        return
    try:
        poller = select.poll()
        poller.register(end, select.POLLIN)
        poller.poll(seconds * 1000)
    finally:
        os.close(end)
