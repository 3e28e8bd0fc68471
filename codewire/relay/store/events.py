"""What happened in a network, in the order of its commits: what SSE readers get.

A number comes from the network's own counter, updated in the transaction that writes the event: a
reader that has seen 5 can never be given 4 later, as it could with a serial column.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from codewire.relay.store import networks
from codewire.relay.store.tx import MAX_INTEGER, Tx

ACCESS = "access"
TASKS = "tasks"


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `data` is JSON, `at` nanoseconds."""

    seq: int
    stream: str
    type: str
    data: str
    at: int


def append(tx: Tx, network_id: str, stream: str, type: str, data: dict[str, Any], now: int) -> int:
    """Add an event, its `seq` and `type` put before `data`; return its number."""
    networks.ensure(tx, network_id, now)
    row = tx.one(
        "update networks set event_seq = event_seq + 1 where network_id = ? returning event_seq",
        network_id,
    )
    seq = int(row[0]) if row else 0
    tx.run(
        "insert into events (network_id, seq, stream, type, data, at) values (?, ?, ?, ?, ?, ?)",
        network_id,
        seq,
        stream,
        type,
        # ASCII: half a character in a text stays one, and both databases take it.
        json.dumps({"seq": seq, "type": type, **data}, separators=(",", ":")),
        now,
    )
    tx.notify(network_id)
    return seq


def after(tx: Tx, network_id: str, stream: str, seq: int, limit: int) -> list[Event]:
    """Return the stream's events with higher numbers than `seq`, in order, `limit` at most."""
    rows = tx.all(
        """
        select seq, stream, type, data, at from events
        where network_id = ? and stream = ? and seq > ? order by seq limit ?
        """,
        network_id,
        stream,
        min(seq, MAX_INTEGER),
        limit,
    )
    return [Event(*row) for row in rows]


def newest(tx: Tx, network_id: str) -> int:
    """Return the number of the network's last event, 0 for none."""
    row = tx.one("select event_seq from networks where network_id = ?", network_id)
    return int(row[0]) if row else 0


def newest_of_all(tx: Tx) -> dict[str, int]:
    """Return the number of each network's last event, of those that have any."""
    rows = tx.all("select network_id, event_seq from networks where event_seq > 0")
    return {str(network_id): int(seq) for network_id, seq in rows}


def floor(tx: Tx, network_id: str, stream: str) -> int:
    """Return the highest number that is no longer kept in this stream, 0 for none."""
    row = tx.one(
        "select seq from event_floors where network_id = ? and stream = ?", network_id, stream
    )
    return int(row[0]) if row else 0


def forget(tx: Tx, network_id: str, stream: str, seq: int) -> None:
    """Remove the stream's events up to this number, and say so by its floor."""
    tx.run(
        "delete from events where network_id = ? and stream = ? and seq <= ?",
        network_id,
        stream,
        seq,
    )
    tx.run(
        """
        insert into event_floors (network_id, stream, seq) values (?, ?, ?)
        on conflict (network_id, stream) do update set seq = excluded.seq
            where event_floors.seq < excluded.seq
        """,
        network_id,
        stream,
        seq,
    )
