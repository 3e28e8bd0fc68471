"""Credentials the relay signs, and the keys to check them by (spec/network-auth.md 1 to 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.credentials.claims import (
    RUNTIME_SECONDS,
    SENDER_SECONDS,
    RuntimeClaims,
    SenderClaims,
)
from codewire.credentials.envelope import mint
from codewire.credentials.tokens import new_id
from codewire.relay.http.answers import Refusal, bad_request
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import need_member
from codewire.relay.http.inputs import Body, is_name
from codewire.relay.http.routes.groups import MAX_SESSION_NAME
from codewire.relay.http.shapes import TEXT, TIME, WHOLE, WORDS, listed, shape
from codewire.relay.store import groups, networks, trust
from codewire.wire.timestamps import SECOND, format_nanos

if TYPE_CHECKING:
    from codewire.credentials.envelope import Bundle, SigningKey
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx


def show_bundle(call: Call, store: Database) -> Any:
    """Return the keys that verify a network's credentials."""
    network = call.network
    call.need_any()
    if call.is_node and call.node.network_id != network:
        raise Refusal(403, "forbidden")

    def find(tx: Tx) -> Bundle | None:
        if not call.is_node:
            need_member(tx, call.user, network)
        return trust.bundle(tx, network, call.now)

    bundle = store.read(find)
    if bundle is None:
        raise Refusal(404, "not found")
    return bundle.to_json()


def signing_key(store: Database, network: str, now: int) -> SigningKey:
    """Return the network's key; the first call makes it, later ones wait for no disk."""
    key = store.read(lambda tx: trust.current_if_any(tx, network, now))
    return key or store.write(lambda tx: _first_key(tx, network, now))


def _first_key(tx: Tx, network: str, now: int) -> SigningKey:
    # The admin may be the first to name it.
    networks.ensure(tx, network, now)
    return trust.current(tx, network, now)


def issue_to_client(call: Call, store: Database) -> Any:
    """Issue a runtime credential to a member."""
    network, user = call.network, call.user
    store.read(lambda tx: need_member(tx, user, network))
    if not is_name(network):
        # The admin's request would make a key for a network that cannot be.
        raise bad_request("network id may only contain letters, numbers, '-' or '_'")
    return _issue(call, store, network, "client", user.subject)


def issue_to_node(call: Call, store: Database) -> Any:
    """Issue a runtime credential to a node."""
    return _issue(call, store, call.node.network_id, "node", call.node.name)


def _issue(call: Call, store: Database, network: str, kind: str, subject: str) -> Any:
    key = signing_key(store, network, call.now)
    claims = RuntimeClaims(
        network_id=network,
        subject_kind=kind,
        subject_id=subject,
        issuer=f"relay:{network}",
        kid=key.kid,
        issued_at=call.now,
        expires_at=call.now + RUNTIME_SECONDS * SECOND,
        jti=new_id("rt_"),
    )
    return {
        "credential": mint(claims, key),
        "network_id": network,
        "subject_kind": kind,
        "subject_id": subject,
        "expires_at": format_nanos(claims.expires_at),
    }


def delegate_sender(call: Call, store: Database) -> Any:
    """Vouch to other nodes for one of a node's sessions."""
    given, node = call.given, call.node
    identity = given.session_id("from_session_id")
    name = given.text("from_session_name", MAX_SESSION_NAME)
    verbs = tuple(given.words("verbs"))
    if not verbs or (identity is None and not name):
        raise bad_request()
    if given.text("source_node") not in ("", node.name):
        raise Refusal(403, "source_node must match authenticated node")
    network, audience = node.network_id, given.text("audience_node")
    members = store.read(lambda tx: groups.groups_of(tx, network, node.name, name) if name else ())
    key = signing_key(store, network, call.now)
    claims = SenderClaims(
        network_id=network,
        source_node=node.name,
        from_session_id=identity,
        from_session_name=name,
        source_groups=members,
        verbs=verbs,
        audience_node=audience,
        issuer=f"relay:{network}",
        kid=key.kid,
        issued_at=call.now,
        expires_at=call.now + SENDER_SECONDS * SECOND,
        jti=new_id("sd_"),
    )
    shown: dict[str, Any] = {
        "delegation": mint(claims, key),
        "network_id": network,
        "source_node": node.name,
        "from_session_id": identity,
        "from_session_name": name or None,
        "source_groups": list(members) or None,
        "audience_node": audience or None,
        "expires_at": format_nanos(claims.expires_at),
    }
    return {field: value for field, value in shown.items() if value is not None}


CREDENTIAL = shape(
    credential=TEXT, network_id=TEXT, subject_kind=TEXT, subject_id=TEXT, expires_at=TIME
)
SENDER = shape(
    {
        "from_session_id": WHOLE,
        "from_session_name": TEXT,
        "source_groups": WORDS,
        "audience_node": TEXT,
    },
    delegation=TEXT,
    network_id=TEXT,
    source_node=TEXT,
    expires_at=TIME,
)
BUNDLE = shape(
    network_id=TEXT,
    issuer=TEXT,
    keys=listed(shape(key_id=TEXT, algorithm=TEXT, public_key=TEXT)),
    version=WHOLE,
    expires_at=TIME,
)
ENDPOINTS = [
    Endpoint(
        "GET",
        "/api/v1/network-auth/bundle",
        show_bundle,
        Who.PUBLIC,
        "The keys that verify a network's credentials",
        ("network_id",),
        answers=BUNDLE,
        errors=(401, 403, 404),
    ),
    Endpoint(
        "POST",
        "/api/v1/network-auth/runtime/client",
        issue_to_client,
        Who.USER,
        "A runtime credential for a member",
        ("network_id",),
        raw_limit=1 << 16,
        answers=CREDENTIAL,
        errors=(403,),
    ),
    Endpoint(
        "POST",
        "/api/v1/network-auth/runtime/node",
        issue_to_node,
        Who.NODE,
        "A runtime credential for a node",
        raw_limit=1 << 16,
        answers=CREDENTIAL,
    ),
    Endpoint(
        "POST",
        "/api/v1/network-auth/delegation/node",
        delegate_sender,
        Who.NODE,
        "Vouch for a node's session",
        body=Body(
            source_node="text",
            from_session_id="whole",
            from_session_name="text",
            verbs="words",
            audience_node="text",
        ),
        answers=SENDER,
        errors=(403,),
    ),
]
