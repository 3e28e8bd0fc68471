"""Another node's peer RPC, through the relay: found, dialled, greeted, asked (spec/peer.md 1, 2).

A credential is good for one connection, so each connection gets one of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.credentials.grants import LISTEN
from codewire.errors import (
    ConnectionLost,
    CredentialError,
    NodeRefused,
    NodeUnreachable,
    OutOfTime,
    ProtocolError,
    RelayRefused,
    RequestError,
    RequestTimedOut,
)
from codewire.io.deadline import NEVER, Deadline
from codewire.io.messagesocket import MessageStream
from codewire.network.caller import API, CALL_SECONDS, encode_query, encode_segment
from codewire.network.relay import Relay
from codewire.network.websocket import open_websocket
from codewire.wire.codes import TIMED_OUT
from codewire.wire.control import decode_control
from codewire.wire.frames import CONTROL
from codewire.wire.peers import ACK, ERROR, HELLO, Locator
from codewire.wire.texts import go_quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codewire.io.streams import FrameStream
    from codewire.network.accepted import Record
    from codewire.network.answers import Node
    from codewire.network.configuration import Configuration

DIAL_SECONDS = 15.0
# The node may have to ask the relay for its keys first.
GREET_SECONDS = 15.0
# How often a node that says nothing is asked for a sign of life.
PROBE_SECONDS = 10.0
# Of an id.
MAX_DIGITS = 10


class PeerLink:
    """A connection on which a node knows who asks. A context manager, which closes it."""

    def __init__(self, node: str, stream: FrameStream) -> None:
        """`stream` carries frames to the node and is the link's own from now on."""
        self.node = node
        self.stream = stream
        self._asked = 0

    def __enter__(self) -> PeerLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def greet(self, credential: str, deadline: Deadline = NEVER) -> None:
        """Say who asks. Blocks. Raises RequestError with the node's words, NodeUnreachable."""
        self._send({"type": HELLO, "runtime_credential": credential})
        answer = self._receive(deadline.within(GREET_SECONDS))
        if answer.get("type") == ERROR:
            raise _refusal(answer)
        if answer.get("type") != ACK:
            raise ProtocolError(f"node {self.node} does not speak the peer RPC")

    def ask(self, request: dict[str, Any], deadline: Deadline = NEVER) -> dict[str, Any]:
        """Send a request and return its answer, by the deadline; its `op_id` may be left out.

        Raises RequestError with the node's words, OutOfTime, ConnectionLost, ProtocolError.
        """
        self._asked += 1
        op_id = str(request.get("op_id") or f"op_{time.time_ns():x}_{self._asked}")
        self._send({**request, "op_id": op_id})
        return self._answer(op_id, deadline)

    def follow(
        self, request: dict[str, Any], deadline: Deadline = NEVER
    ) -> Iterator[dict[str, Any]]:
        """Yield the acknowledgement of a request that streams, then what comes until the deadline.

        Raises as `ask` does.
        """
        answer = self.ask(request, deadline.within(GREET_SECONDS))
        while True:
            yield answer
            answer = self._answer(str(answer["op_id"]), deadline)

    def _answer(self, op_id: str, deadline: Deadline) -> dict[str, Any]:
        answer = self._receive(deadline)
        if answer.get("op_id") != op_id:
            raise ProtocolError(f"node {self.node} answered another request")
        if answer.get("type") == ERROR:
            raise _refusal(answer)
        return answer

    def _send(self, message: dict[str, Any]) -> None:
        self.stream.set_timeout(GREET_SECONDS)
        try:
            self.stream.send_control(message)
        except TimeoutError as error:
            raise ConnectionLost(self._silent) from error

    def _receive(self, deadline: Deadline) -> dict[str, Any]:
        """Return the next message, and ask for a sign of life while none comes."""
        while True:
            left = deadline.within(PROBE_SECONDS).left()
            if left == 0:
                raise OutOfTime(self._silent)
            self.stream.set_timeout(left)
            try:
                frame = self.stream.receive()
                break
            except TimeoutError:
                if not deadline.expired and not self.stream.probe():
                    raise ConnectionLost(f"{self._silent} any more") from None
        if frame is None:
            raise ConnectionLost(f"node {self.node} closed the connection without an answer")
        kind, payload = frame
        if kind != CONTROL:
            raise ProtocolError(f"node {self.node} sent a data frame in the peer RPC")
        return decode_control(payload)

    @property
    def _silent(self) -> str:
        return f"node {self.node} does not answer"


def _refusal(answer: dict[str, Any]) -> RequestError:
    text, code = answer.get("error"), answer.get("code")
    words = text if isinstance(text, str) and text else "the node reported an unnamed error"
    # Other makes of node have no codes.
    if code == TIMED_OUT or (code is None and " timed out after " in words):
        return RequestTimedOut(words, str(answer.get("request_id") or ""))
    if code == CredentialError.code or not isinstance(code, str):
        return CredentialError(words) if code else RequestError(words)
    return RequestError(words, code)


class PeerWay(NamedTuple):
    """The way to one node's peer RPC; accepted grants are kept in `root`, the data directory."""

    relay: Configuration
    node: str
    root: str

    def dial(self) -> PeerLink:
        """Return a greeted connection; see `dial_peer`."""
        return dial_peer(self.relay, self.node)

    def is_own(self) -> bool:
        """Say whether the node is the user's own. Asks the relay, for a second at most."""
        from codewire.network.directory import Directory

        return Directory(self.root, self.relay).is_own(self.node)

    def locator(self, session: int | str) -> Locator:
        """Return what names a session of the node: digits are an id, all else is a name."""
        text = str(session).removeprefix("@")
        is_id = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
        return Locator(self.node, int(text)) if is_id else Locator(self.node, name=text)

    def may_listen(self, session: int | str) -> bool:
        """Say whether a grant was accepted that lets one follow a session's messages."""
        return self._accepted(self.locator(session), LISTEN) is not None

    def grant_for(self, locator: Locator, verb: str) -> str:
        """Return the token of an accepted grant for a session. Asks the relay whether it holds.

        Raises CredentialError where there is none.
        """
        found = self._accepted(locator, verb)
        if found is None:
            raise CredentialError(f"no accepted grant found for {locator}")
        return str(found["token"])

    def _accepted(self, locator: Locator, verb: str) -> Record | None:
        from codewire.network.accepted import Accepted, find_accepted

        return find_accepted(Accepted(self.root), self.relay, self.node, locator, verb)


class _Visitor(NamedTuple):
    """Who dials, the user or this machine's node, and by when."""

    relay: Configuration
    is_node: bool
    deadline: Deadline

    @property
    def network(self) -> str:
        if self.is_node:
            return self.relay.node_network
        return self.relay.required_network()

    @property
    def token(self) -> str:
        return self.relay.node_token if self.is_node else self.relay.user_token

    def check(self) -> None:
        """Raise ConfigError where nobody is configured."""
        if self.is_node:
            self.relay.as_node()
        else:
            self.relay.as_user()

    def find(self, node: str) -> Node | None:
        """Return what the relay says of a node, None for nothing."""
        relay = self._relay()
        return next((one for one in relay.nodes(self.network) if one.name == node), None)

    def credential(self) -> str:
        return self._relay().runtime_credential("" if self.is_node else self.network).token

    def _relay(self) -> Relay:
        return Relay(self.relay.server, self.token, self.seconds(CALL_SECONDS))

    def seconds(self, longest: float) -> float:
        """Return how long one step may take. Raises OutOfTime where there is no time left."""
        left = self.deadline.within(longest).left() or 0.0
        if left <= 0:
            raise OutOfTime("no time is left to reach the node")
        return left


def dial_peer(
    relay: Configuration, node: str, deadline: Deadline = NEVER, *, as_node: bool = False
) -> PeerLink:
    """Return a greeted connection to a node of the selected network; the caller closes it.

    `as_node`: this machine's node dials, and in its own network. Blocks, until the deadline at
    most. Raises NodeRefused for a node that is not there, NodeUnreachable, RelayError and its kin,
    OutOfTime, RequestError with the node's words.
    """
    visitor = _Visitor(relay, as_node, deadline)
    visitor.check()
    network, found = visitor.network, visitor.find(node)
    if found is None:
        raise NodeRefused(
            f"remote node {go_quote(node)} was not found in the current relay network"
        )
    if not found.connected:
        raise NodeUnreachable(_not_connected(node))
    credential = visitor.credential()
    query = encode_query({"network_id": network, "service": "peer"})
    path = f"{API}/nodes/{encode_segment(node)}/ws{query}"
    try:
        seconds = visitor.seconds(DIAL_SECONDS)
        messages = open_websocket(relay.server, path, visitor.token, (), seconds)
    except RelayRefused as error:
        if error.status == 503 and "is not connected" in error.text:
            raise NodeUnreachable(_not_connected(node)) from error
        if error.status == 404 and "node" not in error.text:
            words = f"relay {relay.url} knows no streams to nodes: it is older, or of another make"
            raise NodeRefused(words) from error
        if error.status in (501, 503) and error.text:
            raise NodeUnreachable(error.text) from error
        raise
    link = PeerLink(node, MessageStream(messages))
    try:
        link.greet(credential, deadline)
    except OutOfTime as error:
        link.stream.close()
        if deadline.expired:
            raise
        raise NodeUnreachable(str(error)) from error
    except BaseException:
        link.stream.close()
        raise
    return link


def _not_connected(node: str) -> str:
    return (
        f"remote node {go_quote(node)} is registered in the current relay network but is not "
        "connected"
    )
