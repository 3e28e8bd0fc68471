"""Nodes' uplinks: one for each node, the newest (spec/relay.md 6).

A node dials `/node/connect` and stays; the relay asks it over that for what only a node can give.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, ProtocolError
from codewire.relay.http.answers import unauthorized
from codewire.relay.http.identity import node_of
from codewire.relay.http.inputs import check_url
from codewire.relay.store import nodes, orders
from codewire.relay.uplinks.outbox import Outbox
from codewire.relay.uplinks.reports import take_report
from codewire.web.upgrade import WebSocketUpgrade, upgrade
from codewire.wire.control import decode_control
from codewire.wire.frames import CONTROL
from codewire.wire.http import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.io.watchdog import Watchdog
    from codewire.io.websockets import WebSocketStream
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.nodes import Node
    from codewire.relay.uplinks.leases import Leases
    from codewire.web.request import Request

log = logging.getLogger(__name__)

# What both sides of an uplink take in one message (Go's limit).
MAX_MESSAGE = 32768
MAX_WAITING = 16
# How long a peer may be quiet before it is pinged, and until it is given up: two pings missed.
PING_SECONDS = 20.0
DEAD_SECONDS = 60.0
TOUCH_SECONDS = 30.0
# How soon another relay may learn that a node has gone.
RELEASE_SECONDS = 1.0

# Close codes of ours (RFC 6455 7.4.2): the token is no longer good; another uses it.
REVOKED = (4401, "the node's token was revoked or replaced")
REPLACED = (4409, "another connection uses this node's token")
STORE_FAILED = (1011, "the relay's store cannot be reached")

FEATURES_FIELD = "X-CodeWire-Features"
URL_FIELD = "X-CodeWire-Peer-URL"
MAX_FEATURES = 32

Key = tuple[str, str]


class Uplink:
    """One node's connection. `features` are what it says it can do beyond the first releases."""

    def __init__(self, node: Node, peer_url: str, features: tuple[str, ...]) -> None:
        self.node = node
        self.key: Key = (node.network_id, node.name)
        self.peer_url = peer_url
        self.features = features
        self.conn_id = os.urandom(16).hex()
        self.outbox = Outbox(MAX_WAITING)

    def is_of(self, node: Node) -> bool:
        """Say whether the node connected with the token of this registration."""
        mine = (self.node.enrollment_id, self.node.authorized_at)
        return mine == (node.enrollment_id, node.authorized_at)

    def send(self, message: dict[str, Any]) -> bool:
        """Ask the node for something; False when it does not take it. Never blocks."""
        return self.outbox.send(message)

    def ask(self, stream: object, request: dict[str, Any]) -> bool:
        """Ask the node to dial back for a stream, which the request names."""
        return self.send(request)


class Hub:
    """All uplinks of this relay."""

    def __init__(
        self, store: Database, watchdog: Watchdog, clock: Callable[[], int], leases: Leases
    ) -> None:
        self._store = store
        self._leases = leases
        self._watchdog = watchdog
        self._clock = clock
        self._lock = threading.Lock()
        self._uplinks: dict[Key, Uplink] = {}
        self._is_over = threading.Event()
        self.replaced = 0
        # What a node says that is nothing of the hub's.
        self.on_message: Callable[[Uplink, dict[str, Any]], None] = lambda uplink, message: None
        # What a node is told before anything else.
        self.on_connect: Callable[[Uplink, WebSocketStream], None] = lambda uplink, stream: None

    def __len__(self) -> int:
        return len(self._uplinks)

    def find(self, network: str, name: str) -> Uplink | None:
        """Return a node's uplink."""
        return self._uplinks.get((network, name))

    def networks(self) -> frozenset[str]:
        """Return the networks that have nodes here."""
        with self._lock:
            return frozenset(network for network, _ in self._uplinks)

    def is_connected(self, network: str, name: str) -> bool:
        """Say whether a node's uplink is open here."""
        return (network, name) in self._uplinks

    def drop_stale(self, network: str, name: str, node: Node | None) -> bool:
        """End a node's uplink unless it belongs to this registration of it; say whether it did."""
        uplink = self.find(network, name)
        if uplink is None or (node is not None and uplink.is_of(node)):
            return False
        self.drop(network, name)
        return True

    def drop_connection(self, network: str, conn_id: str) -> None:
        """End an uplink that has another in its place, at another relay."""
        with self._lock:
            found = [u for u in self._uplinks.values() if u.conn_id == conn_id]
        for uplink in found:
            if uplink.node.network_id == network:
                self._forget(uplink)
                uplink.outbox.close(*REPLACED)

    def drop(self, network: str, name: str) -> None:
        """End a node's uplink: its token is no longer good."""
        with self._lock:
            uplink = self._uplinks.pop((network, name), None)
        if uplink is not None:
            uplink.outbox.close(*REVOKED)

    def accept(self, call: Call, node: Node) -> Answer | WebSocketUpgrade:
        """Turn a node's request into its uplink. Raises Refusal.

        It is there before the node is told so: who asks then whether it is connected hears the
        truth.
        """
        request = call.request
        uplink = Uplink(node, check_url(request.field(URL_FIELD).strip()), _features(request))
        accepted = upgrade(
            request,
            partial(self._serve, uplink),
            self._watchdog,
            MAX_MESSAGE,
            partial(self._forget, uplink),
        )
        if isinstance(accepted, Answer):
            return accepted
        self._enter(uplink)
        try:
            self._note(call, uplink)
        except BaseException:
            self._forget(uplink)
            raise
        return accepted

    def _enter(self, uplink: Uplink) -> None:
        with self._lock:
            before = self._uplinks.get(uplink.key)
            self._uplinks[uplink.key] = uplink
        if before is not None:
            self.replaced += 1
            log.info("%s/%s connected again: the older uplink ends", *uplink.key)
            before.outbox.close(*REPLACED)

    def _note(self, call: Call, uplink: Uplink) -> None:
        """Keep what the node says of itself; its token may have been revoked this moment."""

        def note(tx: Tx) -> None:
            nodes.connected(
                tx, *uplink.key, peer_url=uplink.peer_url, features=uplink.features, now=call.now
            )
            before = self._leases.claim(tx, *uplink.key, uplink.conn_id)
            if before is not None:
                network, by = uplink.key[0], self._leases.url
                orders.give(tx, network, orders.CONNECTION, before.conn_id, by, call.now)

        self._store.write(note)
        if node_of(call.request, self._store) is None:
            raise unauthorized()

    def _forget(self, uplink: Uplink) -> None:
        """Forget an uplink, unless another has its place."""
        with self._lock:
            if self._uplinks.get(uplink.key) is uplink:
                del self._uplinks[uplink.key]
                self._leases.gone(uplink.conn_id)
                log.info("%s/%s disconnected", *uplink.key)

    def _serve(self, uplink: Uplink, stream: WebSocketStream) -> None:
        log.info("%s/%s connected", *uplink.key)
        try:
            self.on_connect(uplink, stream)
            uplink.outbox.open(stream)
            while (frame := stream.receive()) is not None:
                kind, payload = frame
                if kind == CONTROL:
                    self._take(uplink, payload)
        except CodewireError as error:
            log.info("%s/%s: %s", *uplink.key, error)

    def _take(self, uplink: Uplink, payload: bytes) -> None:
        """Act on a node's message; what is not understood is ignored (spec/relay.md 6.1)."""
        try:
            message = decode_control(payload)
        except ProtocolError:
            return
        if message.get("type") == "TaskReport":
            take_report(self._store, uplink.node, message, self._clock())
        else:
            self.on_message(uplink, message)

    # Signs of life

    def run(self) -> None:
        """Note every TOUCH_SECONDS which nodes are there, until `end`."""
        due = time.monotonic() + TOUCH_SECONDS
        while not self._is_over.wait(RELEASE_SECONDS):
            try:
                self._leases.release()
                if time.monotonic() >= due:
                    due = time.monotonic() + TOUCH_SECONDS
                    self._leases.measure()
                    self.touch()
            except CodewireError as error:
                log.warning("noting which nodes are connected: %s", error)

    def touch(self) -> None:
        """Note in the store which nodes are there, all in one transaction. Raises StoreError."""
        now = time.monotonic()
        with self._lock:
            uplinks = list(self._uplinks.values())
        alive = [u for u in uplinks if u.outbox.quiet_seconds(now) < DEAD_SECONDS]
        if alive:
            self._store.write(partial(self._renew, alive))

    def _renew(self, alive: list[Uplink], tx: Tx) -> None:
        nodes.touch(tx, [uplink.key for uplink in alive], self._clock())
        self._leases.renew(tx, [uplink.conn_id for uplink in alive])

    def end(self) -> None:
        """End the loop, and have other relays look for our nodes elsewhere from now on."""
        self._is_over.set()
        with self._lock:
            conn_ids = [uplink.conn_id for uplink in self._uplinks.values()]
        try:
            self._leases.release(conn_ids)
        except CodewireError as error:
            log.warning("our nodes' leases have to run out: %s", error)


def _features(request: Request) -> tuple[str, ...]:
    words = request.field(FEATURES_FIELD).split(",")
    return tuple(word.strip() for word in words if word.strip())[:MAX_FEATURES]
