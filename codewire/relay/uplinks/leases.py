"""Which relay of a database a node is at: a lease for each uplink, renewed while it lives.

Without an URL by which other relays reach this one there are none. Times are the database's own, so
that two relays' clocks need not agree.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from codewire.relay.store import whereabouts
from codewire.relay.store.whereabouts import Place

if TYPE_CHECKING:
    from codewire.relay.store.database import Database, Tx


class Leases:
    """Those of this relay's uplinks, which go by the ids of their connections."""

    def __init__(self, store: Database, url: str, clock: Callable[[], int]) -> None:
        """`url` is where other relays reach this one, "" where there are none."""
        self.url = url
        self._store = store
        self._clock = clock
        # What the database's clock is ahead of ours, in nanoseconds.
        self._ahead = 0
        self._lock = threading.Lock()
        self._gone: list[str] = []

    def now(self) -> int:
        """Return the database's time in nanoseconds, as far as it is known."""
        return self._clock() + self._ahead

    def measure(self) -> None:
        """Compare the clocks. Raises StoreError."""
        if self.url:
            before = self._clock()
            there = self._store.read(self._store.time)
            self._ahead = there - (before + self._clock()) // 2

    def claim(self, tx: Tx, network: str, node: str, conn_id: str) -> Place | None:
        """Have a node be here; return where else it was until now."""
        if not self.url:
            return None
        before = whereabouts.claim(tx, network, node, self.url, conn_id, self.now())
        return before if before is not None and before.relay_url != self.url else None

    def find(self, network: str, node: str) -> Place | None:
        """Return which other relay a node is connected to. Raises StoreError."""
        if not self.url:
            return None
        found = self._store.read(lambda tx: whereabouts.find(tx, network, node, self.now()))
        return found if found is not None and found.relay_url != self.url else None

    def gone(self, conn_id: str) -> None:
        """Note that a connection has ended; `release` tells the database. Never blocks."""
        if self.url:
            with self._lock:
                self._gone.append(conn_id)

    def release(self, conn_ids: Iterable[str] = ()) -> None:
        """Let go of what has gone, and of these. Raises StoreError: then the leases run out."""
        with self._lock:
            gone, self._gone = self._gone, []
        gone = sorted({*gone, *conn_ids})
        if gone and self.url:
            self._store.write(lambda tx: whereabouts.release(tx, gone))

    def renew(self, tx: Tx, conn_ids: Iterable[str]) -> None:
        """Have these connections' leases begin anew."""
        if self.url:
            whereabouts.renew(tx, conn_ids, self.now())
