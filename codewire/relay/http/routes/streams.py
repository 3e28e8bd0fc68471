"""Streams to nodes: who may open one, and where a node's own side of it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.relay.http import limits
from codewire.relay.http.answers import Refusal, bad_request, unauthorized
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import OWNER, need_member, role
from codewire.relay.store import nodes

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx

# All that its owner can do with a node; what its network's members ask of each other.
NODE, PEER = "node", "peer"
# Said by a node whose config.toml has node.allow_network_owners.
NETWORK_OWNERS = "network-owners"

NOT_YOURS = "only the node's owner may use it"
NOT_ALLOWED = "only the node's owner may use it: node.allow_network_owners is not set there"


def open_stream(call: Call, store: Database) -> Any:
    """Open a stream to a node, as if it were dialled."""
    service = _service(call)
    _identify(call, service)
    network, name = call.network, call.value("name")
    as_owner = store.read(lambda tx: _admit(tx, call, network, name, service))
    ask = {"service": service, "subject": call.actor, "role": as_owner}
    stream = call.service.streams.open(call, network, name, ask)
    try:
        # Who was removed since is not among those whose streams ended with that.
        store.read(lambda tx: _admit(tx, call, network, name, service))
    except BaseException:
        call.service.streams.drop_member(network, call.actor)
        raise
    return stream


def _service(call: Call) -> str:
    return call.query.text("service") or NODE


def _identify(call: Call, service: str) -> None:
    """Find out who asks, by a Bearer token: a page in a browser has none. Raises Refusal."""
    if call.find_bearer() or (service == PEER and call.find_node()):
        return
    limiter, address = call.service.limiter, call.address
    limiter.check(limits.CONNECT, address, call.now)
    limiter.count(limits.CONNECT, address, call.now)
    raise unauthorized()


def _admit(tx: Tx, call: Call, network: str, name: str, service: str) -> str:
    """Return as what somebody may have the stream: whoever may not learns no names.

    Raises Refusal.
    """
    if service == PEER:
        _admit_peer(tx, call, network)
    elif service != NODE:
        raise bad_request(f'service must be "{NODE}" or "{PEER}"')
    node = nodes.get(tx, network, name)
    as_owner = service
    if service == NODE:
        need_member(tx, call.user, network)
        is_own = node is not None and node.owner_subject == call.user.subject
        if not is_own and role(tx, call.user, network) != OWNER:
            raise Refusal(403, NOT_YOURS)
        if not is_own and node is not None and NETWORK_OWNERS not in node.features:
            raise Refusal(403, NOT_ALLOWED)
        as_owner = "owner" if is_own else "network-owner"
    if node is None:
        raise Refusal(404, "node not found")
    return as_owner


def _admit_peer(tx: Tx, call: Call, network: str) -> None:
    if not call.is_node:
        need_member(tx, call.user, network)
    elif call.node.network_id != network:
        raise Refusal(403, "membership required")


def accept_back(call: Call, store: Database) -> Any:
    """Take a node's side of a stream that it was asked for."""
    limiter, address = call.service.limiter, call.address
    if not call.find_node():
        limiter.check(limits.CONNECT, address, call.now)
        limiter.count(limits.CONNECT, address, call.now)
        raise unauthorized()
    return call.service.streams.accept_back(call, call.node, call.value("id"))


ENDPOINTS = [
    Endpoint(
        "GET",
        "/api/v1/nodes/{name}/ws",
        open_stream,
        Who.PUBLIC,
        "A stream to a node (WebSocket)",
        query=("network_id", "service"),
        status=101,
        errors=(400, 401, 403, 404, 426, 429, 501, 503),
    ),
    Endpoint(
        "GET",
        "/node/back/{id}",
        accept_back,
        Who.PUBLIC,
        "A node's side of a stream (WebSocket)",
        status=101,
        errors=(400, 401, 403, 426, 429),
    ),
]
