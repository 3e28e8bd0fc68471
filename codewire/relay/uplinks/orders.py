"""Does what other relays of the database have ordered (store/orders.py).

An order is obeyed more than once without harm, and looked at against the tables first: whoever has
come back with a new right since is left alone.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.relay.store import events, orders

if TYPE_CHECKING:
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.events import Event

log = logging.getLogger(__name__)

# How soon another relay's order is found where the database does not say.
POLL_SECONDS = 2.0
BATCH = 64
ALL = ""

Obey = Callable[[str, str, str], None]


class Orders:
    """The orders of other relays. `obey` gets (network, kind, whom)."""

    def __init__(self, store: Database, url: str, obey: Obey) -> None:
        """`url` is this relay's; "" without others: then nothing is read."""
        self._store = store
        self._url = url
        self._obey = obey
        self._changed = threading.Condition()
        self._woken: set[str] = set()
        self._seen: dict[str, int] = {}
        self._is_over = False

    def begin(self) -> None:
        """Take what was ordered before for done. Raises StoreError."""
        if self._url:
            self._seen = self._store.read(events.newest_of_all)

    def wake(self, network: str) -> None:
        """Look at a network's orders. Never blocks."""
        if self._url:
            with self._changed:
                self._woken.add(network)
                self._changed.notify_all()

    def run(self) -> None:
        """Obey until `end`."""
        while not self._is_over:
            with self._changed:
                if not self._woken:
                    self._changed.wait(POLL_SECONDS if self._url else None)
                woken, self._woken = self._woken or {ALL}, set()
            try:
                self._look(woken)
            except CodewireError as error:
                # The next look finds it again; at an end there is none.
                if not self._is_over:
                    log.warning("other relays' orders cannot be read: %s", error)

    def _look(self, woken: set[str]) -> None:
        if not self._url:
            return
        if ALL in woken:
            newest = self._store.read(events.newest_of_all)
            woken = {name for name, seq in newest.items() if seq > self._seen.get(name, 0)}
        for network in woken:
            is_all = False
            while not is_all:
                seq = self._seen.get(network, 0)
                newest_seq, found = self._store.read(partial(_after, network, seq))
                for event in found:
                    self._follow(network, event)
                is_all = len(found) < BATCH
                self._seen[network] = newest_seq if is_all else found[-1].seq

    def _follow(self, network: str, event: Event) -> None:
        order: dict[str, Any] = json.loads(event.data)
        if order.get("by") == self._url:
            return
        try:
            self._obey(network, event.type, str(order.get("whom")))
        except CodewireError as error:
            log.warning("an order of another relay is not obeyed: %s", error)

    def end(self) -> None:
        """End the loop."""
        self._is_over = True
        with self._changed:
            self._woken.add(ALL)
            self._changed.notify_all()


def _after(network: str, seq: int, tx: Tx) -> tuple[int, list[Event]]:
    return orders.after(tx, network, seq, BATCH)
