"""What /proc says of one process, and of all: the rows that everything else here is read from.

Everything goes by pid and start time, which tells a reused pid apart. Where there is no /proc
(macOS, the BSDs, a container that hides it) libproc.py says what else is known. Imports little:
clients and the keeper use it. See proc(5).
"""

from __future__ import annotations

import os
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from codewire.io.libproc import Library

PROC = "/proc"
KEEPER, WORKER = "keeper", "worker"
KEEPER_OPTIONS = frozenset((b"--foreground", b"--detached", b"--adopt"))
# A process that is gone, one that ended while it was read, one that is somebody else's.
NOT_SHOWN = (FileNotFoundError, ProcessLookupError, NotADirectoryError, PermissionError)
# Of a command line: the role comes early, also behind `python -X utf8 cw.py`.
ROLE_WORDS = 8
MAX_COMMAND_LINE = 1 << 16
READ_BYTES = 1 << 16


class Process(NamedTuple):
    """One line of /proc/<pid>/stat. `started` is in clock ticks since boot, 0 where unknown.

    `namespace` is the pid namespace where it was looked up, "" where it was not or may not be.
    `is_daemon` marks one that is named as left behind, and was not signalled.
    """

    pid: int
    parent: int
    session: int
    tty: int
    started: int
    state: str
    command: str
    namespace: str = ""
    is_daemon: bool = False


def stat_process(pid: int, proc: str = PROC) -> Process | None:
    """Return a process by pid; None when there is none. A zombie is none: it only waits.

    Raises OSError when that cannot be told (no descriptor left): it is not to be taken for dead.
    """
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except NOT_SHOWN:
        return None if is_mounted(proc) else _unlisted(pid)
    return parse_stat(pid, text)


def is_mounted(proc: str = PROC) -> bool:
    """Say whether there is a proc(5) of Linux's to read; any directory that a test gives is one."""
    return proc != PROC or os.path.exists(f"{PROC}/self/stat")


def list_pids(proc: str = PROC) -> list[int]:
    """Return the pids of all processes that are shown. Raises OSError where none can be listed."""
    if is_mounted(proc):
        return [int(name) for name in os.listdir(proc) if name.isdigit()]
    pids = _library().pids()
    if not pids:
        raise FileNotFoundError(f"{proc}: processes cannot be listed here")
    return pids


def _unlisted(pid: int) -> Process | None:
    row = _library().row(pid) if pid > 0 else None
    return None if row is None else Process(*row)


@cache
def _library() -> Library:
    from codewire.io.libproc import Library

    return Library()


def parse_stat(pid: int, text: str) -> Process | None:
    """Return what a stat file says; None of a zombie, and of what is no such file.

    A leader that has ended before its other threads is a zombie, too, but the process holds its
    files until they have.
    """
    try:
        # The command is in parentheses and may itself contain spaces and parentheses.
        opening, closing = text.index("("), text.rindex(")")
        fields = text[closing + 2 :].split()
        if fields[0] == "X" or (fields[0] == "Z" and int(fields[17]) <= 1):
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
    except (ValueError, IndexError):
        return None


def read_process(pid: int, proc: str = PROC) -> Process | None:
    """As `stat_process`, for whom one that cannot be read is as good as none. Never raises."""
    try:
        return stat_process(pid, proc)
    except OSError:
        return None


def node_role(pid: int, proc: str = PROC) -> str:
    """Return what a process is of a node, going by its argv: KEEPER, WORKER or "".

    Raises OSError as `stat_process`.
    """
    words = command_words(pid, proc)[:ROLE_WORDS]
    for word, option in zip(words[2:], words[3:]):  # noqa: B905 - the last word has no option
        if word == b"keeper" and option in KEEPER_OPTIONS:
            return KEEPER
        if word == b"worker" and option.isdigit():
            return WORKER
    return ""


def command_words(pid: int, proc: str = PROC) -> list[bytes]:
    """Return a process's argv; [b""] where there is none to see. Raises OSError."""
    try:
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            return file.read(MAX_COMMAND_LINE).split(b"\0")
    except NOT_SHOWN:
        return [b""] if is_mounted(proc) else [*_library().words(pid)[0], b""]


def environment_words(pid: int, limit: int, proc: str = PROC) -> bytes:
    """Return the environment a process was started with, at most `limit` bytes, each word ended.

    b"" where it may not be read. Never raises.
    """
    try:
        with open(f"{proc}/{pid}/environ", "rb") as file:
            # In pieces: a buffer of that size may be more memory than there is.
            pieces = iter(lambda: file.read(READ_BYTES), b"")
            return b"".join(islice(pieces, -(-limit // READ_BYTES)))
    except NOT_SHOWN:
        words = () if is_mounted(proc) else _library().words(pid)[1]
        return b"".join(word + b"\0" for word in words)[:limit]
    except OSError:
        return b""


def is_upstream_node(pid: int, proc: str = PROC) -> bool:
    """Say whether a process is a node of upstream's, which is one process. Raises OSError."""
    words = command_words(pid, proc)
    return words[0].rpartition(b"/")[2] == b"cw" and words[1:2] == [b"node"]
