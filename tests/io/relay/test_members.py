"""Who belongs to a network, and how one leaves it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.io.relay.desk import Desk, status
from tests.io.relay.site import Events, Site
from tests.io.relay.test_uplinks import close_code
from tests.processes import wait_until

MEMBERS = "/api/v1/networks/proj/members"
WATCHES = ("/api/v1/access/cache/events", "/api/v1/tasks/events")


@pytest.fixture
def people(either: Desk) -> tuple[Desk, str, str]:
    """A network of an owner and a member, and their tokens."""
    return either, either.login("oidc:ann", "proj", "owner"), either.login("github:7", "proj")


def test_members_are_shown_to_members(people: tuple[Desk, str, str]) -> None:
    desk, ann, bob = people
    for token in (ann, bob):
        found = desk.ok("GET", MEMBERS, token=token)
        assert [(one["subject"], one["role"]) for one in found] == [
            ("github:7", "member"),
            ("oidc:ann", "owner"),
        ]
    assert [one["username"] for one in found] == ["github:7", "oidc:ann"]
    assert status(desk, "GET", MEMBERS, token="") == 401
    stranger = desk.login("oidc:eve")
    assert desk.ask("GET", MEMBERS, token=stranger) == (403, "membership required\n")
    assert desk.ask("GET", "/api/v1/networks/none/members", token=ann)[0] == 403


def test_who_may_remove_whom(people: tuple[Desk, str, str]) -> None:
    desk, ann, bob = people
    of_ann, of_bob = f"{MEMBERS}/oidc%3Aann", f"{MEMBERS}/github%3A7"
    refused = (403, "owner access required\n")
    assert desk.ask("DELETE", of_ann, token=bob) == refused
    assert desk.ask("DELETE", of_bob, token=desk.login("oidc:eve"))[0] == 403
    # A network is somebody's.
    last = (409, "the last owner cannot leave the network\n")
    assert desk.ask("DELETE", of_ann, token=ann) == last
    # Not by its admin either.
    assert desk.ask("DELETE", of_ann) == last
    said = {"status": "removed", "network_id": "proj", "subject": "github:7"}
    assert desk.ok("DELETE", of_bob, token=bob) == said
    assert desk.hall.dropped == [("proj", "github:7")]
    assert desk.ask("GET", MEMBERS, token=bob)[0] == 403
    assert desk.ask("DELETE", of_bob, token=ann) == (404, "member not found\n")
    desk.login("oidc:cat", "proj", "owner")
    assert desk.ok("DELETE", of_ann, token=ann)["subject"] == "oidc:ann"
    (found,) = desk.ok("GET", MEMBERS)
    assert found["subject"] == "oidc:cat"


def log_in(site: Site, name: str, role: str) -> str:
    token: str = Desk.login(_At(site), f"oidc:{name}", "proj", role)  # type: ignore[arg-type]
    return token


class _At:
    """A site, as far as Desk.login looks at it."""

    def __init__(self, site: Site) -> None:
        self.store = site.store
        self.now = time.time_ns()


def test_removal_ends_what_a_member_has_open(site: Site) -> None:
    log_in(site, "ann", "owner")
    bob, cat = log_in(site, "bob", "member"), log_in(site, "cat", "member")
    socks = [site.send("GET", f"{path}?network_id=proj", token=bob) for path in WATCHES]
    readers = [Events(sock) for sock in socks]
    others = Events(site.send("GET", f"{WATCHES[0]}?network_id=proj", token=cat))
    wait_until(lambda: site.relay.feeds.readers == 3, 20, "all read")
    path = "/api/v1/network-auth/runtime/client?network_id=proj"
    credential = site.ok("POST", path, {}, token=bob)["credential"]
    given, peer = site.dial("/api/v1/tailnet/coordinate", credential)
    assert given == 101 and peer is not None
    begun = time.monotonic()
    site.ok("DELETE", f"{MEMBERS}/oidc%3Abob")
    for reader in readers:
        assert reader.next() == {}
    assert _end_of(peer) == 4401
    # Promised is one second.
    assert time.monotonic() - begun < 10
    assert site.ask("GET", f"{WATCHES[0]}?network_id=proj", token=bob)[0] == 403
    wait_until(lambda: site.relay.feeds.readers == 1, 20, "the others read on")
    site.ok("DELETE", f"{MEMBERS}/oidc%3Acat")
    assert others.next() == {}


def _end_of(peer: Any) -> int:
    return close_code(peer._sock)
