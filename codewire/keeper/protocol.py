"""What keeper and worker say to each other over their socket pair.

A message is a 4-byte big-endian length and that many bytes of JSON; descriptors ride on its first
byte (SCM_RIGHTS) and the key `fds` says how many. VERSION changes only when an old keeper could
not serve a new worker: sessions live as long as the keeper does.

worker → keeper
  hello    {version}                               first message of a worker
  ready    {}                                      the worker serves clients
  spawn    {seq, id, path, argv, env, cwd, rows, cols, meta}
  signal   {id, signal}                            to the session's process group
  note     {id, meta}                              replaces what the keeper returns to a new worker
  release  {id}                                    the master is read out; close the duplicate
  forget   {id}                                    the exit is on disk
  keep     {name} + fd                             a listening socket to give every next worker
  restart  {}                                      replace the worker (SIGHUP does the same)
  stopped  {}                                      every session has ended; the node may go
  adopt    {version, worker_pid, started_ns, restarts, socket, detached, file_limit, kept}
           + the fds of hello                      a worker whose keeper died, to the new one
  sessions as below                                after adopt
keeper → worker
  hello    {version, keeper_pid, started_ns, restarts, socket, detached, file_limit, kept: [name]}
           + 5 fds, see HELLO_FDS, and one for each kept name
  sessions {sessions: [{id, pid, meta, exit, master, halted?}]} + one fd for each with `master`
  ready    {}                                      no more sessions follow
  refuse   {error}
  spawned  {seq, id, pid} + master | failed {seq, id, errno}
  exit     {id, exit}                              {"code": n} | {"signal": n} | {"unknown": true}
  halted   {id, halted}                            its process was stopped by a signal, or goes on
  stop     {}                                      end every session, then say stopped
"""

from __future__ import annotations

import json
from typing import Any

from codewire.errors import KeeperError

VERSION = 1

# In this order: the listening socket, the lock, both ends of the drain pipe, the drain's note.
HELLO_FDS = 5

# Far above any argv and environment (ARG_MAX is 2 MiB), far below harm.
MAX_MESSAGE = 64 << 20

# Sessions in one `sessions` message; their masters must fit SCM_MAX_FD (253).
BATCH = 100

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """Return the bytes of one message."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return len(body).to_bytes(4, "big") + body


class MessageReader:
    """Bytes and descriptors in, whole messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fds: list[int] = []

    def feed(self, data: bytes, fds: list[int]) -> None:
        """Take what one recvmsg returned."""
        self._buffer += data
        self._fds += fds

    def next_message(self) -> tuple[Message, list[int]] | None:
        """Return the next message with its descriptors (the caller closes them), or None."""
        if len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[:4], "big")
        if length > MAX_MESSAGE:
            raise KeeperError(f"keeper link: message of {length} bytes")
        if len(self._buffer) < 4 + length:
            return None
        message = json.loads(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        count = message.get("fds", 0)
        fds, self._fds = self._fds[:count], self._fds[count:]
        return message, fds


def check_version(version: object) -> None:
    """Raise KeeperError when the other side speaks another version than ours."""
    if version != VERSION:
        raise KeeperError(
            f"keeper and worker differ (this side speaks version {VERSION}, the other {version}); "
            "end the node with 'cw stop' and start it again"
        )
