"""Tells nodes which grants they are to refuse: at connect those that are revoked, later each one.

Driven by the store's events, so that a grant revoked at another relay of the same database counts
as well. A node that does not take a message is disconnected: it comes back and is told everything.
"""

from __future__ import annotations

import json
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.relay.store import events, trust
from codewire.relay.store.trust import Grant
from codewire.wire.timestamps import format_nanos

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.io.websockets import WebSocketStream
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.uplinks.hub import Hub, Uplink

log = logging.getLogger(__name__)

GRANT_REVOKED = "GrantRevoked"
# How soon what another relay has revoked is found, where the database does not say.
POLL_SECONDS = 2.0
BATCH = 64
# What the store calls any network.
ALL = ""
# Of one node, not expired yet: a day's at most.
MAX_REVOKED = 10_000
# Try again (IANA's registry of close codes).
AGAIN = (1013, "too much to say at once")


class Revocations:
    """What all nodes of this relay are told."""

    def __init__(self, store: Database, hub: Hub, clock: Callable[[], int]) -> None:
        self._store = store
        self._hub = hub
        self._clock = clock
        self._changed = threading.Condition()
        # Networks to look at; ALL stands for every one.
        self._woken: set[str] = set()
        self._is_over = False
        # The last event of each network with nodes here that they have been told of.
        self._seen: dict[str, int] = {}

    def wake(self, network: str) -> None:
        """Look at what was revoked in a network. Never blocks."""
        with self._changed:
            self._woken.add(network)
            self._changed.notify_all()

    def greet(self, uplink: Uplink, stream: WebSocketStream) -> None:
        """Tell a node that has just come all it is to refuse. Blocks for it and for the store.

        It is in the hub already, so whatever is revoked from now on reaches it as well. Raises
        ConnectionLost, StoreError.
        """
        network, name = uplink.key
        newest, revoked = self._store.read(partial(self._look_up, network=network, name=name))
        with self._changed:
            self._seen.setdefault(network, newest)
        for grant in revoked:
            stream.send_control(_message(grant))

    def _look_up(self, tx: Tx, *, network: str, name: str) -> tuple[int, list[Grant]]:
        found = trust.revoked_at_node(tx, network, name, self._clock(), MAX_REVOKED)
        return events.newest(tx, network), found

    def run(self) -> None:
        """Tell nodes what is revoked until `end`."""
        while not self._is_over:
            with self._changed:
                if not self._woken:
                    self._changed.wait(POLL_SECONDS)
                woken, self._woken = self._woken or {ALL}, set()
                here = self._hub.networks()
                self._seen = {name: seq for name, seq in self._seen.items() if name in here}
            try:
                self._look(woken)
            except CodewireError as error:
                # The next look finds it again; at an end there is none.
                if not self._is_over:
                    log.warning("what is revoked cannot be read: %s", error)

    def _look(self, woken: set[str]) -> None:
        """Tell what is new in these networks. Raises StoreError."""
        if ALL in woken:
            newest = self._store.read(events.newest_of_all)
            woken = {name for name, seq in self._seen.items() if seq < newest.get(name, 0)}
        for network in woken & self._seen.keys():
            is_all = False
            while not is_all:
                seq = self._seen[network]
                seq, revoked, is_all = self._store.read(partial(_after, network=network, seq=seq))
                for grant in revoked:
                    self._tell(grant)
                with self._changed:
                    self._seen[network] = seq

    def _tell(self, grant: Grant) -> None:
        uplink = self._hub.find(grant.network_id, grant.target_node)
        if uplink is not None and not uplink.send(_message(grant)):
            uplink.outbox.close(*AGAIN)

    def end(self) -> None:
        """End the loop."""
        self._is_over = True
        self.wake(ALL)


def _after(tx: Tx, *, network: str, seq: int) -> tuple[int, list[Grant], bool]:
    """Return up to which event was looked, the grants revoked since `seq`, and if that is all."""
    newest = events.newest(tx, network)
    found = events.after(tx, network, events.ACCESS, seq, BATCH) if newest > seq else []
    ids = [json.loads(one.data).get("grant_id") for one in found if one.type == trust.REVOKED]
    grants = [trust.grant(tx, network, str(one)) for one in ids]
    is_all = len(found) < BATCH
    seq = max(seq, newest) if is_all else found[-1].seq
    return seq, [grant for grant in grants if grant is not None], is_all


def _message(grant: Grant) -> dict[str, Any]:
    """Return what a node is told; `expires_at` is ours: it need not be remembered any longer."""
    expires_at = format_nanos(grant.expires_at)
    return {"type": GRANT_REVOKED, "grant_id": grant.id, "expires_at": expires_at}
