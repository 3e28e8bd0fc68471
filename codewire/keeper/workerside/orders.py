"""What worker code says to the keeper and hears from it, as types."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from codewire.errors import KeeperError
from codewire.keeper import protocol
from codewire.wire.exits import Exit, read_exit


@dataclass(slots=True)
class Kept:
    """A session's process as the keeper has it. `master` is ours, -1 once released.

    `halted` says whether a signal has stopped it; None where the keeper does not know.
    """

    id: int
    pid: int
    meta: Any
    exit: Exit | None
    master: int
    halted: bool | None = None


@dataclass(slots=True)
class Hello:
    """What the keeper hands a new worker. `listeners` are the sockets given to `keep`, by name."""

    keeper_pid: int
    started_ns: int
    restarts: int
    socket_path: str
    detached: bool
    file_limit: list[int]
    listeners: dict[str, int]
    listener: int
    lock: int
    pipe_read: int
    pipe_write: int
    note: int
    # What the keeper holds for itself alone: only passed on to its successor.
    carried: dict[str, int] = field(default_factory=dict)

    def fds(self) -> list[int]:
        """Return what a new keeper must have, in the order of protocol.HELLO_FDS."""
        return [self.listener, self.lock, self.pipe_read, self.pipe_write, self.note]


@dataclass(slots=True)
class SpawnOrder:
    """What to start: `path` is the program, `env` complete, `meta` comes back after a crash."""

    id: int
    path: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    rows: int
    cols: int
    meta: Any

    def message(self, sequence: int) -> protocol.Message:
        """Return the order as it goes to the keeper."""
        return {
            "op": "spawn",
            "seq": sequence,
            "id": self.id,
            "path": self.path,
            "argv": self.argv,
            "env": self.env,
            "cwd": self.cwd,
            "rows": self.rows,
            "cols": self.cols,
            "meta": self.meta,
        }


class SpawnFailed(KeeperError):
    """The process could not be started; `number` is its errno (0: see the text)."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(os.strerror(number).lower() if number else text)
        self.number = number


def hello_from(message: protocol.Message, fds: list[int]) -> Hello:
    """Read the keeper's hello. Raises KeeperError when it cannot be served."""
    protocol.check_version(message.get("version"))
    if not protocol.is_whole(message, fds):
        raise KeeperError("too many open files: the node's descriptors could not be received")
    kept = dict(zip(message["kept"], fds[protocol.HELLO_FDS :], strict=True))
    carried = {name: fd for name, fd in kept.items() if name.startswith(protocol.OWN_PREFIX)}
    listener, lock, pipe_read, pipe_write, note = fds[: protocol.HELLO_FDS]
    return Hello(
        message["keeper_pid"],
        message["started_ns"],
        message["restarts"],
        message["socket"],
        message["detached"],
        message["file_limit"],
        {name: fd for name, fd in kept.items() if name not in carried},
        listener,
        lock,
        pipe_read,
        pipe_write,
        note,
        carried,
    )


def kept_from(message: protocol.Message, fds: list[int]) -> list[Kept]:
    """Read one message of sessions. Raises KeeperError when terminals are missing."""
    if not protocol.is_whole(message, fds):
        raise KeeperError("too many open files: the sessions' terminals could not be received")
    masters = iter(fds)
    return [
        Kept(
            record["id"],
            record["pid"],
            record["meta"],
            read_exit(record["exit"]) if record["exit"] else None,
            next(masters) if record["master"] else -1,
            record.get("halted"),
        )
        for record in message["sessions"]
    ]
