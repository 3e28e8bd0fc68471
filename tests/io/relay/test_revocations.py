"""A node is told which grants to refuse: those that are revoked when it connects, then each one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from codewire.io.websockets import WebSocketStream
from codewire.relay.store import trust
from codewire.relay.uplinks import revocations
from codewire.relay.uplinks.outbox import Outbox
from tests.io.relay.site import Site, next_message
from tests.processes import wait_until

PROJ = "network_id=proj"
# The node is to refuse within five seconds; a busy machine takes longer.
SOON = 15.0


def grant(site: Site, node: str = "dev-1", ttl: str = "10m", network: str = "proj") -> str:
    body = {"network_id": network, "target_node": node, "session_name": "coder",
            "audience": "admin", "ttl": ttl}  # fmt: skip
    return str(site.ok("POST", "/api/v1/access-grants", body)["grant_id"])


def revoke(site: Site, *grant_ids: str, network: str = "proj") -> None:
    for grant_id in grant_ids:
        site.ok("DELETE", f"/api/v1/access-grants/{grant_id}?network_id={network}")


def told(stream: WebSocketStream) -> str:
    message = next_message(stream)
    assert message is not None and message["type"] == "GrantRevoked"
    return str(message["grant_id"])


def test_a_node_is_told_what_is_revoked_before_and_after_it_connects(site: Site) -> None:
    token, other = site.enrol(), site.enrol("dev-2")
    first, second, kept, foreign = grant(site), grant(site), grant(site), grant(site, "dev-2")
    revoke(site, first, foreign)
    stream, elsewhere = site.uplink(token), site.uplink(other)
    assert told(stream) == first and told(elsewhere) == foreign
    started = time.monotonic()
    revoke(site, second)
    assert told(stream) == second and time.monotonic() - started < SOON
    # Twice is told once, and nobody hears of what is another node's.
    revoke(site, second)
    site.enrol(network="other")
    site.ok("DELETE", f"/api/v1/access-grants/{grant(site, network='other')}?network_id=other")
    revoke(site, kept)
    assert told(stream) == kept
    last = grant(site, "dev-2")
    revoke(site, last)
    assert told(elsewhere) == last


def test_what_has_expired_is_not_told_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    token = site.enrol()
    old, young = grant(site, ttl="1m"), grant(site, ttl="10m")
    revoke(site, old, young)
    later = time.time_ns() + 95 * 1_000_000_000
    monkeypatch.setattr(site.relay.revocations, "_clock", lambda: later)
    stream = site.uplink(token)
    assert told(stream) == young
    third = grant(site)
    revoke(site, third)
    assert told(stream) == third


def test_what_another_relay_revokes_is_found(site: Site) -> None:
    token, found = site.enrol(), grant(site)
    stream = site.uplink(token)
    on_events, site.store.on_events = site.store.on_events, lambda network: None
    started = time.monotonic()
    site.store.write(lambda tx: trust.revoke_grant(tx, "proj", found, "admin", time.time_ns()))
    site.store.on_events = on_events
    assert told(stream) == found and time.monotonic() - started < SOON


def test_a_node_that_takes_nothing_is_told_everything_when_it_comes_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, found = site.enrol(), grant(site)
    stream = site.uplink(token)
    wait_until(lambda: "proj" in site.relay.revocations._seen, 20, "the node was greeted")
    monkeypatch.setattr(Outbox, "send", lambda self, message: False)
    revoke(site, found)
    assert next_message(stream) is None and stream.close_code == revocations.AGAIN[0]
    stream.close()
    monkeypatch.undo()
    assert told(site.uplink(token)) == found


def test_many_at_once_all_reach_it(site: Site) -> None:
    token = site.enrol()
    ids = {grant(site) for _ in range(40)}
    stream: Any = site.uplink(token)
    wait_until(lambda: "proj" in site.relay.revocations._seen, 20, "the node was greeted")
    revoke(site, *ids)
    seen: set[str] = set()
    while seen != ids:
        message = next_message(stream)
        if message is None:
            stream = site.uplink(token)
        else:
            seen.add(message["grant_id"])
