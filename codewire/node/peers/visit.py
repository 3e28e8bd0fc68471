"""One visitor's connection as handlers of the peer RPC get it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codewire.errors import RequestError
from codewire.wire.codes import NO_SUCH_SESSION, UNAUTHORISED
from codewire.wire.peers import Locator, read_locator
from codewire.wire.texts import go_quote

if TYPE_CHECKING:
    from codewire.io.streams import FrameStream
    from codewire.node.context import Message, Node
    from codewire.node.peers.gate import Gate, Visitor
    from codewire.session.session import Session


@dataclass(frozen=True, slots=True)
class Visit:
    """An admitted visitor, the node and its checks."""

    node: Node
    gate: Gate
    stream: FrameStream
    visitor: Visitor

    def locate(self, request: Message, field: str) -> Locator:
        """Return the session of this node that a field names. Raises RequestError."""
        locator = read_locator(request.get(field))
        name = self.visitor.me.name
        if locator.node not in ("", name):
            text = f"session targets node {go_quote(locator.node)}, not {go_quote(name)}"
            raise RequestError(text, UNAUTHORISED)
        return locator

    def session(self, locator: Locator) -> Session:
        """Return a session of this node. Raises RequestError."""
        if locator.id is None:
            return self.node.sessions.registry.by_name(locator.name)
        session = self.node.sessions.registry.find(locator.id)
        if session is None:
            raise RequestError(f"session {locator.id} not found", NO_SUCH_SESSION)
        return session

    def place(self, session: Session) -> dict[str, Any]:
        """Return how a session of this node stands in an answer."""
        return Locator(self.visitor.me.name, session.id).to_json()

    def answer(self, request: Message, message: Message) -> None:
        """Send an answer to a request. Raises ConnectionLost."""
        self.stream.send_control({"op_id": request["op_id"], **message})


# What answers a request with one message, and what sends its answers itself: it may return any
# time, and with `streams` in its row the connection ends then.
PeerHandler = Callable[[Visit, dict[str, Any]], dict[str, Any]]
PeerStreamer = Callable[[Visit, dict[str, Any]], None]
