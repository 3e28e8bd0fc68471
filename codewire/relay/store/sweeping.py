"""Removing what is past, each kind of row in a transaction of its own: nobody waits long."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from codewire.relay.store import events
from codewire.relay.store.trust import KEPT_NS
from codewire.relay.store.tx import Row, Tx

SECOND = 1_000_000_000
DAY = 86400 * SECOND

# What goes, and how long after its time. Kept for people to look up: grants, the audit log.
PAST: tuple[tuple[str, int], ...] = (
    ("delete from kv where expires_at <= ?", 0),
    ("delete from invites where expires_at <= ?", 0),
    ("delete from node_enrollments where expires_at <= ?", 0),
    ("delete from sessions where expires_at <= ?", 0),
    ("delete from oauth_state where expires_at <= ?", 0),
    ("delete from device_flows where expires_at <= ?", 0),
    ("delete from logins where expires_at <= ?", 0),
    ("delete from used_jti where expires_at < ?", 0),
    ("delete from rate_limits where window_start < ?", 3600 * SECOND),
    ("delete from whereabouts where lease_until <= ?", 0),
    ("delete from issuers where retired_at <= ?", KEPT_NS),
    ("delete from access_grants where expires_at <= ?", 30 * DAY),
    ("delete from audit where at <= ?", 400 * DAY),
    ("delete from task_ids where at <= ?", 7 * DAY),
)
# Of each network and stream.
EVENTS_KEPT = 4096
EVENTS_KEPT_NS = 7 * DAY

Write = Callable[[Callable[[Tx], Any]], Any]


def sweep(write: Write, now: int) -> None:
    """Remove everything that is past at `now`."""
    for sql, age in PAST:
        write(partial(_delete, sql, now - age))
    for network_id, stream in write(_streams):
        write(partial(_sweep_events, network_id, stream, now))


def _delete(sql: str, until: int, tx: Tx) -> None:
    tx.run(sql, until)


def _streams(tx: Tx) -> list[Row]:
    return tx.all("select distinct network_id, stream from events")


def _sweep_events(network_id: str, stream: str, now: int, tx: Tx) -> None:
    """Remove the beginning of a stream: what is too old, and what is too much."""
    old = tx.one(
        "select max(seq) from events where network_id = ? and stream = ? and at <= ?",
        network_id,
        stream,
        now - EVENTS_KEPT_NS,
    )
    much = tx.one(
        """
        select seq from events where network_id = ? and stream = ?
        order by seq desc limit 1 offset ?
        """,
        network_id,
        stream,
        EVENTS_KEPT,
    )
    last = max((row[0] or 0 for row in (old, much) if row), default=0)
    if last:
        events.forget(tx, network_id, stream, last)
