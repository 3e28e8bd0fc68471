"""What one relay of a database has all others do: end what somebody has lost the right to.

An order is an event of the network's, which every relay reads in order (uplinks/orders.py).
"""

from __future__ import annotations

from codewire.relay.store import events
from codewire.relay.store.events import Event
from codewire.relay.store.tx import Tx

STREAM = "relays"
# A node's connections, a member's, one uplink that has another in its place.
NODE, MEMBER, CONNECTION = "node", "member", "connection"


def give(tx: Tx, network: str, kind: str, whom: str, by: str, now: int) -> None:
    """Have all relays but the one at `by` end something, once this transaction is committed."""
    events.append(tx, network, STREAM, kind, {"whom": whom, "by": by}, now)


def after(tx: Tx, network: str, seq: int, limit: int) -> tuple[int, list[Event]]:
    """Return the number of the network's last event, and its orders after `seq`."""
    return events.newest(tx, network), events.after(tx, network, STREAM, seq, limit)
