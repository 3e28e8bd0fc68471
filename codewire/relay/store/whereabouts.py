"""Which relay a node is connected to, while its lease lasts. The newest connection counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from codewire.relay.store.tx import Tx

SECOND = 1_000_000_000
LEASE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is; `lease_until` in nanoseconds."""

    relay_url: str
    conn_id: str
    lease_until: int


def claim(
    tx: Tx,
    network_id: str,
    node: str,
    relay_url: str,
    conn_id: str,
    now: int,
    lease_seconds: int = LEASE_SECONDS,
) -> Place | None:
    """Have the node be here; return where it was until now, None for nowhere."""
    tx.lock("whereabouts", network_id, node)
    replaced = find(tx, network_id, node, now)
    tx.run(
        """
        insert into whereabouts (network_id, node, relay_url, conn_id, lease_until)
        values (?, ?, ?, ?, ?)
        on conflict (network_id, node) do update set relay_url = excluded.relay_url,
            conn_id = excluded.conn_id, lease_until = excluded.lease_until
        """,
        network_id,
        node,
        relay_url,
        conn_id,
        now + lease_seconds * SECOND,
    )
    return replaced if replaced and replaced.conn_id != conn_id else None


def release(tx: Tx, conn_ids: Iterable[str]) -> None:
    """Forget these connections; those that came after them stay."""
    for conn_id in sorted(conn_ids):
        tx.run("delete from whereabouts where conn_id = ?", conn_id)


def nodes_of(tx: Tx, network_id: str, now: int) -> set[str]:
    """Return the nodes of a network that are connected to any relay."""
    rows = tx.all(
        "select node from whereabouts where network_id = ? and lease_until > ?", network_id, now
    )
    return {str(row[0]) for row in rows}


def relays(tx: Tx, now: int) -> list[str]:
    """Return the URLs of relays that have nodes, in order."""
    rows = tx.all(
        "select distinct relay_url from whereabouts where lease_until > ? order by relay_url", now
    )
    return [str(row[0]) for row in rows]


def renew(tx: Tx, conn_ids: Iterable[str], now: int, lease_seconds: int = LEASE_SECONDS) -> None:
    """Have these connections' leases begin anew."""
    # Sorted: see nodes.touch.
    for conn_id in sorted(conn_ids):
        tx.run(
            "update whereabouts set lease_until = ? where conn_id = ?",
            now + lease_seconds * SECOND,
            conn_id,
        )


def find(tx: Tx, network_id: str, node: str, now: int) -> Place | None:
    """Return where the node is, None for nowhere."""
    row = tx.one(
        """
        select relay_url, conn_id, lease_until from whereabouts
        where network_id = ? and node = ? and lease_until > ?
        """,
        network_id,
        node,
        now,
    )
    return Place(*row) if row else None
