"""Where connections begin that stay: nodes' uplinks, the mesh's coordinator (spec/relay.md 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.credentials.envelope import peek_network, verify_runtime
from codewire.errors import CodewireError
from codewire.relay.http import limits
from codewire.relay.http.answers import unauthorized
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import ADMIN, SCHEME
from codewire.relay.store import networks, nodes, trust
from codewire.wire.http import Answer, plain

if TYPE_CHECKING:
    from codewire.credentials.claims import RuntimeClaims
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx

UPGRADE_DERP = plain(
    426, "DERP requires connection upgrade", (("Upgrade", "DERP"), ("Connection", "Upgrade"))
)
RUNTIME = "runtime"


def connect_node(call: Call, store: Database) -> Any:
    """Open a node's uplink, over which the relay reaches it."""
    limiter, address = call.service.limiter, call.address
    if not call.find_node():
        limiter.check(limits.CONNECT, address, call.now)
        limiter.count(limits.CONNECT, address, call.now)
        raise unauthorized()
    return call.service.presence.accept(call, call.node)


def coordinate(call: Call, store: Database) -> Any:
    """Admit a peer to the mesh's introductions; its runtime credential is used up by that."""
    given = call.request.field("Authorization")
    token = (given[len(SCHEME) :] if given.startswith(SCHEME) else given).strip()
    claims = _verified(token, store, call.now)

    network, kind, name = claims.network_id, claims.subject_kind, claims.subject_id

    def admit(tx: Tx) -> bool:
        # Last, so that whoever is refused may come again with it.
        return _is_known(tx, claims) and trust.consume(
            tx, RUNTIME, network, claims.jti, claims.expires_at, call.now
        )

    if not claims.jti or not store.write(admit):
        raise unauthorized()
    call.request.vouch()
    accepted = call.service.coordination.accept(call, network, kind, name)
    if not store.read(lambda tx: _is_known(tx, claims)):
        # Who was removed since is not among those whose connections ended with that.
        end = call.service.drop_node if kind == "node" else call.service.drop_member
        end(network, name)
    return accepted


def _is_known(tx: Tx, claims: RuntimeClaims) -> bool:
    """Say whether the network still has the node, or the member, that a credential names."""
    network, kind, name = claims.network_id, claims.subject_kind, claims.subject_id
    if kind == "node":
        return nodes.get(tx, network, name) is not None
    return kind == "client" and (name == ADMIN or bool(networks.role(tx, network, name)))


def _verified(token: str, store: Database, now: int) -> RuntimeClaims:
    """Return what a credential says. Raises Refusal: why it is refused is not told."""
    network = peek_network(token)
    bundle = store.read(lambda tx: trust.bundle(tx, network, now)) if network else None
    if bundle is None:
        raise unauthorized()
    try:
        return verify_runtime(token, bundle, now)
    except CodewireError as error:
        raise unauthorized() from error


def refuse_derp(call: Call, store: Database) -> Answer:
    """Say that this is no web page."""
    return UPGRADE_DERP


def check_latency(call: Call, store: Database) -> Answer:
    """Answer at once: peers measure by it how far the relay is."""
    return Answer(200)


ENDPOINTS = [
    Endpoint(
        "GET",
        "/node/connect",
        connect_node,
        Who.PUBLIC,
        "A node's uplink (WebSocket)",
        status=101,
        errors=(400, 401, 403, 426, 429),
    ),
    Endpoint(
        "GET",
        "/api/v1/tailnet/coordinate",
        coordinate,
        Who.PUBLIC,
        "Introductions of the mesh (WebSocket)",
        ("role",),
        status=101,
        errors=(400, 401, 403, 426),
    ),
    Endpoint(
        "GET",
        "/derp/latency-check",
        check_latency,
        Who.PUBLIC,
        "Measure the way to the relay",
        kind="",
    ),
    Endpoint("GET", "/derp", refuse_derp, Who.PUBLIC, "DERP", status=101, errors=(426,)),
    Endpoint("GET", "/derp/{rest}", refuse_derp, Who.PUBLIC, "DERP", status=101, errors=(426,)),
]
