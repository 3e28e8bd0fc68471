"""Who asks, and what for: every handler is told, and one function says whether it may.

A user of this machine who reaches the node's socket (mode 0600) may do everything, and so may who
has the token. What a client says of itself proves nothing; which session it runs in is looked up
in /proc, and only where somebody wants to know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from codewire.errors import RequestError
from codewire.io.processes import ancestors
from codewire.io.streams import FrameStream
from codewire.session.registry import Registry
from codewire.session.session import Session
from codewire.wire.codes import UNAUTHORISED
from codewire.wire.requests import MSG_LISTEN, MSG_READ, VERBS

ALL_VERBS = frozenset(VERBS)
# Those who may use a node may not for that read what its sessions are told.
BY_GRANT = frozenset((MSG_READ, MSG_LISTEN))
NEEDS_GRANT = (
    "reading a session's messages through a relay needs a grant, also for the node's owner: see "
    "'cw access grant'"
)


class Kind(Enum):
    """By what a caller got in."""

    LOCAL = "local"
    TOKEN = "token"
    RELAY = "relay"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class Caller:
    """One connection's client. `node` is the id of the one it speaks for, "" for none.

    `verbs` are what it may do, to `session` alone where that is not None.
    """

    kind: Kind
    name: str
    node: str = ""
    verbs: frozenset[str] = ALL_VERBS
    session: int | None = None
    # Whether it has gone, asked while an answer takes its time; and the pid of its process, 0 where
    # that is on another machine.
    has_left: Callable[[], bool] = field(default=lambda: False, compare=False)
    pid: Callable[[], int] = field(default=lambda: 0, compare=False)


def local_caller(stream: FrameStream) -> Caller:
    """Return the user of this machine at the other end of a Unix socket."""
    return Caller(Kind.LOCAL, "user", has_left=stream.has_left, pid=stream.peer_pid)


def token_caller(stream: FrameStream, address: str) -> Caller:
    """Return somebody on another machine who has shown the token."""
    return Caller(Kind.TOKEN, address, has_left=stream.has_left)


def relay_caller(stream: FrameStream, subject: str) -> Caller:
    """Return somebody whom the relay knows, and lets in because the node is theirs."""
    verbs = ALL_VERBS - BY_GRANT
    return Caller(Kind.RELAY, subject, verbs=verbs, has_left=stream.has_left)


def peer_caller(
    stream: FrameStream, name: str, verbs: frozenset[str], session: int | None = None
) -> Caller:
    """Return somebody of the node's network, with what a grant or a delegation allows."""
    return Caller(Kind.PEER, name, verbs=verbs, session=session, has_left=stream.has_left)


def authorise(caller: Caller, verb: str, session_id: int | None) -> None:
    """Raise RequestError unless a caller may do this, to this session (None: to the node)."""
    is_elsewhere = caller.session is not None and session_id != caller.session
    if verb not in caller.verbs or is_elsewhere:
        if caller.kind is Kind.RELAY and verb in BY_GRANT:
            raise RequestError(NEEDS_GRANT, UNAUTHORISED)
        what = "the node" if session_id is None else f"session {session_id}"
        raise RequestError(f"not allowed: {caller.name} may not {verb} on {what}", UNAUTHORISED)


def calling_session(caller: Caller, registry: Registry) -> Session | None:
    """Return the running session that a caller's process descends from, None where it is in none.

    Of sessions inside sessions the innermost. Reads /proc once for each ancestor.
    """
    pid = caller.pid()
    if pid <= 0:
        return None
    leaders = {session.record.pid: session for session in registry.running()}
    return next((leaders[ancestor] for ancestor in ancestors(pid) if ancestor in leaders), None)
