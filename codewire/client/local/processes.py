"""Processes of this machine as /proc shows them: who lives, which of them are a node's.

A node is known by what it holds (its data directory's lock file), not by what a file says about it.
Everything here goes by pid and start time. What /proc does not have, or does not show us, is not
there; any other error is raised: short of descriptors, nobody may be taken for dead. See proc(5).
"""

from __future__ import annotations

import fcntl
import os

from codewire.files import read_regular
from codewire.io.procfs import (
    KEEPER,
    NOT_SHOWN,
    WORKER,
    Process,
    command_words,
    is_mounted,
    list_pids,
)
from codewire.io.procfs import node_role as role_of
from codewire.io.procfs import stat_process as read_process

__all__ = ["KEEPER", "WORKER", "Process", "read_process", "role_of"]


def lives_on(process: Process) -> bool:
    """Say whether this very process still lives, and not a later one with its pid."""
    now = read_process(process.pid)
    return now is not None and now.started == process.started


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    # Without /proc the signal's word has to do.
    return read_process(pid) is not None or not os.path.isdir("/proc/self")


def all_processes() -> list[Process]:
    """Return every live process this user can see."""
    try:
        pids = list_pids()
    except NOT_SHOWN:
        return []
    found = (read_process(pid) for pid in pids)
    return [process for process in found if process is not None]


def holders(lock_path: str) -> dict[str, list[Process]]:
    """Return the keepers and workers that have a node's lock file open, by role.

    Also when the file has been removed since. Normally one of each; a worker alone is one whose
    keeper died a moment ago.
    """
    if not is_mounted():
        return _holders_by_pid_file(lock_path)
    found: dict[str, list[Process]] = {KEEPER: [], WORKER: []}
    for process in all_processes():
        role = role_of(process.pid)
        if role and holds(process.pid, lock_path):
            found[role].append(process)
    return found


def _holders_by_pid_file(lock_path: str) -> dict[str, list[Process]]:
    """As `holders`, where nobody shows what a process has open: the lock is held, by whom the pid
    file says.
    """
    keeper = read_process(_read_pid(os.path.join(os.path.dirname(lock_path), "codewire.pid")))
    if keeper is None or not is_locked(lock_path):
        return {KEEPER: [], WORKER: []}
    children = [process for process in all_processes() if process.parent == keeper.pid]
    return {KEEPER: [keeper], WORKER: [p for p in children if role_of(p.pid) == WORKER]}


def _read_pid(path: str) -> int:
    try:
        return int(read_regular(path, 32).strip() or b"0")
    except (OSError, ValueError):
        return 0


def is_locked(path: str) -> bool:
    """Say whether somebody holds a node's lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # Shared, and let go at once: who starts a node at this very moment would be refused.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def holds(pid: int, path: str) -> bool:
    """Say whether a process has this file open, or had before it was removed."""
    removed = f"{os.path.realpath(path)} (deleted)"
    try:
        wanted: os.stat_result | None = os.stat(path)
    except OSError:
        wanted = None
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except NOT_SHOWN:
        return False
    for name in names:
        try:
            target = os.readlink(f"{directory}/{name}")
            if target == removed:
                return True
            same_name = os.path.basename(target) == os.path.basename(path)
            if same_name and wanted and os.path.samestat(os.stat(f"{directory}/{name}"), wanted):
                return True
        except OSError:
            continue
    return False


def may_be_keeper(pid: int) -> bool:
    """Say whether a process is a keeper, or one whose command line is not shown here."""
    return role_of(pid) == KEEPER or (not is_mounted() and command_words(pid) == [b""])


def is_foreign_keeper(pid: int) -> bool:
    """Say whether this is a keeper of another user, whose files cannot be looked at."""
    if role_of(pid) != KEEPER:
        return False
    try:
        os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def catches(pid: int, number: int) -> bool:
    """Say whether a process has a handler of its own for a signal (SigCgt).

    Where that is not shown, every keeper is new enough to have one.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = [line for line in file if line.startswith(b"SigCgt:")]
        return bool(lines) and bool(int(lines[0].split()[1], 16) >> (number - 1) & 1)
    except FileNotFoundError:
        return not is_mounted()
    except (OSError, ValueError, IndexError):
        return False


def describe(pid: int) -> str:
    """Return `pid 12, name` for a message, with its state where it does not run; never raises."""
    process = read_process(pid) if pid > 0 else None
    if process is None:
        return f"pid {pid}" if pid > 0 else "pid not visible from here"
    state = {"T": ", stopped", "t": ", stopped by a debugger", "D": ", in uninterruptible sleep"}
    name = f", {process.command}" if process.command else ""
    return f"pid {pid}{name}{state.get(process.state, '')}"


def tree(leaders: list[int], keep_out: int = 0) -> list[Process]:
    """Return the processes of sessions led by `leaders`: their Unix sessions and descendants.

    A node that was started inside one, and what is below it, is none of theirs; nor is `keep_out`.
    """
    by_parent: dict[int, list[Process]] = {}
    by_session: dict[int, list[Process]] = {}
    by_pid: dict[int, Process] = {}
    for process in all_processes():
        by_parent.setdefault(process.parent, []).append(process)
        by_session.setdefault(process.session, []).append(process)
        by_pid[process.pid] = process
    found: dict[int, Process] = {}
    if not by_pid:
        return [row for pid in leaders if (row := read_process(pid)) is not None]
    queue = [by_pid[pid] for pid in leaders if pid in by_pid]
    queue += [process for pid in leaders for process in by_session.get(pid, [])]
    while queue:
        process = queue.pop()
        if process.pid in found or process.pid == keep_out or role_of(process.pid) == KEEPER:
            continue
        found[process.pid] = process
        queue += by_parent.get(process.pid, [])
    return list(found.values())
