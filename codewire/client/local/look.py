"""Who is at the data directory's socket, and which node lives here even if nobody is.

The kernel says which process listens (io/peers.py), an answer says what it is, and the lock file's
holders say which node lives without a socket. A pid file is believed by nobody here. Every look is
bounded in time and starts nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.client.local.processes import (
    KEEPER,
    WORKER,
    describe,
    holders,
    is_alive,
    is_foreign_keeper,
    role_of,
)
from codewire.errors import CodewireError, ConnectionLost, ProtocolError
from codewire.io.peers import peer_pid
from codewire.io.streams import FrameStream
from codewire.wire.control import decode_control
from codewire.wire.frames import CONTROL

if TYPE_CHECKING:
    from codewire.client.local.processes import Process
    from codewire.paths import DataDir

# A node answers in milliseconds; one whose worker is being replaced on a busy machine in a second
# or two; and a keeper without a worker says so after 3 s.
ANSWER_SECONDS = 4.0
PAUSE_SECONDS = 0.05
HUNG_UP = "it closes the connection without an answer"
# The keeper's answer while no worker can start.
NO_WORKER = "no_worker"

# What may be at the socket: a node of this program; one that only speaks its wire format (the Go
# program, say); something that does not; nobody.
NODE, OTHER_NODE, STRANGER, NOBODY = "node", "other node", "stranger", "nobody"


class Found(NamedTuple):
    """What a look found.

    `peer` is the pid that listens at the socket (0: nobody's that can be seen from here), `keeper`
    the living keeper of this data directory (0: none). `facts` is what NodeStatus says, {} when
    nobody said it, and `trouble` then why. `workers` are the living workers.
    """

    kind: str
    peer: int = 0
    keeper: int = 0
    facts: dict[str, Any] = {}
    trouble: str = ""
    no_worker: bool = False
    workers: tuple[Process, ...] = ()

    @property
    def is_alive(self) -> bool:
        """Say whether a node of this data directory lives, at the socket or not."""
        return self.kind == NODE or self.keeper > 0 or bool(self.workers)

    @property
    def serves(self) -> bool:
        """Say whether a node answers at the socket as it should."""
        return self.kind == OTHER_NODE or (self.kind == NODE and not self.trouble)


def look(paths: DataDir, seconds: float | None = None) -> Found:
    """Return who is at the socket. Blocks at most about `seconds` (ANSWER_SECONDS).

    Raises CodewireError where the socket may not be used: it is another user's.
    """
    deadline = time.monotonic() + (ANSWER_SECONDS if seconds is None else seconds)
    while True:
        try:
            sock = dial(paths.real_socket(), deadline)
        except TimeoutError:
            return _full(paths)
        if sock is None:
            return _nobody(paths)
        peer = peer_pid(sock)
        answer, how = _ask(sock, {"type": "NodeStatus"}, deadline)
        if answer or how != HUNG_UP or time.monotonic() + PAUSE_SECONDS > deadline:
            break
        # A worker that was killed takes its clients along; the next one answers.
        if role_of(peer) != KEEPER and is_alive(peer):
            break
        time.sleep(PAUSE_SECONDS)
    return _judge(paths, peer, answer, how, deadline)


def _judge(paths: DataDir, peer: int, answer: dict[str, Any], how: str, deadline: float) -> Found:
    facts = answer.get("node")
    if answer.get("type") == "NodeStatus" and isinstance(facts, dict):
        return _node(paths, peer, facts=facts)
    trouble = str(answer.get("message") or "") or how
    if answer.get("code") == NO_WORKER:
        return _node(paths, peer, trouble=trouble, no_worker=True)
    if role_of(peer) == KEEPER:
        return _node(paths, peer, trouble=trouble)
    return _not_ours(paths, peer, answer, trouble, deadline)


def keeper_at(path: str) -> int:
    """Return the pid of the keeper that listens at a socket, 0 for anybody else. Asks nothing."""
    try:
        sock = dial(path, time.monotonic() + 1.0)
    except (TimeoutError, CodewireError):
        return 0
    if sock is None:
        return 0
    peer = peer_pid(sock)
    sock.close()
    return peer if role_of(peer) == KEEPER else 0


def dial(path: str, deadline: float) -> socket.socket | None:
    """Return a connection to the socket at `path`, None when nobody listens there.

    Raises TimeoutError when someone listens but lets nobody in before the deadline (the backlog is
    full), CodewireError when the socket is another user's.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    while True:
        try:
            sock.connect(path)
            return sock
        except OSError as error:
            # A full backlog is EAGAIN: whoever accepts may get to it yet.
            is_full = error.errno in (errno.EAGAIN, errno.ENOBUFS)
            if not is_full or time.monotonic() >= deadline:
                sock.close()
                if is_full:
                    raise TimeoutError from error
                if error.errno in (errno.EACCES, errno.EPERM):
                    raise CodewireError(_forbidden(path)) from None
                return None
        time.sleep(PAUSE_SECONDS)


def _node(
    paths: DataDir,
    peer: int,
    *,
    facts: dict[str, Any] | None = None,
    trouble: str = "",
    no_worker: bool = False,
) -> Found:
    facts = facts or {}
    living = holders(paths.lock)
    workers = tuple(living[WORKER])
    keeper = peer if role_of(peer) == KEEPER else 0
    if not keeper and living[KEEPER]:
        # A successor listens on the socket that its predecessor opened.
        keeper = living[KEEPER][0].pid
    told = facts.get("keeper_pid")
    if not keeper and isinstance(told, int) and is_foreign_keeper(told):
        # It may be in another namespace; a signal to it would be refused, and said to be.
        keeper = told
    if trouble and not no_worker and workers:
        trouble = f"{trouble} (its worker: {describe(workers[0].pid)})"
    return Found(NODE, peer, keeper, facts, trouble, no_worker, workers)


def _nobody(paths: DataDir) -> Found:
    living = holders(paths.lock)
    keepers, workers = living[KEEPER], tuple(living[WORKER])
    if keepers:
        return Found(NOBODY, 0, keepers[0].pid, {}, "it has no socket any more", False, workers)
    if workers:
        trouble = (
            f"its keeper is gone, and its worker ({describe(workers[0].pid)}) started no other"
        )
        return Found(NOBODY, trouble=trouble, workers=workers)
    return Found(NOBODY)


def _full(paths: DataDir) -> Found:
    """Someone listens but lets nobody in: the backlog is full, since nobody accepts."""
    found = _nobody(paths)
    kind = NODE if found.is_alive else STRANGER
    return found._replace(kind=kind, peer=found.keeper, trouble="it lets no client in any more")


def _not_ours(
    paths: DataDir, peer: int, answer: dict[str, Any], trouble: str, deadline: float
) -> Found:
    """Tell another node from a stranger: the former knows ListSessions."""
    if answer.get("type") == "Error":
        try:
            sock = dial(paths.real_socket(), deadline)
        except TimeoutError:
            sock = None
        listed = _ask(sock, {"type": "ListSessions"}, deadline)[0] if sock is not None else {}
        if listed.get("type") == "SessionList":
            keepers = holders(paths.lock)[KEEPER]
            keeper = keepers[0].pid if keepers else 0
            return Found(OTHER_NODE, peer, keeper, listed, "")
    living = holders(paths.lock)
    if not answer and (living[KEEPER] or living[WORKER]) and not is_alive(peer):
        # Ours: the keeper that opened the socket is gone, its successor uses it on.
        return _node(paths, 0, trouble=trouble)
    keeper = living[KEEPER][0].pid if living[KEEPER] else 0
    return Found(STRANGER, peer, keeper, {}, trouble, False, tuple(living[WORKER]))


def claim_holder(paths: DataDir) -> tuple[str, tuple[int, int] | None]:
    """Return the name of the lock outside of the directory, and who holds it: pid and uid.

    None: nobody; pid 0, uid -1: not known.
    """
    from codewire.io.unix import answering_peer, claim_of

    name = claim_of(paths.root)
    return name, answering_peer(b"\0" + name.encode())


def ask(paths: DataDir, request: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return the answer to one request on a connection of its own, {} when none came in time."""
    deadline = time.monotonic() + seconds
    try:
        sock = dial(paths.real_socket(), deadline)
    except (TimeoutError, CodewireError):
        return {}
    return _ask(sock, request, deadline)[0] if sock is not None else {}


def _ask(
    sock: socket.socket, request: dict[str, Any], deadline: float
) -> tuple[dict[str, Any], str]:
    """Return the answer, or {} and what came of it instead. Closes the socket."""
    stream = FrameStream(sock)
    try:
        stream.set_timeout(max(0.01, deadline - time.monotonic()))
        stream.send_control(request)
        return _answer(stream, deadline), HUNG_UP
    except TimeoutError:
        return {}, "it does not answer"
    except ConnectionLost:
        return {}, HUNG_UP
    except ProtocolError:
        return {}, "it does not speak the wire format"
    finally:
        stream.close()


def _answer(stream: FrameStream, deadline: float) -> dict[str, Any]:
    """Return the first control message, {} at the end. Raises TimeoutError, ProtocolError."""
    while True:
        frame = stream.next_frame()
        if frame is not None:
            if frame[0] == CONTROL:
                return decode_control(frame[1])
            continue
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        # One byte a second gains a stranger nothing.
        stream.set_timeout(left)
        if not stream.fill():
            return {}


def _forbidden(path: str) -> str:
    for place in (path, os.path.dirname(path)):
        try:
            owner = os.stat(place).st_uid
        except OSError:
            continue
        return f"{path} belongs to another user (uid {owner}): you may not use the node there"
    return f"{path} belongs to another user: you may not use the node there"
