"""Clients' streams to nodes: the node dials back for each, and the two are joined, message by
message (spec/relay.md 6.2).

Where the node is at another relay, that one joins them, and the bytes between it and the client
are passed on here as they are. A client masks its frames and so does whoever asks a relay: the
other relay sees the client's own, as if it had come there.

Each side is read by its own connection's greenlet, which alone closes it; the other end is told to
end (`shutdown`), never closed.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from codewire.errors import CodewireError
from codewire.io.lines import Line
from codewire.relay.http.answers import Refusal
from codewire.web.upgrade import WebSocketUpgrade, upgrade
from codewire.wire.http import Answer
from codewire.wire.websocket import GOING_AWAY, NORMAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.io.watchdog import Watchdog
    from codewire.io.websockets import WebSocketStream
    from codewire.relay.http.call import Call
    from codewire.relay.store.nodes import Node
    from codewire.relay.uplinks.hub import Hub, Uplink

    # Who wants a node: over a connection of their own, or through the SSH gateway.
    Client = WebSocketStream | Line

log = logging.getLogger(__name__)

# What a node is asked for; of the second kind by the SSH gateway.
REQUESTS = ("StreamRequest", "SSHRequest")
# What a node can do that serves streams; one of another make cannot.
STREAM = "stream"
# A client's patience with a dial is ten seconds: it should hear why.
BACK_SECONDS = 8.0
# Between the node's connection and the client's, which only has to be answered.
JOIN_SECONDS = 10.0
# For the other half to end after the first, before it is woken.
END_SECONDS = 3.0
MAX_PER_NODE = 512
# Close codes: what was lost may come back (IANA's registry), what was taken away will not.
RESTART, POLICY = 1012, 1008
# Those of a node that its client is told as they are (RFC 6455 7.4.1).
PASSED_ON = frozenset((NORMAL, GOING_AWAY, 1008, 1009, 1011, RESTART, 1013))
# What a close frame without a code counts as.
NO_CODE = 1005
NO_WAITER = (NORMAL, "no waiter")
REMOVED = (POLICY, "you do not belong to the network any more")
REVOKED = (POLICY, "the node's token was revoked or replaced")
MAX_REASON = 300

AGAIN = (("Retry-After", "1"),)

Key = tuple[str, str]


class Way(Protocol):
    """A node that is connected, here or at another relay."""

    features: tuple[str, ...]

    def ask(self, stream: Stream, request: dict[str, Any]) -> bool:
        """Have it told; False when it does not take it. Raises Refusal."""


class Stream:
    """One client's way to a node; `who` it is."""

    def __init__(self, key: Key, who: str) -> None:
        self.key = key
        self.who = who
        self.id = os.urandom(16).hex()
        self.reason = ""
        self._lock = threading.Lock()
        self._answered, self._joined = threading.Event(), threading.Event()
        self._client_done, self._back_done = threading.Event(), threading.Event()
        self._client: Client | None = None
        self._back: WebSocketStream | None = None
        self._is_over = False
        self._is_relay = False
        self._carry: Callable[[Any, Any], None] = _carry_frames

    def wait(self, seconds: float) -> bool:
        """Return whether the node has dialled back by then; `reason` is its word if it will not."""
        self._answered.wait(seconds)
        return self._back is not None

    def refuse(self, reason: str) -> None:
        """Note that the node will not dial back."""
        self.reason = reason
        self._answered.set()

    def serve_back(self, back: WebSocketStream, *, is_relay: bool = False) -> None:
        """Carry what the node sends to the client, until either has gone.

        `is_relay` says that the node's relay is at the other end, ready to serve a client.
        """
        with self._lock:
            self._back, is_over = back, self._is_over
            self._is_relay = is_relay
        self._answered.set()
        try:
            self._joined.wait(JOIN_SECONDS)
            if self._client is None or is_over:
                back.shutdown(*NO_WAITER)
                return
            self._carry(back, self._client)
            self._client.shutdown(_passed_on(back.close_code))
        finally:
            self._back_done.set()
            _part(back, self._client_done)

    def serve_client(self, client: Client) -> None:
        """Carry what the client sends to the node, until either has gone."""
        with self._lock:
            if self._is_over or self._back is None:
                client.shutdown(RESTART)
                return
            self._client, back = client, self._back
            if self._is_relay and not isinstance(client, Line):
                client.begin_passing()
                back.begin_passing()
                self._carry = _carry_bytes
        self._joined.set()
        try:
            self._carry(client, back)
            back.shutdown(NORMAL)
        finally:
            self._client_done.set()
            _part(client, self._back_done)

    def end(self, code: int = NORMAL, reason: str = "") -> None:
        """End what there is of both. From any thread, also before either began."""
        with self._lock:
            self._is_over = True
            sides = (self._client, self._back)
        for side in sides:
            if side is not None:
                side.shutdown(code, reason)
        self._answered.set()
        self._joined.set()

    def leave(self) -> None:
        """Note that there is no client, or no longer one."""
        self._client_done.set()
        self.end()


def _carry_frames(source: Client, sink: Client) -> None:
    """Pass on messages until one of the two has gone."""
    try:
        while (frame := source.receive()) is not None:
            sink.send_frame(*frame)
    except (CodewireError, OSError) as error:
        log.debug("a stream ends: %s", error)


def _carry_bytes(source: WebSocketStream, sink: WebSocketStream) -> None:
    """Pass on bytes until one of the two has gone."""
    try:
        source.pass_on(sink)
    except (CodewireError, OSError) as error:
        log.debug("a stream ends: %s", error)


def _part(own: Client, other_done: threading.Event) -> None:
    """Return when the other half writes to `own` no more, which may then be closed."""
    if not other_done.wait(END_SECONDS):
        own.abort()
        other_done.wait(END_SECONDS)


def _passed_on(code: int) -> int:
    """Return what a client is told when its node's connection ended with a code, 0 for none."""
    if code == NO_CODE:
        return NORMAL
    return code if code in PASSED_ON else RESTART


class Streams:
    """All streams of this relay."""

    def __init__(self, hub: Hub, watchdog: Watchdog) -> None:
        self._hub = hub
        self._watchdog = watchdog
        self._lock = threading.Lock()
        # Those whose node has not dialled back, by the id it is to say; and all of each node.
        self._waiting: dict[str, Stream] = {}
        self._of_node: dict[Key, set[Stream]] = {}
        # Nodes that are connected to another relay.
        self.elsewhere: Callable[[str, str], Way | None] = lambda network, name: None
        hub.on_message = self.take

    def __len__(self) -> int:
        return sum(len(streams) for streams in self._of_node.values())

    def open(
        self, call: Call, network: str, name: str, ask: dict[str, Any]
    ) -> Answer | WebSocketUpgrade:
        """Turn a client's request into a stream to a node, which is asked with `ask`.

        Blocks until the node has dialled back. Raises Refusal: 503 is worth trying again.
        """
        stream = Stream((network, name), str(ask.get("subject")))
        accepted = upgrade(
            call.request, stream.serve_client, self._watchdog, on_end=partial(self.forget, stream)
        )
        if isinstance(accepted, Answer):
            return accepted
        way = self._way(network, name)
        self.enter(stream)
        try:
            self._ask(way, stream, ask)
        except BaseException:
            self.forget(stream)
            raise
        return accepted

    def way(self, network: str, name: str) -> Way | None:
        """Return a node, here or at another relay; None where it is connected nowhere.

        Raises StoreError.
        """
        return self._hub.find(network, name) or self.elsewhere(network, name)

    def _way(self, network: str, name: str) -> Way:
        way = self.way(network, name)
        if way is None:
            raise Refusal(503, f'node "{name}" is not connected', AGAIN)
        if STREAM not in way.features:
            raise Refusal(501, f'node "{name}" cannot be reached this way; use ssh')
        return way

    def enter(self, stream: Stream) -> None:
        """Wait for a node to dial back for a stream, until `forget`. Raises Refusal."""
        with self._lock:
            streams = self._of_node.setdefault(stream.key, set())
            if len(streams) >= MAX_PER_NODE:
                raise Refusal(503, f'node "{stream.key[1]}" has too many streams', AGAIN)
            streams.add(stream)
            self._waiting[stream.id] = stream

    def ask_here(self, stream: Stream, ask: dict[str, Any]) -> None:
        """Ask a node of this relay for another relay, as `_ask` does. Raises Refusal."""
        uplink = self._hub.find(*stream.key)
        if uplink is None or ask.get("type") not in REQUESTS:
            raise Refusal(503, f'node "{stream.key[1]}" is not connected', AGAIN)
        self._ask(uplink, stream, ask)

    def _ask(self, way: Way, stream: Stream, ask: dict[str, Any]) -> None:
        name = stream.key[1]
        if not way.ask(stream, {"type": REQUESTS[0], **ask, "session_id": stream.id}):
            raise Refusal(503, f'node "{name}" is busy', AGAIN)
        if not stream.wait(BACK_SECONDS):
            raise Refusal(503, stream.reason or f'node "{name}" does not answer', AGAIN)

    def forget(self, stream: Stream) -> None:
        """Let go of a stream, and end what there is of it."""
        with self._lock:
            self._waiting.pop(stream.id, None)
            streams = self._of_node.get(stream.key, set())
            streams.discard(stream)
            if not streams:
                self._of_node.pop(stream.key, None)
        stream.leave()

    def accept_back(self, call: Call, node: Node, ident: str) -> Answer | WebSocketUpgrade:
        """Turn a node's request into its side of a stream: its own, and once."""
        with self._lock:
            stream = self._waiting.get(ident)
            if stream is not None and stream.key != (node.network_id, node.name):
                stream = None
        serve = _say_no_waiter if stream is None else stream.serve_back
        accepted = upgrade(call.request, serve, self._watchdog)
        if stream is not None and not isinstance(accepted, Answer):
            with self._lock:
                if self._waiting.pop(ident, None) is None:
                    return upgrade(call.request, _say_no_waiter, self._watchdog)
        return accepted

    def take(self, uplink: Uplink, message: dict[str, Any]) -> None:
        """Act on a node's word that it will not dial back."""
        ident, reason = message.get("session_id"), message.get("reason")
        if message.get("type") != "StreamRefused" or not isinstance(ident, str):
            return
        stream = self._waiting.get(ident)
        if stream is not None and stream.key == uplink.key:
            words = reason if isinstance(reason, str) and reason.isprintable() else ""
            stream.refuse(words[:MAX_REASON])

    def drop(self, network: str, name: str) -> None:
        """End all streams of a node: its token is no longer good."""
        with self._lock:
            streams = list(self._of_node.get((network, name), ()))
        for stream in streams:
            stream.end(*REVOKED)

    def drop_member(self, network: str, who: str) -> None:
        """End all streams of somebody who belongs to a network no more."""
        with self._lock:
            streams = [one for of in self._of_node.values() for one in of if one.who == who]
        for stream in streams:
            if stream.key[0] == network:
                stream.end(*REMOVED)


def _say_no_waiter(stream: WebSocketStream) -> None:
    stream.shutdown(*NO_WAITER)
