"""What nodes report of their sessions' tasks, on its way into the store (spec/relay.md 3.9)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from codewire.errors import StoreError
from codewire.relay.http.inputs import MAX_U32
from codewire.relay.http.routes.tasks import STATES
from codewire.relay.store import tasks
from codewire.wire.timestamps import parse_timestamp

if TYPE_CHECKING:
    from codewire.relay.store.database import Database
    from codewire.relay.store.nodes import Node

log = logging.getLogger(__name__)

MAX_ID = 128
MAX_NAME = 256
MAX_SUMMARY = 4096


def take_report(store: Database, node: Node, message: dict[str, Any], now: int) -> None:
    """Keep a report and tell its readers; one that is none, or is known, is ignored."""
    event, session = message.get("event_id"), message.get("session_id")
    state, summary = message.get("state"), message.get("summary") or ""
    name = message.get("session_name") or ""
    if not (_is_text(event, MAX_ID) and event and state in STATES):
        return
    if type(session) is not int or not 0 < session <= MAX_U32:
        return
    if not _is_text(name, MAX_NAME) or not isinstance(summary, str):
        return
    try:
        at = parse_timestamp(message.get("timestamp"))
    except ValueError:
        at = now
    try:
        store.write(
            lambda tx: tasks.report(
                tx,
                node.network_id,
                node.name,
                event_id=event,
                session_id=session,
                session_name=name,
                # A NUL is nothing a text of PostgreSQL can hold.
                summary=summary[:MAX_SUMMARY].replace("\0", ""),
                state=state,
                at=at,
                now=now,
            )
        )
    except StoreError as error:
        log.warning("a report of %s/%s is lost: %s", node.network_id, node.name, error)


def _is_text(value: object, limit: int) -> bool:
    return isinstance(value, str) and len(value) <= limit and (value.isprintable() or not value)
