"""The mesh's introductions: who listens, who dials whom, and what each is told (spec/peer.md 4).

Only live connections, nothing is kept. A peer that registers again replaces its older connection,
and only that one's end is its own. It never sees what peers say to each other.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, ProtocolError
from codewire.relay.uplinks.hub import REPLACED, REVOKED
from codewire.relay.uplinks.introduction import Introduction, read_node
from codewire.relay.uplinks.outbox import Outbox
from codewire.relay.uplinks.streams import REMOVED
from codewire.web.upgrade import WebSocketUpgrade, upgrade
from codewire.wire.control import decode_control, encode_control
from codewire.wire.frames import CONTROL
from codewire.wire.tailnet import dialer_id, stable_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.io.watchdog import Watchdog
    from codewire.io.websockets import WebSocketStream
    from codewire.relay.http.call import Call
    from codewire.wire.http import Answer

log = logging.getLogger(__name__)

MAX_MESSAGE = 32768
# What a Go client takes in one message, with room for the rest of it.
MAX_LIST_BYTES = 30_000
MAX_WAITING = 64


Who = tuple[str, str, str]


class Peer:
    """One connection. `identity` is its id; `node` what it said of itself, once it has.

    `who` was admitted: network, kind (`node` or `client`) and name.
    """

    def __init__(self, who: Who, identity: str, is_listener: bool) -> None:
        self.who = who
        self.network = who[0]
        self.identity = identity
        self.is_listener = is_listener
        self.node: dict[str, Any] | None = None
        # The id of the listener it dials.
        self.target = ""
        self.outbox = Outbox(MAX_WAITING)

    def tell(self, nodes: list[dict[str, Any]]) -> None:
        """Send the nodes it is to know, which replace those it knew. None is no news."""
        if nodes:
            self.outbox.send({"type": "peer_update", "nodes": fitting(nodes)})

    def refuse(self, text: str) -> None:
        """Say what was wrong with a message."""
        self.outbox.send({"type": "error", "error": text})


def fitting(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest of the nodes, as many as a peer takes in one message."""
    size, kept = 0, []
    for node in reversed(nodes):
        size += len(encode_control({"": node}))
        if size > MAX_LIST_BYTES:
            break
        kept.append(node)
    return kept[::-1]


class Coordinator:
    """All peers of this relay."""

    def __init__(
        self, watchdog: Watchdog, derp_map: dict[str, Any], random: Callable[[int], bytes]
    ) -> None:
        self._watchdog = watchdog
        self._derp_map = derp_map
        self._random = random
        self._lock = threading.Lock()
        # By id, in the order they came.
        self._peers: dict[str, Peer] = {}
        # All that were admitted, also those whose connection is not there yet.
        self._admitted: set[Peer] = set()
        # Whether a node is connected to another relay, whose introductions are its own.
        self.is_elsewhere: Callable[[str, str], bool] = lambda network, name: False

    def __len__(self) -> int:
        return len(self._peers)

    def accept(self, call: Call, network: str, kind: str, name: str) -> Answer | WebSocketUpgrade:
        """Turn an admitted peer's request into its connection."""
        is_listener = kind == "node" and call.query.text("role") != "dial"
        identity = stable_id(network, kind, name) if is_listener else dialer_id(self._random(16))
        peer = Peer((network, kind, name), identity, is_listener)
        accepted = upgrade(
            call.request,
            partial(self._serve, peer),
            self._watchdog,
            MAX_MESSAGE,
            partial(self.leave, peer),
        )
        if isinstance(accepted, WebSocketUpgrade):
            with self._lock:
                self._admitted.add(peer)
        return accepted

    def _serve(self, peer: Peer, stream: WebSocketStream) -> None:
        peer.outbox.send({"type": "derp_map", "derp_map": self._derp_map})
        self.enter(peer)
        peer.outbox.open(stream)
        try:
            while (frame := stream.receive()) is not None:
                kind, payload = frame
                if kind == CONTROL:
                    self.take(peer, payload)
        except CodewireError as error:
            log.debug("peer %s: %s", peer.identity, error)

    def enter(self, peer: Peer) -> None:
        """Note a peer; an older connection of the same id ends."""
        with self._lock:
            before = self._peers.pop(peer.identity, None)
            self._peers[peer.identity] = peer
        if before is not None:
            before.outbox.close(*REPLACED)

    def drop(self, network: str, name: str) -> None:
        """End all connections of a node: its token is no longer good."""
        self._end((network, "node", name), REVOKED)

    def drop_member(self, network: str, who: str) -> None:
        """End all connections of somebody who belongs to a network no more."""
        self._end((network, "client", who), REMOVED)

    def _end(self, who: Who, goodbye: tuple[int, str]) -> None:
        with self._lock:
            found = [peer for peer in self._admitted if peer.who == who]
        for peer in found:
            peer.outbox.close(*goodbye)

    def leave(self, peer: Peer) -> None:
        """Forget a peer, unless its id is another connection's by now; tell whom it dialled."""
        with self._lock:
            self._admitted.discard(peer)
            if self._peers.get(peer.identity) is not peer:
                return
            del self._peers[peer.identity]
            target = self._peers.get(peer.target)
            dialers = self._dialers(target) if target else []
        if target is not None:
            target.tell(dialers)

    def take(self, peer: Peer, payload: bytes) -> None:
        """Act on a peer's message."""
        try:
            message = decode_control(payload)
        except ProtocolError:
            peer.refuse("bad request")
            return
        kind = message.get("type")
        if kind == "node":
            self._update(peer, message.get("node"))
        elif kind == "subscribe":
            self._subscribe(peer, message.get("target_node"))
        else:
            peer.refuse(f'unsupported request type "{str(kind or "")[:64]}"')

    def _update(self, peer: Peer, value: object) -> None:
        """Take what a peer says of itself, and pass it on to the other ends of its tunnels."""
        if not isinstance(value, dict):
            peer.refuse("node update requires node payload")
            return
        try:
            introduction = read_node(value, peer.identity, peer.is_listener)
        except ProtocolError:
            peer.refuse("bad request")
            return
        if not self._rename(peer, introduction):
            peer.refuse("bad request")
            return
        with self._lock:
            dialers = [p for p in self._peers.values() if self._dials(p, peer)]
            target = self._peers.get(peer.target)
            of_target = self._dialers(target) if target else []
        for dialer in dialers:
            dialer.tell([introduction.node])
        if target is not None:
            target.tell(of_target)

    def _rename(self, peer: Peer, introduction: Introduction) -> bool:
        """Have a dialer go by the id it chose; False when that is another's."""
        with self._lock:
            if self._peers.get(peer.identity) is not peer:
                return False
            if introduction.identity != peer.identity:
                if introduction.identity in self._peers:
                    return False
                del self._peers[peer.identity]
                peer.identity = introduction.identity
                self._peers[peer.identity] = peer
            peer.node = introduction.node
        return True

    def _subscribe(self, peer: Peer, name: object) -> None:
        """Introduce a dialer and its target to each other. A target nobody knows: silence.

        One that is at another relay cannot be introduced here, which is said.
        """
        if not isinstance(name, str) or not name.strip():
            peer.refuse("subscribe requires target_node")
            return
        with self._lock:
            peer.target = stable_id(peer.network, "node", name)
            target = self._peers.get(peer.target)
            dialers = self._dialers(target) if target else []
        if target is None:
            self._say_where(peer, name)
            return
        if target.node is not None:
            peer.tell([target.node])
        target.tell(dialers)

    def _say_where(self, peer: Peer, name: str) -> None:
        try:
            is_elsewhere = self.is_elsewhere(peer.network, name)
        except CodewireError as error:
            log.warning("where node %s/%s is cannot be read: %s", peer.network, name, error)
            return
        if is_elsewhere:
            peer.refuse(f'node "{name[:64]}" is connected to another relay than this peer')

    def _dialers(self, target: Peer) -> list[dict[str, Any]]:
        """Return what the dialers of a peer said of themselves; under the lock."""
        return [
            peer.node
            for peer in self._peers.values()
            if self._dials(peer, target) and peer.node is not None
        ]

    def _dials(self, peer: Peer, target: Peer) -> bool:
        return peer.target == target.identity and peer is not target and target.is_listener
