"""Every path of the API by every credential: who is refused where, and no path forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.relay.http.api import ENDPOINTS
from codewire.relay.http.endpoint import Endpoint
from codewire.wire.http import Answer
from tests.io.relay.desk import SECOND, Desk

# Whoever asks, or with a secret of its own kind that is no token of a user or a node.
OPEN = {
    "GET /healthz",
    "GET /readyz",
    "GET /api/v1/auth/config",
    "GET /api/v1/openapi.json",
    "POST /api/v1/node-enrollments/redeem",
    "POST /api/v1/join",
    "GET /join",
    "GET /derp/latency-check",
    "GET /derp",
    "GET /derp/{rest}",
    "POST /api/auth/device/authorize",
    "POST /api/auth/device/token",
    "POST /api/auth/sign-out",
    "GET /device",
    "POST /device",
}
# Who the classes of paths let in, of CREDENTIALS: a `m`ember of the network (not its owner), a
# `s`tranger who is logged in, an `o`wner of another network, a `n`ode of the network, a node of
# another one (`f`). Nothing lets in what is expired or revoked, or nobody's.
CREDENTIALS = ("m", "s", "o", "n", "f", "expired", "revoked", "revoked node", "wrong")
CLASSES = {
    # A user, whichever: what is theirs, or a network of their own.
    "mso": {
        "GET /api/v1/auth/validate",
        "GET /api/auth/get-session",
        "GET /api/v1/networks",
        "POST /api/v1/networks",
        "POST /api/v1/networks/join",
        "POST /api/v1/nodes",
    },
    "m": {
        "GET /api/v1/networks/{id}/members",
        "POST /api/v1/node-enrollments",
        "GET /api/v1/access/cache/events",
        "POST /api/v1/network-auth/runtime/client",
        "PUT /api/v1/kv/{namespace}/{key}",
        "GET /api/v1/kv/{namespace}/{key}",
        "GET /api/v1/kv/{namespace}",
        "GET /api/v1/tasks",
        "GET /api/v1/tasks/events",
    },
    "mn": {"GET /api/v1/network-auth/bundle", "GET /api/v1/nodes/{name}/ws?service=peer"},
    # Each node in its own network, which the token names.
    "mnf": {"GET /api/v1/nodes"},
    "nf": {
        "GET /api/v1/groups/bindings",
        "POST /api/v1/groups/{name}/members",
        "DELETE /api/v1/groups/{name}/members",
        "POST /api/v1/network-auth/runtime/node",
        "POST /api/v1/network-auth/delegation/node",
        "GET /node/connect",
        "GET /node/back/{id}",
    },
    # Owners of the network, the admin, a node's owner; the mesh wants a credential of its own.
    "": {
        "GET /metrics",
        "GET /api/v1/admin/status",
        "POST /api/v1/admin/keys/rotate",
        "GET /api/v1/admin/audit",
        "DELETE /api/v1/networks/{id}/members/{subject}",
        "DELETE /api/v1/nodes/{name}",
        "POST /api/v1/invites",
        "GET /api/v1/invites",
        "DELETE /api/v1/invites/{token}",
        "POST /api/v1/groups",
        "GET /api/v1/groups",
        "GET /api/v1/groups/{name}",
        "DELETE /api/v1/groups/{name}",
        "PUT /api/v1/groups/{name}/policy",
        "POST /api/v1/access-grants",
        "GET /api/v1/access-grants",
        "GET /api/v1/access-grants/{id}",
        "DELETE /api/v1/access-grants/{id}",
        "DELETE /api/v1/kv/{namespace}/{key}",
        "GET /api/v1/tailnet/coordinate",
        "GET /api/v1/nodes/{name}/ws",
    },
}
PATHS = sorted((path, let_in) for let_in, paths in CLASSES.items() for path in paths)
QUERY = "network_id=proj&session_name=s&node_name=dev-1"
BODY = {"network_id": "proj", "name": "g", "session_name": "s", "node_name": "dev-1"}


@pytest.fixture
def tokens(desk: Desk) -> dict[str, str]:
    """The tokens of all CREDENTIALS; the network `proj` has the node `dev-1` and a group."""
    expired = desk.login("oidc:expired", "proj", "owner")
    desk.now += 3601 * SECOND
    revoked = desk.login("oidc:revoked", "proj", "owner")
    desk.ok("POST", "/api/auth/sign-out", {}, token=revoked)
    revoked_node = desk.enrol(name="gone")
    desk.ok("DELETE", "/api/v1/nodes/gone?network_id=proj")
    desk.ok("POST", "/api/v1/groups", {"network_id": "proj", "name": "g"})
    desk.enrol("other", "f")
    desk.ok("POST", "/api/v1/groups", {"network_id": "other", "name": "g"})
    return {
        "m": desk.login("oidc:m", "proj"),
        "s": desk.login("oidc:s"),
        "o": desk.login("oidc:o", "other", "owner"),
        "n": desk.enrol(),
        "f": desk.enrol("other", "dev-1"),
        "expired": expired,
        "revoked": revoked,
        "revoked node": revoked_node,
        "wrong": "wrong",
    }


def refusals(desk: Desk, path: str, tokens: dict[str, str]) -> dict[str, int]:
    """Return whom a path refuses as whom they are or are not (401, 403), and how."""
    method, _, pattern = path.partition(" ")
    target, _, more = pattern.partition("?")
    values = {"name": "g" if "groups" in target else "dev-1", "id": grant(desk, target), "key": "k"}
    values |= {"subject": "admin", "token": "x", "namespace": "ns"}
    target = f"{target.format_map(values)}?{QUERY}&{more}"
    found = {}
    for who, token in tokens.items():
        body = BODY if method in ("POST", "PUT") else None
        answer: Any = desk.answer(
            method, target, body, token=token, address=f"192.0.2.{len(found)}"
        )
        status = answer.status if isinstance(answer, Answer) else 101
        if status in (401, 403):
            found[who] = status
    return found


def grant(desk: Desk, target: str) -> str:
    """Return what `{id}` stands for in a path."""
    if "access-grants" not in target:
        return "proj" if "networks" in target else "0" * 32
    body = {"network_id": "proj", "target_node": "dev-1", "session_name": "s", "audience": "admin"}
    return str(desk.ok("POST", "/api/v1/access-grants", body)["grant_id"])


def test_who_is_refused(desk: Desk, tokens: dict[str, str]) -> None:
    found = {path: refusals(desk, path, tokens) for path, _ in PATHS}
    wanted = {path: set(CREDENTIALS) - set(let_in) for path, let_in in PATHS}
    assert {path: set(refused) for path, refused in found.items()} == wanted
    # What is good for nothing is nobody's; whoever is known is told that it is not theirs.
    for path, refused in found.items():
        assert {refused[who] for who in CREDENTIALS[5:]} == {401}, path


def test_no_path_is_forgotten() -> None:
    known = OPEN.union(*CLASSES.values())
    assert {path.partition("?")[0] for path in known} == {named(one) for one in ENDPOINTS}
    assert len(PATHS) + len(OPEN) == len(known)


def named(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"
