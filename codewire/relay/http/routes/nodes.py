"""Nodes: enrolled by a token, listed, revoked (spec/relay.md 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.credentials.tokens import new_hex
from codewire.relay.http.answers import Refusal
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import OWNER, need_member, need_owner, role
from codewire.relay.http.inputs import Body, check_name, check_url
from codewire.relay.http.limits import REDEEM
from codewire.relay.http.shapes import TEXT, TIME, TRUTH, WHOLE, WORDS, listed, shape
from codewire.relay.store import networks, nodes, trust
from codewire.wire.timestamps import SECOND, format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.nodes import Node, Redeemed

DEFAULT_SECONDS = 600
MAX_SECONDS = 24 * 3600
# Where other relays use the same database, a node counts as connected to one of them for so long
# after it was last heard of. A relay of its own knows.
RECENT = 120 * SECOND
SHARED = "postgresql"
TOKEN_PREFIX = "cw_enr_"

GONE = (
    "direct node registration is disabled; use /api/v1/node-enrollments and "
    "/api/v1/node-enrollments/redeem"
)
# What redeeming comes to, and what it is answered.
REFUSED = {
    "invalid": (403, "invalid or expired enrollment token"),
    "name_mismatch": (403, "node_name does not match enrollment"),
    "name_taken": (403, "node_name belongs to another owner"),
    "name_required": (400, "node_name required"),
}


def create_enrollment(call: Call, store: Database) -> Any:
    """Make a token by which nodes come into a network."""
    network = call.given.needed("network_id")
    user, name = call.user, call.given.text("node_name")
    token, identity = TOKEN_PREFIX + new_hex(), new_hex()

    def enroll(tx: Tx) -> nodes.Enrollment:
        found = role(tx, user, network)
        if not found:
            raise Refusal(403, "membership required")
        # Only the admin can name a network that is not there yet.
        check_name(network, "network id")
        if name:
            check_name(name, "node_name")
        trust.audit(tx, network, user.subject, "enrollment.created", name or "any", call.now)
        return nodes.enroll(
            tx,
            network,
            node_name=name,
            owner_subject=user.subject,
            issued_by=user.subject,
            may_replace=found == OWNER,
            uses=call.given.uses(),
            expires_at=call.now + call.given.ttl(DEFAULT_SECONDS, MAX_SECONDS, may_be_zero=True),
            token=token,
            id=identity,
            now=call.now,
        )

    made = store.write(enroll)
    return {
        "id": made.id,
        "network_id": network,
        "node_name": made.node_name,
        "owner_subject": made.owner_subject,
        "issued_by": made.issued_by,
        "uses_remaining": made.uses_remaining,
        "expires_at": format_nanos(made.expires_at),
        "enrollment_token": token,
    }


def redeem_enrollment(call: Call, store: Database) -> Any:
    """Register a node by such a token."""
    token, name = call.given.needed("enrollment_token"), call.given.text("node_name")
    if name:
        check_name(name, "node_name")
    url, node_token = check_url(call.given.text("peer_url")), new_hex()

    def redeem(tx: Tx) -> Redeemed:
        return redeem_in(tx, token, name, url, node_token, call.now)

    return registered(call, store.write(redeem), node_token)


def redeem_in(tx: Tx, token: str, name: str, peer_url: str, node_token: str, now: int) -> Redeemed:
    """Register a node within a transaction. Raises Refusal."""
    found = nodes.redeem(
        tx, token, node_name=name, peer_url=peer_url, node_token=node_token, now=now
    )
    if found.node is None:
        raise Refusal(*REFUSED[found.outcome])
    node = found.node
    details = f"enrollment {found.enrollment_id}"
    trust.audit(tx, node.network_id, node.owner_subject, "node.enrolled", node.name, now, details)
    return found


def registered(call: Call, found: Redeemed, node_token: str) -> dict[str, str]:
    """Return the answer to a node that is registered; who had its name before is dropped."""
    assert found.node is not None
    call.service.drop_node(found.node.network_id, found.node.name)
    return {
        "status": "registered",
        "node_token": node_token,
        "node_name": found.node.name,
        "network_id": found.node.network_id,
        "enrollment_id": found.enrollment_id,
    }


def refuse_direct(call: Call, store: Database) -> Any:
    """Refuse what older nodes did."""
    raise Refusal(410, GONE)


def show_nodes(call: Call, store: Database) -> Any:
    """List a network's nodes: to a node those of its own."""
    if call.is_node:
        network = call.node.network_id
        found = store.read(lambda tx: nodes.list_of(tx, network))
        return _all_shown(call, store, found)
    if call.query.text("all").lower() == "true":
        found = store.read(lambda tx: _all_nodes(tx, call))
    else:
        network = call.network
        found = store.read(lambda tx: _nodes_of(tx, call, network))
    shown = _all_shown(call, store, found)
    return [{**one, **_told_users(call, node)} for one, node in zip(shown, found, strict=True)]


def _nodes_of(tx: Tx, call: Call, network: str) -> list[Node]:
    need_member(tx, call.user, network)
    return nodes.list_of(tx, network)


def _all_nodes(tx: Tx, call: Call) -> list[Node]:
    if call.user.is_admin:
        return nodes.list_all(tx)
    mine = networks.list_for(tx, call.user.subject, call.now)
    return [node for network in mine for node in nodes.list_of(tx, network.network_id)]


def _all_shown(call: Call, store: Database, found: list[Node]) -> list[dict[str, Any]]:
    known = {n: call.service.siblings.connected(n) for n in {node.network_id for node in found}}
    return [_shown(call, store, node, known[node.network_id]) for node in found]


def _shown(call: Call, store: Database, node: Node, connected: set[str] | None) -> dict[str, Any]:
    """Return a node; `connected` are those of its network at any relay, None where nobody knows."""
    shown: dict[str, Any] = {"name": node.name}
    if node.peer_url:
        shown["peer_url"] = node.peer_url
    is_here = call.service.presence.is_connected(node.network_id, node.name)
    if connected is None:
        is_there = store.kind == SHARED and call.now - node.last_seen_at < RECENT
    else:
        is_there = node.name in connected
    shown["connected"] = is_here or is_there
    return shown


def _told_users(call: Call, node: Node) -> dict[str, Any]:
    """Return what upstream's relay does not say, and of which network it is."""
    return {
        "network_id": node.network_id,
        "owned": node.owner_subject == call.user.subject,
        "owner_subject": node.owner_subject,
        "last_seen_at": format_nanos(node.last_seen_at),
        "features": list(node.features),
    }


def revoke_node(call: Call, store: Database) -> Any:
    """Take a node's token away, and its connection."""
    network, name, user = call.network, call.value("name"), call.user

    def revoke(tx: Tx) -> None:
        need_owner(tx, user, network)
        if not nodes.revoke(tx, network, name):
            raise Refusal(404, "node not found")
        trust.audit(tx, network, user.subject, "node.revoked", name, call.now)

    store.write(revoke)
    call.service.drop_node(network, name)
    return {"status": "revoked", "node": name}


REGISTERED = shape(
    status=TEXT, node_token=TEXT, node_name=TEXT, network_id=TEXT, enrollment_id=TEXT
)
# Of a node in a list: to users, and where it has one.
SOMETIMES = {
    "network_id": TEXT,
    "peer_url": TEXT,
    "owned": TRUTH,
    "owner_subject": TEXT,
    "last_seen_at": TIME,
    "features": WORDS,
}
ENDPOINTS = [
    Endpoint(
        "POST",
        "/api/v1/node-enrollments",
        create_enrollment,
        Who.USER,
        "Make a token that enrols nodes",
        body=Body(network_id="text", node_name="text", uses="whole", ttl="text"),
        answers=shape(
            id=TEXT,
            network_id=TEXT,
            node_name=TEXT,
            owner_subject=TEXT,
            issued_by=TEXT,
            uses_remaining=WHOLE,
            expires_at=TIME,
            enrollment_token=TEXT,
        ),
        errors=(403,),
    ),
    Endpoint(
        "POST",
        "/api/v1/node-enrollments/redeem",
        redeem_enrollment,
        Who.PUBLIC,
        "Register a node",
        body=Body(
            "enrollment_token required", enrollment_token="text", node_name="text", peer_url="text"
        ),
        answers=REGISTERED,
        errors=(403,),
        limit=REDEEM,
    ),
    Endpoint(
        "POST", "/api/v1/nodes", refuse_direct, Who.USER, "Refused: enrol nodes", errors=(410,)
    ),
    Endpoint(
        "GET",
        "/api/v1/nodes",
        show_nodes,
        Who.EITHER,
        "List nodes",
        query=("network_id", "all"),
        answers=listed(shape(SOMETIMES, name=TEXT, connected=TRUTH)),
        errors=(403,),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/nodes/{name}",
        revoke_node,
        Who.USER,
        "Revoke a node",
        query=("network_id",),
        answers=shape(status=TEXT, node=TEXT),
        errors=(403, 404),
    ),
]
