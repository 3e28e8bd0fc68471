"""What keeper and worker say to each other over their socket pair.

A message is a 4-byte big-endian length and that many bytes of JSON; descriptors ride on its first
byte (SCM_RIGHTS) and the key `fds` says how many. VERSION changes only when an old keeper could
not serve a new worker: sessions live as long as the keeper does. What is in [ ] came later: who
does not know it leaves it out, and ignores it.

worker → keeper
  hello    {version, [features], [grace_seconds]}  first message of a worker
  ready    {}                                      the worker serves clients
  spawn    {seq, id, path, argv, env, cwd, rows, cols, meta}
  signal   {id, signal}                            to the session's process group
  note     {id, meta}                              replaces what the keeper returns to a new worker
  release  {id}                                    the master is read out; close the duplicate
  forget   {id}                                    the exit is on disk
  keep     {name} + fd                             a listening socket to give every next worker
  restart  {}                                      replace the worker (SIGHUP does the same)
  stopped  {}                                      every session has ended; the node may go
  adopt    {version, worker_pid, started_ns, restarts, socket, detached, file_limit, kept,
           [features], [grace_seconds], [count]} + the fds of hello
                                                   a worker whose keeper died, to the new one
  sessions as below, `count` in all                after adopt
  [failing {reason}]                               the worker cannot start, and ends
  [abandon {seq, id}]                              nobody waits for that spawn any more: end it
keeper → worker
  hello    {version, keeper_pid, started_ns, restarts, socket, detached, file_limit, kept: [name]}
           + 5 fds, see HELLO_FDS, and one for each kept name
  sessions {sessions: [{id, pid, meta, exit, master, halted?}]} + one fd for each with `master`
  ready    {}                                      no more sessions follow
  refuse   {error}
  spawned  {seq, id, pid} + master | failed {seq, id, errno}
  exit     {id, exit}                              {"code": n} | {"signal": n} | {"unknown": true}
  [halted  {id, halted}]                           its process was stopped by a signal, or goes on
  stop     {}                                      end every session, then say stopped
  [listener {} + fd]                               the node's socket was gone; this is the new one.
                                                   Only to a worker with the feature `listener`
"""

from __future__ import annotations

import json
import os
from typing import Any

from codewire.errors import CodewireError, KeeperError

VERSION = 1

# In this order: the listening socket, the lock, both ends of the drain pipe, the drain's note.
HELLO_FDS = 5

# What is kept under such a name is the keeper's own; workers only pass it on to its successor.
OWN_PREFIX = "keeper."

# The worker takes a new listening socket from the keeper.
FEATURE_LISTENER = "listener"

# Far above any argv and environment (ARG_MAX is 2 MiB), far below harm.
MAX_MESSAGE = 64 << 20

# Sessions in one `sessions` message; their masters must fit SCM_MAX_FD (253).
BATCH = 100

# What of a reason is passed on; the rest is in the log.
MAX_REASON = 500

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """Return the bytes of one message."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return len(body).to_bytes(4, "big") + body


class MessageReader:
    """Bytes and descriptors in, whole messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._batches: list[list[int]] = []

    def feed(self, data: bytes, fds: list[int], is_cut: bool = False) -> None:
        """Take what one recvmsg returned; `is_cut` says that descriptors were lost (MSG_CTRUNC).

        The kernel never joins the descriptors of two messages in one recvmsg.
        """
        self._buffer += data
        if fds or is_cut:
            self._batches.append(fds)

    def next_message(self) -> tuple[Message, list[int]] | None:
        """Return the next message with its descriptors (the caller closes them), or None.

        Some may be missing where this process had no room for them: see `is_whole`.
        Raises KeeperError on a length past MAX_MESSAGE; the stream is then unusable.
        """
        if len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[:4], "big")
        if length > MAX_MESSAGE:
            raise KeeperError(f"keeper link: message of {length} bytes")
        if len(self._buffer) < 4 + length:
            return None
        message = json.loads(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        fds = self._batches.pop(0) if message.get("fds") and self._batches else []
        return message, fds


def is_whole(message: Message, fds: list[int]) -> bool:
    """Say whether every descriptor of a message has arrived."""
    return len(fds) == int(message.get("fds", 0))


def check_version(version: object) -> None:
    """Raise KeeperError when the other side speaks another version than ours."""
    if version != VERSION:
        raise KeeperError(
            f"keeper and worker differ (this side speaks version {VERSION}, the other {version}); "
            "end the node with 'cw stop' and start it again"
        )


def tell_failing(fd: int, error: BaseException) -> None:
    """Say over the link `fd` why this worker cannot start and ends. Never raises."""
    named = str(error) if isinstance(error, CodewireError) else f"{type(error).__name__}: {error}"
    try:
        os.write(fd, encode({"op": "failing", "reason": named[:MAX_REASON]}))
    except (OSError, ValueError, MemoryError):
        # The keeper makes do with the exit status.
        pass
