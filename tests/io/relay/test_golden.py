"""The golden exchanges (spec/relay.md 11): status, body, keys."""

from __future__ import annotations

import base64
import re
from typing import Any

from codewire.wire.timestamps import format_nanos
from tests.io.relay.desk import START, Desk

HEX64 = re.compile("[0-9a-f]{64}")


def keys(value: dict[str, Any]) -> set[str]:
    return set(value)


def test_networks_and_nodes(either: Desk) -> None:
    desk = either
    said = desk.ask("POST", "/api/v1/networks", {"network_id": " proj "})
    assert said == (200, {"network_id": "proj", "status": "created"})
    wanted = {"network_id": "proj", "node_name": "dev-1", "uses": 1, "ttl": "10m"}
    made = desk.ok("POST", "/api/v1/node-enrollments", wanted)
    token = made.pop("enrollment_token")
    assert re.fullmatch("cw_enr_[0-9a-f]{64}", token)
    assert HEX64.fullmatch(made.pop("id"))
    assert made == {
        "expires_at": format_nanos(START + 600_000_000_000),
        "issued_by": "admin",
        "network_id": "proj",
        "node_name": "dev-1",
        "owner_subject": "admin",
        "uses_remaining": 1,
    }
    redeem = {"enrollment_token": token, "node_name": "dev-1"}
    path = "/api/v1/node-enrollments/redeem"
    got = desk.ok("POST", path, redeem, token="")
    assert HEX64.fullmatch(got.pop("node_token")) and HEX64.fullmatch(got.pop("enrollment_id"))
    assert got == {"network_id": "proj", "node_name": "dev-1", "status": "registered"}
    assert desk.ask("POST", path, redeem, token="") == (
        403,
        "invalid or expired enrollment token\n",
    )
    is_shared = desk.store.kind == "postgresql"
    assert desk.ok("GET", "/api/v1/nodes?network_id=proj") == [
        {
            "network_id": "proj",
            "name": "dev-1",
            "connected": is_shared,
            "owned": True,
            "owner_subject": "admin",
            "last_seen_at": "2026-04-03T10:00:00Z",
            "features": [],
        }
    ]
    desk.now += 121_000_000_000
    assert not desk.ok("GET", "/api/v1/nodes?network_id=proj")[0]["connected"]
    desk.hall.connected.add(("proj", "dev-1"))
    assert desk.ok("GET", "/api/v1/nodes?network_id=proj")[0]["connected"]


def test_a_node_lists_its_own_network(either: Desk) -> None:
    desk = either
    node = desk.enrol(peer_url=" wss://x/peer ")
    desk.enrol("other", "elsewhere")
    said = desk.ok("GET", "/api/v1/nodes?network_id=other", token=node)
    is_shared = desk.store.kind == "postgresql"
    assert said == [{"name": "dev-1", "peer_url": "wss://x/peer", "connected": is_shared}]
    assert desk.ok("GET", "/api/v1/nodes", token="", authorization=node) == said


def test_invites(either: Desk) -> None:
    desk = either
    desk.ok("POST", "/api/v1/networks", {"network_id": "proj"})
    made = desk.ok("POST", "/api/v1/invites", {"network_id": "proj", "uses": 2, "ttl": "5m"})
    assert re.fullmatch("CW-INV-[a-zA-Z0-9]{24}", made["token"])
    assert made == {
        "network_id": "proj",
        "token": made["token"],
        "created_by": None,
        "created_by_subject": "admin",
        "uses_remaining": 2,
        "expires_at": format_nanos(START + 300_000_000_000),
        "created_at": format_nanos(START),
    }
    assert desk.ok("GET", "/api/v1/invites?network_id=proj") == [made]
    join = {"node_name": "dev-2", "invite_token": made["token"]}
    got = desk.ok("POST", "/api/v1/join", join, token="")
    assert keys(got) == {"status", "node_token", "node_name", "network_id", "enrollment_id"}
    assert desk.ok("GET", "/api/v1/nodes", token=got["node_token"])[0]["name"] == "dev-2"
    assert desk.ok("GET", "/api/v1/invites?network_id=proj")[0]["uses_remaining"] == 1
    assert desk.ok("GET", "/api/v1/networks")[0]["invite_count"] == 1
    path = f"/api/v1/invites/{made['token']}?network_id=proj"
    assert desk.ask("DELETE", path) == (204, "") == desk.ask("DELETE", path)
    assert desk.ask("POST", "/api/v1/join", join, token="") == (403, "invalid or expired invite\n")


def test_groups(either: Desk) -> None:
    desk = either
    node = desk.enrol()
    made = desk.ok("POST", "/api/v1/groups", {"network_id": "proj", "name": "mesh"})
    assert made == {
        "network_id": "proj",
        "name": "mesh",
        "created_at": format_nanos(START),
        "created_by": "admin",
        "policy": {
            "network_id": "proj",
            "group_name": "mesh",
            "messages_policy": "internal-only",
            "debug_policy": "observe-only",
            "updated_at": format_nanos(START),
        },
    }
    path = "/api/v1/groups/mesh/members"
    member = {"node_name": "dev-1", "session_name": "planner"}
    got = desk.ok("POST", path, member, token=node)
    assert got == {
        "network_id": "proj",
        "group_name": "mesh",
        "node_name": "dev-1",
        "session_name": "planner",
        "created_at": format_nanos(START),
    }
    desk.now += 5
    assert desk.ok("POST", path, {"session_name": "planner"}, token=node) == got
    shown = desk.ok("GET", "/api/v1/groups/mesh?network_id=proj")
    assert shown == {**made, "members": [got]}
    bindings = "/api/v1/groups/bindings?session_name=planner"
    policy = {"messages_policy": "internal-only", "debug_policy": "observe-only"}
    assert desk.ok("GET", bindings, token=node) == [{"group_name": "mesh", **policy}]
    change = {"network_id": "proj", "messages_policy": " OPEN "}
    assert desk.ok("PUT", "/api/v1/groups/mesh/policy", change)["messages_policy"] == "open"
    assert desk.ok("GET", bindings, token=node)[0]["messages_policy"] == "open"
    query = "network_id=proj&node_name=dev-1&session_name=planner"
    assert desk.ok("DELETE", f"{path}?{query}") == {
        "status": "removed",
        "network_id": "proj",
        "group_name": "mesh",
        "node_name": "dev-1",
        "session_name": "planner",
    }
    assert desk.ask("DELETE", f"{path}?{query}") == (404, "group member not found\n")
    assert desk.ok("GET", bindings, token=node) == []
    gone = desk.ok("DELETE", "/api/v1/groups/mesh?network_id=proj")
    assert gone == {"status": "deleted", "network_id": "proj", "name": "mesh"}


def test_credentials(either: Desk) -> None:
    desk = either
    node = desk.enrol()
    bundle = "/api/v1/network-auth/bundle?network_id=proj"
    assert desk.ask("GET", bundle, token=node) == (404, "not found\n")
    got = desk.ok("POST", "/api/v1/network-auth/runtime/node", {}, token=node)
    assert got.pop("credential").startswith("cwrt1.")
    assert got == {
        "network_id": "proj",
        "subject_kind": "node",
        "subject_id": "dev-1",
        "expires_at": format_nanos(START + 300_000_000_000),
    }
    client = desk.ok("POST", "/api/v1/network-auth/runtime/client?network_id=proj", {})
    assert (client["subject_kind"], client["subject_id"]) == ("client", "admin")
    known = desk.ok("GET", bundle, token=node)
    assert known["issuer"] == "relay:proj" and known["version"] == 1
    assert known["expires_at"] == format_nanos(START + 900_000_000_000)
    assert [keys(key) for key in known["keys"]] == [{"key_id", "algorithm", "public_key"}]
    assert known == desk.ok("GET", bundle)


def test_a_sender_is_vouched_for(either: Desk) -> None:
    desk = either
    node = desk.enrol()
    desk.ok("POST", "/api/v1/groups", {"network_id": "proj", "name": "mesh"})
    desk.ok("POST", "/api/v1/groups/mesh/members", {"session_name": "planner"}, token=node)
    path = "/api/v1/network-auth/delegation/node"
    got = desk.ok(
        "POST",
        path,
        {"from_session_name": "planner", "verbs": ["msg"], "audience_node": "dev-2"},
        token=node,
    )
    assert got.pop("delegation").startswith("cwsd1.")
    assert got == {
        "network_id": "proj",
        "source_node": "dev-1",
        "from_session_name": "planner",
        "source_groups": ["mesh"],
        "audience_node": "dev-2",
        "expires_at": format_nanos(START + 120_000_000_000),
    }
    for wrong in ({}, {"verbs": ["msg"]}, {"from_session_id": 1}, {"verbs": "msg"}):
        assert desk.ask("POST", path, wrong, token=node) == (400, "bad request\n")
    other = {"source_node": "dev-2", "from_session_id": 0, "verbs": ["msg"]}
    refused = (403, "source_node must match authenticated node\n")
    assert desk.ask("POST", path, other, token=node) == refused


def test_grants(either: Desk) -> None:
    desk = either
    wanted = {
        "network_id": "proj",
        "target_node": "dev-1",
        "session_name": "planner",
        "audience": "admin",
    }
    got = desk.ok("POST", "/api/v1/access-grants", wanted)
    assert got.pop("delegation").startswith("cwog1.")
    grant = got.pop("grant_id")
    assert re.fullmatch(r"og_[A-Za-z0-9_-]{22}", grant)
    assert got == {
        "network_id": "proj",
        "target_node": "dev-1",
        "session_name": "planner",
        "verbs": ["msg.read", "msg.listen"],
        "audience_subject_kind": "client",
        "audience_subject_id": "admin",
        "audience_display": "admin",
        "expires_at": format_nanos(START + 600_000_000_000),
    }
    path = f"/api/v1/access-grants/{grant}?network_id=proj"
    shown = desk.ok("GET", path)
    assert shown == {**got, "id": grant, "issued_by": "admin", "created_at": format_nanos(START)}
    assert desk.ok("DELETE", path) == {"grant_id": grant, "status": "revoked"}
    desk.now += 1
    assert desk.ok("DELETE", path) == {"grant_id": grant, "status": "revoked"}
    assert desk.ok("GET", path)["revoked_at"] == format_nanos(START)
    assert desk.ok("GET", "/api/v1/access-grants?network_id=proj&active=true") == []
    assert [g["id"] for g in desk.ok("GET", "/api/v1/access-grants?network_id=proj")] == [grant]


def test_keys_and_values(either: Desk) -> None:
    desk = either
    desk.ok("POST", "/api/v1/networks", {"network_id": "proj"})
    path = "/api/v1/kv/ns/k?network_id=proj"
    assert desk.ask("PUT", path, b"hello", x_ttl="1h") == (204, "")
    assert desk.ok("GET", "/api/v1/kv/ns?network_id=proj") == [
        {
            "key": "k",
            "value": base64.b64encode(b"hello").decode(),
            "expires_at": format_nanos(START + 3600_000_000_000),
        }
    ]
    assert desk.ask("GET", path) == (200, "hello")
    assert desk.ask("PUT", path, b"") == (204, "")
    assert desk.ask("GET", path) == (200, "")
    assert desk.ask("DELETE", path) == (204, "") == desk.ask("DELETE", path)
    assert desk.ask("GET", path) == (404, "not found\n")
