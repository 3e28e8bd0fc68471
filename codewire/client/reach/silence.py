"""Why a node says nothing, in words: asked only when it has been silent for too long.

Of the local node the socket names the keeper (SO_PEERCRED, unix(7)), and /proc its worker and
what state that is in. Of a remote node nothing is known but its silence.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from codewire.io.procfs import command_words, node_role
from codewire.paths import worker_command

if TYPE_CHECKING:
    from codewire.io.streams import FrameStream

STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "waiting for a disk or a network file system",
    "T": "stopped",
    "t": "stopped by a debugger",
    "Z": "dead",
}
STOPPED = ("T", "t")


class Worker(NamedTuple):
    """A process that should answer, and its state as in /proc/pid/stat."""

    pid: int
    state: str


def words(stream: FrameStream, seconds: float) -> tuple[str, bool]:
    """Return what is known of a silence of so many seconds; and whether the worker is stopped."""
    silence = f"the node does not answer (for {seconds:.3g}s)"
    keeper = stream.peer_pid()
    worker = find_worker(keeper)
    if worker is None and (stranger := find_stranger(keeper)):
        return f"{silence}: {stranger}", False
    if worker is None:
        return (
            f"{silence}; its log may say why: node.log in its data directory; "
            "'cw node restart' replaces its worker",
            False,
        )
    named = f"{silence}: the node's worker (pid {worker.pid}) is"
    if worker.state in STOPPED:
        cure = f"'kill -CONT {worker.pid}' continues it, 'cw node restart' replaces it"
        return f"{named} {STATES[worker.state]} ({worker.state}); {cure}", True
    if _state_of(keeper) in STOPPED:
        # Whatever has to be started or ended is asked of it.
        return (
            f"{silence}: its keeper (pid {keeper}) is stopped; 'kill -CONT {keeper}' continues it",
            False,
        )
    state = STATES.get(worker.state, "in an odd state")
    return (
        f"{named} {state} ({worker.state}); its log may say why: node.log in its data directory; "
        "'cw node restart' replaces it",
        False,
    )


def find_worker(keeper: int) -> Worker | None:
    """Return the worker among a keeper's children, None where it cannot be seen."""
    try:
        with open(f"/proc/{keeper}/task/{keeper}/children", "rb") as file:
            children = [int(pid) for pid in file.read(1 << 20).split()]
    except (OSError, ValueError):
        return None
    # A session's leader is a child, too: the role is the argument behind the program's.
    at, role = len(worker_command()) - 1, worker_command()[-1].encode()
    for pid in children:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                arguments = file.read(1 << 16).split(b"\0")
        except OSError:
            continue
        # With an option or two of the interpreter before it, and the number of its link behind.
        for place in range(at, min(at + 3, len(arguments) - 1)):
            if arguments[place] == role and arguments[place + 1].isdigit():
                return Worker(pid, _state_of(pid))
    return None


def find_stranger(pid: int) -> str:
    """Return who is at a local socket's other end, in words, where that is no keeper of ours."""
    try:
        role, name = node_role(pid), command_words(pid)[0] if pid else b""
    except OSError:
        return ""
    if role or not name:
        # Also a keeper that is gone: its successor listens at the same socket.
        return ""
    program = os.path.basename(name).decode("utf-8", "replace")
    return f"its socket belongs to pid {pid} ({program}), which is no node of this program"


def _state_of(pid: int) -> str:
    """Return a process's state as in proc_pid_stat(5), "" where it is not shown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read(4096).rpartition(b")")[2].split()[0].decode("ascii", "replace")
    except (OSError, IndexError):
        return ""
