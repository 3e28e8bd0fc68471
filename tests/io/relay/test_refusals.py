"""Who may do what, and in which order it is found out (spec/relay.md 2, 3)."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.relay.http.routes.nodes import GONE
from codewire.relay.store import people
from codewire.wire.http import Answer
from tests.io.relay.desk import ADMIN, SECOND, Desk, status

# Errors are lines of text


def test_errors_are_text(desk: Desk) -> None:
    answer = desk.answer("GET", "/api/v1/networks", token="")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (401, b"unauthorized\n")
    fields = dict(answer.fields)
    assert fields["Content-Type"] == "text/plain; charset=utf-8"
    assert fields["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "target", "wanted"),
    [
        ("GET", "/nothing", (404, "404 page not found\n")),
        ("GET", "/api/v1/networks/", (404, "404 page not found\n")),
        ("PATCH", "/api/v1/networks", (405, "Method Not Allowed\n")),
        ("GET", "/internal/ask/x", (404, "404 page not found\n")),
        ("GET", "/derp", (426, "DERP requires connection upgrade\n")),
        ("GET", "/derp/latency-check", (200, "")),
        ("GET", "/healthz", (200, "ok")),
        ("POST", "/api/v1/nodes", (410, f"{GONE}\n")),
    ],
)  # fmt: skip
def test_paths(desk: Desk, method: str, target: str, wanted: tuple[int, str]) -> None:
    assert desk.ask(method, target) == wanted


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("//api/v1/networks?a=b", "/api/v1/networks?a=b"),
        ("/api/../api/v1/./networks", "/api/v1/networks"),
        ("//evil.example/x", "/evil.example/x"),
        ("/..", "/"),
    ],
)
def test_unclean_paths_lead_to_the_clean_one(desk: Desk, target: str, location: str) -> None:
    answer = desk.answer("GET", target)
    assert isinstance(answer, Answer)
    assert answer.status == 307 and dict(answer.fields)["Location"] == location


def test_a_slash_in_a_value_stays(desk: Desk) -> None:
    desk.enrol()
    assert desk.ask("PUT", "/api/v1/kv/a%2Fb/c%2Fd?network_id=proj", b"x")[0] == 204
    assert desk.ok("GET", "/api/v1/kv/a%2Fb?network_id=proj")[0]["key"] == "c/d"


# Order: who, JSON, network, role, the rest


def test_the_order_of_checks(desk: Desk) -> None:
    member = desk.login("oidc:m", "proj")
    path, bad = "/api/v1/node-enrollments", b"{"
    assert desk.ask("POST", path, bad, token="")[0] == 401
    assert desk.ask("POST", path, bad) == (400, "bad request\n")
    assert desk.ask("POST", path, {"ttl": "x"}) == (400, "network_id required\n")
    other = {"network_id": "other", "ttl": "x"}
    assert desk.ask("POST", path, other, token=member) == (403, "membership required\n")
    mine = {"network_id": "proj", "ttl": "x"}
    assert desk.ask("POST", path, mine, token=member) == (400, "invalid ttl\n")


def test_what_is_checked_before_who_asks(desk: Desk) -> None:
    bundle = "/api/v1/network-auth/bundle"
    assert desk.ask("GET", bundle, token="") == (400, "network_id required\n")
    assert desk.ask("GET", f"{bundle}?network_id=x", token="") == (401, "unauthorized\n")
    bindings = "/api/v1/groups/bindings"
    assert desk.ask("GET", bindings, token="") == (400, "session_name required\n")
    # Users have no sessions.
    assert desk.ask("GET", f"{bindings}?session_name=s") == (401, "unauthorized\n")


def test_groups_check_names_before_the_role(desk: Desk) -> None:
    member = desk.login("oidc:m", "proj")
    body = {"network_id": "proj", "name": "a b"}
    text = "group name may only contain letters, numbers, '-' or '_'\n"
    assert desk.ask("POST", "/api/v1/groups", body, token=member) == (400, text)
    policy = {"network_id": "proj", "messages_policy": "x"}
    refused = (400, "invalid messages_policy\n")
    assert desk.ask("PUT", "/api/v1/groups/g/policy", policy, token=member) == refused
    body["name"] = "bindings"
    assert desk.ask("POST", "/api/v1/groups", body)[0] == 400
    body["name"] = "g"
    owner = (403, "owner access required\n")
    assert desk.ask("POST", "/api/v1/groups", body, token=member) == owner


# JSON as Go reads it


def test_bodies_as_go_reads_them(desk: Desk) -> None:
    for body in (b'{"NETWORK_ID":"proj","x":[{}]}', b' \n{"network_id":"proj"} trailing {'):
        assert desk.ask("POST", "/api/v1/networks", body)[0] == 200
    for body in (b"", b"null", b"[]", b'{"network_id":1}', b"{"):
        said = desk.ask("POST", "/api/v1/networks", body)[1]
        assert said.endswith(("network_id required\n", "network id required\n"))
    # Malformed JSON of an invite counts as empty.
    assert desk.ask("POST", "/api/v1/invites", b"{") == (400, "network_id required\n")


# Networks and roles


def test_a_network_has_one_claimant(desk: Desk) -> None:
    first, second = desk.login("oidc:a"), desk.login("oidc:b")
    body = {"network_id": "mine"}
    assert status(desk, "POST", "/api/v1/networks", body, token=first) == 200
    assert status(desk, "POST", "/api/v1/networks", body, token=first) == 200
    taken = (409, "network already claimed\n")
    assert desk.ask("POST", "/api/v1/networks", body, token=second) == taken
    # What the admin made is the admin's.
    desk.ok("POST", "/api/v1/networks", {"network_id": "admins"})
    assert desk.ask("POST", "/api/v1/networks", {"network_id": "admins"}, token=second) == taken
    assert [n["id"] for n in desk.ok("GET", "/api/v1/networks", token=first)] == ["mine"]
    assert [n["id"] for n in desk.ok("GET", "/api/v1/networks")] == ["admins", "mine"]


def test_an_invite_makes_a_member(desk: Desk) -> None:
    owner, guest = desk.login("oidc:o", "proj", "owner"), desk.login("oidc:g")
    made = desk.ok("POST", "/api/v1/invites", {"network_id": "proj"}, token=owner)
    assert made["created_by_subject"] == "oidc:o" and made["created_by"] is None
    body = {"invite_token": made["token"]}
    joined = {"status": "joined", "network_id": "proj"}
    assert desk.ok("POST", "/api/v1/networks/join", body, token=guest) == joined
    refused = (403, "invalid or expired invite\n")
    assert desk.ask("POST", "/api/v1/networks/join", body, token=guest) == refused
    assert desk.ask("POST", "/api/v1/networks/join", {}) == (400, "invite_token required\n")
    assert status(desk, "GET", "/api/v1/nodes?network_id=proj", token=guest) == 200
    owners = (403, "owner access required\n")
    assert desk.ask("GET", "/api/v1/invites?network_id=proj", token=guest) == owners


def test_members_leave_and_are_removed(desk: Desk) -> None:
    owner, ann = desk.login("oidc:o", "proj", "owner"), desk.login("oidc:ann", "proj")
    bob, path = desk.login("oidc:bob", "proj"), "/api/v1/networks/proj/members"
    found = desk.ok("GET", path, token=ann)
    assert [(m["subject"], m["role"]) for m in found] == [
        ("oidc:ann", "member"),
        ("oidc:bob", "member"),
        ("oidc:o", "owner"),
    ]
    assert desk.ask("GET", path, token=desk.login("oidc:x")) == (403, "membership required\n")
    bobs = f"{path}/oidc%3Abob"
    assert desk.ask("DELETE", bobs, token=ann) == (403, "owner access required\n")
    gone = {"status": "removed", "network_id": "proj", "subject": "oidc:bob"}
    assert desk.ok("DELETE", bobs, token=owner) == gone
    assert desk.ask("DELETE", bobs, token=owner) == (404, "member not found\n")
    assert status(desk, "GET", path, token=bob) == 403
    desk.ok("DELETE", f"{path}/oidc:ann", token=ann)
    assert desk.ask("DELETE", f"{path}/oidc:o", token=owner)[0] == 409
    found = desk.ok("GET", "/api/v1/admin/audit?network_id=proj")
    assert [(e["actor"], e["target"]) for e in found] == [
        ("oidc:ann", "oidc:ann"),
        ("oidc:o", "oidc:bob"),
    ]


@pytest.mark.parametrize(
    ("path", "ttl", "text"),
    [
        ("node-enrollments", "24h1s", "ttl must be at most 24h\n"),
        ("node-enrollments", "-1m", "ttl must be positive\n"),
        ("node-enrollments", "1d", "invalid ttl\n"),
        ("invites", "169h", "ttl must be at most 168h\n"),
        ("invites", "-5m", "ttl must be positive\n"),
        ("access-grants", "8760h", "ttl must be at most 24h\n"),
        ("access-grants", "0", "ttl must be positive\n"),
    ],
)
def test_lifetimes(desk: Desk, path: str, ttl: str, text: str) -> None:
    body = {"network_id": "proj", "ttl": ttl, "target_node": "d", "session_id": 1}
    assert desk.ask("POST", f"/api/v1/{path}", {**body, "audience": "admin"}) == (400, text)


def test_a_zero_lifetime_of_an_enrollment_is_the_default(desk: Desk) -> None:
    made = desk.ok("POST", "/api/v1/node-enrollments", {"network_id": "proj", "ttl": "0s"})
    assert made["expires_at"].startswith("2026-04-03T10:10:00")


# Nodes


def test_names_are_their_owners(desk: Desk) -> None:
    node = desk.enrol()
    member = desk.login("oidc:m", "proj")
    made = desk.ok("POST", "/api/v1/node-enrollments", {"network_id": "proj"}, token=member)
    body = {"enrollment_token": made["enrollment_token"], "node_name": "dev-1"}
    path = "/api/v1/node-enrollments/redeem"
    taken = (403, "node_name belongs to another owner\n")
    assert desk.ask("POST", path, body, token="") == taken
    assert status(desk, "GET", "/api/v1/nodes", token=node) == 200
    # A refusal costs no use.
    body["node_name"] = "dev-2"
    assert desk.ok("POST", path, body, token="")["node_name"] == "dev-2"
    # An owner may.
    desk.hall.dropped.clear()
    desk.enrol()
    assert desk.hall.dropped == [("proj", "dev-1")]
    assert status(desk, "GET", "/api/v1/nodes", token=node) == 401


def test_an_invite_takes_nobodys_node(desk: Desk) -> None:
    owner = desk.login("oidc:o", "proj", "owner")
    desk.enrol()
    made = desk.ok("POST", "/api/v1/invites", {"network_id": "proj", "uses": 3}, token=owner)
    body = {"node_name": "dev-1", "invite_token": made["token"]}
    assert desk.ask("POST", "/api/v1/join", body, token="")[0] == 403
    left = desk.ok("GET", "/api/v1/invites?network_id=proj")[0]["uses_remaining"]
    assert left == 3, "a refusal costs no use"


def test_redeeming(desk: Desk) -> None:
    made = desk.ok(
        "POST", "/api/v1/node-enrollments", {"network_id": "proj", "node_name": "a", "uses": 2}
    )
    path, token = "/api/v1/node-enrollments/redeem", f" {made['enrollment_token']}\n".strip("\n")
    wrong = {"enrollment_token": token, "node_name": "b"}
    mismatch = (403, "node_name does not match enrollment\n")
    assert desk.ask("POST", path, wrong, token="") == mismatch
    assert desk.ok("POST", path, {"enrollment_token": token}, token="")["node_name"] == "a"
    free = desk.ok("POST", "/api/v1/node-enrollments", {"network_id": "proj"})
    body = {"enrollment_token": free["enrollment_token"]}
    assert desk.ask("POST", path, body, token="") == (400, "node_name required\n")
    assert desk.ask("POST", path, {}, token="") == (400, "enrollment_token required\n")
    desk.now += 601 * SECOND
    body["node_name"] = "c"
    expired = (403, "invalid or expired enrollment token\n")
    assert desk.ask("POST", path, body, token="") == expired


def test_revoking(desk: Desk) -> None:
    node = desk.enrol()
    member = desk.login("oidc:m", "proj")
    path = "/api/v1/nodes/dev-1?network_id=proj"
    assert desk.ask("DELETE", path, token=member) == (403, "owner access required\n")
    assert desk.ok("DELETE", path) == {"status": "revoked", "node": "dev-1"}
    assert desk.hall.dropped[-1] == ("proj", "dev-1")
    assert desk.ask("DELETE", path) == (404, "node not found\n")
    assert status(desk, "GET", "/api/v1/nodes", token=node) == 401


def test_all_nodes(desk: Desk) -> None:
    desk.enrol("b", "n2")
    desk.enrol("b", "n1")
    desk.enrol("a", "n3")
    member = desk.login("oidc:m", "b")
    names = [n["name"] for n in desk.ok("GET", "/api/v1/nodes?all=TRUE")]
    assert names == ["n3", "n1", "n2"]
    mine = desk.ok("GET", "/api/v1/nodes?all=true", token=member)
    assert [n["name"] for n in mine] == ["n1", "n2"]
    refused = (403, "membership required\n")
    assert desk.ask("GET", "/api/v1/nodes?network_id=a", token=member) == refused


def test_a_node_speaks_for_itself(desk: Desk) -> None:
    node = desk.enrol()
    desk.ok("POST", "/api/v1/groups", {"network_id": "proj", "name": "g"})
    body = {"node_name": "dev-2", "session_name": "s"}
    path = "/api/v1/groups/g/members"
    assert desk.ask("POST", path, body, token=node) == (403, "forbidden\n")
    bindings = "/api/v1/groups/bindings?session_name=s&node_name=dev-2"
    assert desk.ask("GET", bindings, token=node) == (403, "forbidden\n")
    other = "/api/v1/network-auth/bundle?network_id=other"
    assert desk.ask("GET", other, token=node) == (403, "forbidden\n")


# Grants


def test_audiences(desk: Desk) -> None:
    path = "/api/v1/access-grants"
    body = {"network_id": "proj", "target_node": "d", "session_name": "s", "verbs": ["READ"]}

    def grant(audience: str) -> tuple[int, Any]:
        return desk.ask("POST", path, {**body, "audience": audience})

    assert grant("nobody") == (400, 'principal "nobody" not found\n')
    desk.store.write(lambda tx: people.upsert_oidc(tx, "sub1", "ann", "", desk.now))
    said = grant("ann")[1]
    assert (said["audience_subject_id"], said["audience_display"]) == ("oidc:sub1", "ann")
    assert said["verbs"] == ["msg.read"]
    desk.store.write(lambda tx: people.upsert_github(tx, 7, "ann", "", desk.now))
    assert "is ambiguous; use an explicit subject" in grant("ann")[1]
    assert grant("user:x")[1]["audience_subject_id"] == "user:x"
    assert desk.ask("POST", path, body) == (400, "audience required\n")
    wrong = {**body, "audience": "admin", "verbs": ["msg.write"]}
    assert desk.ask("POST", path, wrong) == (400, 'unsupported verb "msg.write"\n')
    both = {**body, "audience": "admin", "session_id": 3}
    assert "mutually exclusive" in desk.ask("POST", path, both)[1]


def test_who_sees_a_grant(desk: Desk) -> None:
    ann, bob = desk.login("oidc:ann", "proj"), desk.login("oidc:bob", "proj")
    body = {"network_id": "proj", "target_node": "d", "session_name": "s", "audience": "oidc:ann"}
    grant = desk.ok("POST", "/api/v1/access-grants", body)["grant_id"]
    path = f"/api/v1/access-grants/{grant}?network_id=proj"
    assert status(desk, "GET", path, token=ann) == 200
    assert desk.ask("GET", path, token=bob) == (403, "owner access required\n")
    unknown = path.replace(grant, "og_x")
    assert desk.ask("GET", unknown, token=bob) == (404, "access grant not found\n")
    assert status(desk, "DELETE", path, token=ann) == 403
    mine = "/api/v1/access-grants?network_id=proj&mine=true"
    assert [g["id"] for g in desk.ok("GET", mine, token=ann)] == [grant]
    assert desk.ok("GET", mine, token=bob) == []
    assert status(desk, "GET", mine.replace("&mine=true", ""), token=ann) == 403
    assert desk.ask("GET", f"{mine}x") == (400, "invalid mine filter\n")


# Keys and values


def test_the_issuers_namespace_is_nobodys(desk: Desk) -> None:
    member = desk.login("oidc:m", "proj")
    path = "/api/v1/kv/relay.networkauth/issuer.current?network_id=proj"
    for token in (member, ADMIN):
        for method in ("GET", "PUT", "DELETE"):
            assert status(desk, method, path, b"x", token=token) == 403
        listing = "/api/v1/kv/relay.networkauth?network_id=proj"
        assert status(desk, "GET", listing, token=token) == 403


def test_prefixes_are_bytes(desk: Desk) -> None:
    desk.enrol()
    for key in ("a_b", "aXb", "A_b", "a%25b", "%C3%A9", "%F4%8F%BF%BF"):
        assert desk.ask("PUT", f"/api/v1/kv/ns/{key}?network_id=proj", b"v")[0] == 204

    def keys(prefix: str) -> list[str]:
        path = f"/api/v1/kv/ns?network_id=proj&prefix={prefix}"
        return [entry["key"] for entry in desk.ok("GET", path)]

    assert keys("a_") == ["a_b"] and keys("a%25") == ["a%b"] and keys("%C3%A9") == ["é"]
    assert keys("%F4%8F%BF%BF") == ["\U0010ffff"] and len(keys("")) == 6


def test_values_are_bounded_and_expire(desk: Desk) -> None:
    desk.enrol()
    path = "/api/v1/kv/ns/k?network_id=proj"
    assert desk.ask("PUT", path, b"x" * (1 << 20))[0] == 204
    assert desk.ask("PUT", path, b"x" * ((1 << 20) + 1))[0] == 413
    assert len(desk.ask("GET", path)[1]) == 1 << 20
    assert desk.ask("PUT", path, b"x", x_ttl="soon") == (400, "invalid X-TTL header\n")
    assert desk.ask("PUT", path, b"x", x_ttl="1s")[0] == 204
    desk.now += 2 * SECOND
    assert desk.ask("GET", path)[0] == 404
    member = desk.login("oidc:m", "proj")
    assert desk.ask("DELETE", path, token=member) == (403, "owner access required\n")
