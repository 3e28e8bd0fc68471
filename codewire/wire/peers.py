"""The peer RPC: what nodes and their visitors ask (spec/peer.md 1), one row a request.

Frames are those of a node's socket (frames.py), control frames alone; a visitor says who it is
first. Both ends go by the table; who answers a request is said in node/peers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from codewire.errors import ProtocolError, RequestError
from codewire.wire.codes import BAD_REQUEST

HELLO, ACK, ERROR = "AuthHello", "AuthAck", "Error"
EVENT, EVENTS_LOST = "Event", "EventsLost"

MAX_SESSION_ID = (1 << 32) - 1
MAX_OP_ID = 200
MAX_NAME = 1024
# Go's int; what is beyond counts as this.
MAX_WHOLE = (1 << 63) - 1


class Locator(NamedTuple):
    """A session: exactly one of `id` and `name`; `node` is "" where it is the one that is asked."""

    node: str = ""
    id: int | None = None
    name: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the object that stands for it."""
        found = {"node": self.node or None, "id": self.id, "name": self.name or None}
        return {key: value for key, value in found.items() if value is not None}

    def __str__(self) -> str:
        return f"{self.node}:{self.shown()}" if self.node else self.shown()

    def shown(self) -> str:
        """Return the session's name or number."""
        return self.name or str(self.id)


class PeerRow(NamedTuple):
    """One request: its type, what answers it, the fields it may carry beside `op_id`."""

    type: str
    answer: str
    names: str
    # The connection is its own from then on.
    streams: bool = False


ROWS = (
    PeerRow("MsgSend", "MsgSent", "from sender_cap to body delivery repeat"),
    PeerRow(
        "MsgRequest",
        "MsgRequestResult",
        "from sender_cap to body timeout_seconds delivery",
        streams=True,
    ),
    PeerRow("MsgReply", "MsgReplySent", "from sender_cap request_id body"),
    PeerRow("MsgRead", "MsgReadResult", "session observer_cap tail"),
    PeerRow("MsgListen", "MsgListenAck", "session observer_cap", streams=True),
)
REQUESTS = {row.type: row for row in ROWS}

LOCATORS = frozenset(("from", "to", "session"))
# Whole numbers, of which `tail` may be negative: all.
WHOLES = frozenset(("tail", "timeout_seconds"))
# Ours: the same `op_id` was sent before.
FLAGS = frozenset(("repeat",))


def parse_hello(message: dict[str, Any]) -> str:
    """Return the credential in a visitor's first message. Raises ProtocolError."""
    credential = message.get("runtime_credential")
    if message.get("type") != HELLO or not isinstance(credential, str) or not credential:
        raise ProtocolError("peer authentication failed")
    return credential


def make_request(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a request without its `op_id`; what is None is left out, locators become objects.

    Raises ValueError for a field that its row does not list.
    """
    unlisted = set(fields) - set(REQUESTS[kind].names.split())
    if unlisted:
        raise ValueError(f"{kind} has no field {sorted(unlisted)} in wire/peers.py")
    found = {
        name: value.to_json() if isinstance(value, Locator) else value
        for name, value in fields.items()
        if value is not None
    }
    return {"type": kind, **found}


def parse_peer_request(message: dict[str, Any]) -> dict[str, Any]:
    """Return `type`, `op_id` and the fields of the request's row, each of its kind.

    A field that is null is absent, one that no row has is dropped; locators stay objects (see
    `read_locator`). Raises ProtocolError for what is no request: it has no answer.
    """
    kind, op_id = message.get("type"), message.get("op_id")
    row = REQUESTS.get(kind) if isinstance(kind, str) else None
    if row is None:
        raise ProtocolError("unknown peer request")
    if not isinstance(op_id, str) or not 0 < len(op_id) <= MAX_OP_ID:
        raise ProtocolError(f"{row.type} without op_id")
    found: dict[str, Any] = {"type": row.type, "op_id": op_id}
    for name in row.names.split():
        value = message.get(name)
        if value is not None:
            found[name] = _checked(name, value)
    return found


def _checked(name: str, value: Any) -> Any:
    if name in LOCATORS:
        if not isinstance(value, dict):
            raise ProtocolError(f"{name} must be an object")
    elif name in WHOLES:
        if type(value) is not int or abs(value) > MAX_WHOLE:
            raise ProtocolError(f"{name} must be a whole number")
    elif name in FLAGS:
        if not isinstance(value, bool):
            raise ProtocolError(f"{name} must be true or false")
    elif not isinstance(value, str):
        raise ProtocolError(f"{name} must be a string")
    return value


def read_locator(value: Any) -> Locator:
    """Return the session that an object names. Raises RequestError in the known words."""
    found = value if isinstance(value, dict) else {}
    node, number, name = found.get("node") or "", found.get("id"), found.get("name") or ""
    is_number = number is None or (type(number) is int and 0 <= number <= MAX_SESSION_ID)
    if not isinstance(node, str) or not isinstance(name, str) or not is_number:
        raise RequestError("invalid session locator", BAD_REQUEST)
    name = name.strip().removeprefix("@")
    if len(name) > MAX_NAME or len(node) > MAX_NAME:
        raise RequestError("invalid session locator", BAD_REQUEST)
    if number is None and not name:
        raise RequestError("session locator requires id or name", BAD_REQUEST)
    if number is not None and name:
        raise RequestError("session locator cannot include both id and name", BAD_REQUEST)
    return Locator(node.strip(), number, name)
