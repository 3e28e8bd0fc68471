"""Networks, nodes, invites and groups: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from codewire.relay.store import (
    groups,
    invites,
    networks,
    nodes,
    trust,
)
from codewire.relay.store.database import Database
from tests.io.store.steps import (
    DAY,
    HOUR,
    NOW,
    at_once,
    enroll,
    make_invite,
    make_node,
    redeem,
)

# Networks


def test_the_first_owns_a_network_and_the_second_does_not(database: Database, network: str) -> None:
    assert not database.read(lambda tx: networks.exists(tx, network))
    assert database.write(lambda tx: networks.claim(tx, network, "github:1", NOW)) == "created"
    assert database.write(lambda tx: networks.claim(tx, network, "github:1", NOW)) == "created"
    assert database.write(lambda tx: networks.claim(tx, network, "github:2", NOW)) == "taken"
    assert database.read(lambda tx: networks.role(tx, network, "github:1")) == "owner"
    assert database.read(lambda tx: networks.role(tx, network, "github:2")) == ""


def test_the_admin_owns_what_is_nobodys_and_is_never_refused(
    database: Database, network: str
) -> None:
    def claim(subject: str, is_admin: bool) -> str:
        return database.write(
            lambda tx: networks.claim(tx, network, subject, NOW, is_admin=is_admin)
        )

    assert claim("admin", True) == "created"
    assert database.read(lambda tx: networks.role(tx, network, "admin")) == "owner"
    assert claim("github:1", False) == "taken"
    other = f"{network}-b"
    database.write(lambda tx: networks.claim(tx, other, "github:1", NOW))
    assert database.write(lambda tx: networks.claim(tx, other, "admin", NOW, is_admin=True))
    assert database.read(lambda tx: networks.role(tx, other, "admin")) == ""


def test_of_many_who_claim_at_once_one_is_owner(database: Database, network: str) -> None:
    numbers = iter(range(24))
    lock = threading.Lock()

    def claim() -> str:
        with lock:
            subject = f"github:{next(numbers)}"
        return database.write(lambda tx: networks.claim(tx, network, subject, NOW))

    assert sorted(at_once(24, claim)).count("created") == 1


def test_membership_keeps_its_role(database: Database, network: str) -> None:
    database.write(lambda tx: networks.claim(tx, network, "a", NOW))
    database.write(lambda tx: networks.add_member(tx, network, "a", "member", "x", NOW))
    database.write(lambda tx: networks.add_member(tx, network, "b", "member", "x", NOW))
    assert database.read(lambda tx: networks.role(tx, network, "a")) == "owner"
    assert database.read(lambda tx: networks.role(tx, network, "b")) == "member"


def test_networks_are_listed_by_id_with_what_is_in_them(database: Database, network: str) -> None:
    subject = f"github:{network}"
    for name in (f"{network}-b", f"{network}-A", f"{network}_a"):
        database.write(lambda tx, name=name: networks.claim(tx, name, subject, NOW))
    make_invite(database, f"{network}-b", expires_at=NOW + HOUR)
    make_invite(database, f"{network}-b", expires_at=NOW - 1)
    make_node(database, f"{network}-b", "dev-1")
    found = database.read(lambda tx: networks.list_for(tx, subject, NOW))
    # By bytes: capitals, then the underscore, then small letters.
    assert [one.network_id for one in found] == [
        f"{network}-A",
        f"{network}-b",
        f"{network}_a",
    ]
    assert found[1] == networks.Network(f"{network}-b", NOW, 1, 1)
    everything = database.read(lambda tx: networks.list_for(tx, None, NOW))
    assert set(found) <= set(everything)


# Nodes


def test_an_enrolment_makes_a_node_once(database: Database, network: str) -> None:
    token, enrollment = enroll(database, network, node_name="dev-1")
    assert (enrollment.uses_remaining, enrollment.expires_at) == (1, NOW + HOUR)
    assert database.read(lambda tx: networks.exists(tx, network))
    redeemed = redeem(database, f" {token}\n")
    assert redeemed.outcome == "registered"
    assert redeemed.enrollment_id == enrollment.id
    assert redeemed.node == nodes.Node(
        network, "dev-1", "github:1", "github:1", enrollment.id, NOW, NOW, "wss://x", ()
    )
    assert redeem(database, token).outcome == "invalid"


def test_what_is_refused_costs_no_use(database: Database, network: str) -> None:
    token, _ = enroll(database, network)
    assert redeem(database, token).outcome == "name_required"
    make_node(database, network, "taken", owner_subject="github:2")
    assert redeem(database, token, "taken").outcome == "name_taken"
    assert redeem(database, token, "dev-1").outcome == "registered"
    bound, _ = enroll(database, network, node_name="dev-2")
    assert redeem(database, bound, "dev-3").outcome == "name_mismatch"
    assert redeem(database, bound).outcome == "registered"


@pytest.mark.parametrize("now", [NOW + HOUR, NOW + DAY])
def test_an_enrolment_expires(database: Database, network: str, now: int) -> None:
    token, _ = enroll(database, network, node_name="dev-1")
    assert redeem(database, token, now=now).outcome == "invalid"
    assert redeem(database, "nonsense", "x").outcome == "invalid"


def test_an_enrolment_of_five_uses_makes_five_nodes(database: Database, network: str) -> None:
    token, _ = enroll(database, network, uses=5)
    names = iter(f"dev-{number}" for number in range(30))
    outcomes = [one.outcome for one in at_once(30, lambda: redeem(database, token, next(names)))]
    assert outcomes.count("registered") == 5
    assert outcomes.count("invalid") == 25
    assert len(database.read(lambda tx: nodes.list_of(tx, network))) == 5


@pytest.mark.parametrize(
    ("owner", "may_replace", "is_made"),
    [("github:1", False, True), ("github:2", False, False), ("github:2", True, True)],
)
def test_a_name_belongs_to_its_owner(
    database: Database, network: str, owner: str, may_replace: bool, is_made: bool
) -> None:
    first = make_node(database, network, "dev-1")
    second = make_node(database, network, "dev-1", owner_subject=owner, may_replace=may_replace)
    assert bool(second) == is_made
    assert (database.read(lambda tx: nodes.by_token(tx, first)) is None) == is_made
    node = database.read(lambda tx: nodes.get(tx, network, "dev-1"))
    assert node is not None
    assert node.owner_subject == (owner if is_made else "github:1")


def test_a_node_without_an_owner_is_not_everybodys(database: Database, network: str) -> None:
    assert make_node(database, network, "dev-1", owner_subject="")
    assert not make_node(database, network, "dev-1", owner_subject="")
    assert make_node(database, network, "dev-1", owner_subject="", may_replace=True)


def test_a_node_is_found_by_its_token_until_it_is_revoked(database: Database, network: str) -> None:
    token = make_node(database, network, "dev-1")
    node = database.read(lambda tx: nodes.by_token(tx, token))
    assert node is not None
    assert (node.network_id, node.name) == (network, "dev-1")
    assert database.read(lambda tx: nodes.by_token(tx, token[:-1])) is None
    assert database.write(lambda tx: nodes.revoke(tx, network, "dev-1"))
    assert not database.write(lambda tx: nodes.revoke(tx, network, "dev-1"))
    assert database.read(lambda tx: nodes.by_token(tx, token)) is None


def test_no_secret_is_in_a_row(database: Database, network: str) -> None:
    token = make_node(database, network, "dev-1")
    enrolment, _ = enroll(database, network)
    invite = make_invite(database, network)
    database.write(lambda tx: trust.current(tx, network, NOW))
    tables = ("nodes", "node_enrollments", "invites", "issuers")
    text = repr([database.read(lambda tx, t=t: tx.all(f"select * from {t}")) for t in tables])
    for secret in (token, enrolment, invite.token):
        assert secret not in text


def test_an_owners_nodes_of_a_name(database: Database, network: str) -> None:
    for where, owner in ((f"{network}-b", network), (f"{network}-a", network), (network, "x")):
        make_node(database, where, "dev-1", owner_subject=owner)
        make_node(database, where, "dev-2", owner_subject=owner)
    found = database.read(lambda tx: nodes.owned_by(tx, network, "dev-1"))
    assert [(one.network_id, one.name) for one in found] == [
        (f"{network}-a", "dev-1"),
        (f"{network}-b", "dev-1"),
    ]
    assert database.read(lambda tx: nodes.owned_by(tx, network, "dev-3")) == []


def test_nodes_are_listed_by_name(database: Database, network: str) -> None:
    for name in ("b", "a", "C"):
        make_node(database, network, name)
    names = [node.name for node in database.read(lambda tx: nodes.list_of(tx, network))]
    assert names == ["C", "a", "b"]
    everything = database.read(nodes.list_all)
    assert [one.name for one in everything if one.network_id == network] == names


def test_a_connection_and_being_heard_of_are_noted(database: Database, network: str) -> None:
    make_node(database, network, "a")
    make_node(database, network, "b")
    database.write(
        lambda tx: nodes.connected(
            tx, network, "a", peer_url="wss://y", features=("stream", "ping"), now=NOW + 1
        )
    )
    database.write(lambda tx: nodes.touch(tx, [(network, "b"), (network, "none")], NOW + 2))
    a, b = database.read(lambda tx: nodes.list_of(tx, network))
    assert (a.peer_url, a.features, a.last_seen_at) == ("wss://y", ("stream", "ping"), NOW + 1)
    assert (b.features, b.last_seen_at, b.authorized_at) == ((), NOW + 2, NOW)


# Invites


def test_an_invite_is_listed_used_and_gone(database: Database, network: str) -> None:
    invite = make_invite(database, network, uses=2, created_by=7)
    expired = make_invite(database, network, expires_at=NOW)
    assert database.read(lambda tx: invites.list_of(tx, network, NOW)) == [invite]
    used = database.write(lambda tx: invites.use(tx, invite.token, NOW))
    assert used is not None
    assert (used.uses_remaining, used.created_by) == (1, 7)
    assert database.write(lambda tx: invites.use(tx, f" {invite.token}", NOW)) is None
    assert database.write(lambda tx: invites.use(tx, expired.token, NOW)) is None
    assert database.write(lambda tx: invites.use(tx, invite.token, NOW)) is not None
    assert database.write(lambda tx: invites.use(tx, invite.token, NOW)) is None
    assert database.read(lambda tx: invites.list_of(tx, network, NOW)) == []


def test_an_invite_is_removed_in_its_own_network_only(database: Database, network: str) -> None:
    invite = make_invite(database, network)
    assert not database.write(lambda tx: invites.delete(tx, "other", invite.token))
    assert database.write(lambda tx: invites.delete(tx, network, invite.token))
    assert not database.write(lambda tx: invites.delete(tx, network, invite.token))


def test_an_invite_of_five_uses_lets_exactly_five_in(database: Database, network: str) -> None:
    invite = make_invite(database, network, uses=5)
    numbers = iter(range(50))

    def join() -> bool:
        subject = f"github:{next(numbers)}"

        def both(tx: Any) -> bool:
            used = invites.use(tx, invite.token, NOW)
            if used is not None:
                networks.add_member(tx, network, subject, "member", invite.token, NOW)
            return used is not None

        return database.write(both)

    assert at_once(50, join).count(True) == 5
    rows = database.read(
        lambda tx: tx.all("select subject from network_members where network_id = ?", network)
    )
    assert len(rows) == 5


# Groups


def test_a_group_and_its_policy(database: Database, network: str) -> None:
    group = database.write(lambda tx: groups.create(tx, network, "mesh", "admin", NOW))
    assert group == groups.Group(
        network,
        "mesh",
        NOW,
        "admin",
        groups.Policy(network, "mesh", "internal-only", "observe-only", NOW),
    )
    assert database.write(lambda tx: groups.create(tx, network, "mesh", "x", NOW)) is None
    assert database.read(lambda tx: groups.get(tx, network, "mesh")) == group
    policy = database.write(
        lambda tx: groups.set_policy(tx, network, "mesh", "open", "none", NOW + 1)
    )
    assert policy == groups.Policy(network, "mesh", "open", "none", NOW + 1)
    assert database.read(lambda tx: groups.list_of(tx, network))[0].policy == policy
    none = database.write(lambda tx: groups.set_policy(tx, network, "no", "open", "none", NOW))
    assert none is None
    assert database.read(lambda tx: groups.get(tx, network, "no")) is None


def test_members_and_bindings(database: Database, network: str) -> None:
    for name in ("b", "a"):
        database.write(lambda tx, name=name: groups.create(tx, network, name, "admin", NOW))

    def add(group: str, session: str, now: int = NOW) -> groups.Member | None:
        return database.write(lambda tx: groups.add(tx, network, group, "dev-1", session, now))

    assert add("none", "planner") is None
    member = add("a", "planner")
    assert member == groups.Member(network, "a", "dev-1", "planner", NOW)
    assert add("a", "planner", NOW + 5) == member
    add("b", "planner")
    add("a", "coder")
    found = database.read(lambda tx: groups.members(tx, network, "a"))
    assert [one.session_name for one in found] == ["coder", "planner"]
    bindings = database.read(lambda tx: groups.bindings(tx, network, "dev-1", "planner"))
    assert bindings == [
        groups.Binding("a", "internal-only", "observe-only"),
        groups.Binding("b", "internal-only", "observe-only"),
    ]
    names = database.read(lambda tx: groups.groups_of(tx, network, "dev-1", "planner"))
    assert names == ("a", "b")
    assert database.write(lambda tx: groups.remove(tx, network, "a", "dev-1", "planner"))
    assert not database.write(lambda tx: groups.remove(tx, network, "a", "dev-1", "planner"))
    assert database.write(lambda tx: groups.delete(tx, network, "b"))
    assert not database.write(lambda tx: groups.delete(tx, network, "b"))
    assert database.read(lambda tx: groups.groups_of(tx, network, "dev-1", "planner")) == ()
