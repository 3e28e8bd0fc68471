"""What the store's tests begin with: rows of every kind, at a time that stands still."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from codewire.credentials.tokens import new_hex
from codewire.relay.store import invites, nodes, trust
from codewire.relay.store.database import Database

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = 1_775_210_400 * SECOND


def at_once(count: int, call: Callable[[], Any]) -> list[Any]:
    """Return what `count` calls in as many threads returned; none may raise."""
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(call())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == count
    return found


def make_node(database: Database, network: str, name: str, **other: Any) -> str:
    token = new_hex()
    values: dict[str, Any] = {
        "owner_subject": "github:1",
        "authorized_by": "github:1",
        "enrollment_id": "e",
        "peer_url": "",
        "may_replace": False,
        "now": NOW,
        **other,
    }
    made = database.write(lambda tx: nodes.register(tx, network, name, node_token=token, **values))
    return token if made else ""


def enroll(database: Database, network: str, **other: Any) -> tuple[str, nodes.Enrollment]:
    token = f"cw_enr_{new_hex()}"
    values: dict[str, Any] = {
        "node_name": "",
        "owner_subject": "github:1",
        "issued_by": "github:1",
        "may_replace": False,
        "uses": 1,
        "expires_at": NOW + HOUR,
        "now": NOW,
        **other,
    }
    enrollment = database.write(
        lambda tx: nodes.enroll(tx, network, token=token, id=new_hex(), **values)
    )
    return token, enrollment


def redeem(database: Database, token: str, name: str = "", now: int = NOW) -> nodes.Redeemed:
    return database.write(
        lambda tx: nodes.redeem(
            tx, token, node_name=name, peer_url="wss://x", node_token=new_hex(), now=now
        )
    )


def make_invite(database: Database, network: str, **other: Any) -> invites.Invite:
    values: dict[str, Any] = {
        "token": f"CW-INV-{new_hex(12)}",
        "created_by": None,
        "created_by_subject": "admin",
        "uses": 1,
        "expires_at": NOW + HOUR,
        "now": NOW,
        **other,
    }
    return database.write(lambda tx: invites.create(tx, network, **values))


def make_grant(network: str, id: str, **other: Any) -> trust.Grant:
    values: dict[str, Any] = {
        "target_node": "dev-1",
        "session_id": None,
        "session_name": "planner",
        "verbs": ("msg.read", "msg.listen"),
        "audience_subject_kind": "client",
        "audience_subject_id": "github:1",
        "audience_display": "octocat",
        "issued_by": "admin",
        "created_at": NOW,
        "expires_at": NOW + HOUR,
        "revoked_at": None,
        **other,
    }
    return trust.Grant(id=f"{network}-{id}", network_id=network, **values)
