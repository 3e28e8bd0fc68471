"""Networks and who is in them (spec/relay.md 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.relay.http.answers import Refusal
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import MEMBER, need_member, need_owner
from codewire.relay.http.inputs import Body, check_name
from codewire.relay.http.shapes import TEXT, TIME, WHOLE, listed, shape
from codewire.relay.store import invites, networks, trust
from codewire.wire.timestamps import format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx


def show_networks(call: Call, store: Database) -> Any:
    """List the user's networks, to the admin all."""
    subject = None if call.user.is_admin else call.user.subject
    found = store.read(lambda tx: networks.list_for(tx, subject, call.now))
    return [
        {
            "id": network.network_id,
            "created_at": format_nanos(network.created_at),
            "node_count": network.node_count,
            "invite_count": network.invite_count,
        }
        for network in found
    ]


def create_network(call: Call, store: Database) -> Any:
    """Create a network, whose owner the user becomes."""
    network = check_name(call.given.text("network_id"), "network id")
    user = call.user

    def claim(tx: Tx) -> str:
        was_there = networks.exists(tx, network)
        outcome = networks.claim(tx, network, user.subject, call.now, is_admin=user.is_admin)
        if not was_there:
            trust.audit(tx, network, user.subject, "network.created", network, call.now)
        return outcome

    if store.write(claim) == "taken":
        raise Refusal(409, "network already claimed")
    return {"status": "created", "network_id": network}


def join_network(call: Call, store: Database) -> Any:
    """Become a member by an invite."""
    token = call.given.raw("invite_token")
    if not token.strip():
        raise Refusal(400, "invite_token required")
    subject = call.user.subject

    def join(tx: Tx) -> str:
        invite = invites.use(tx, token, call.now)
        if invite is None:
            raise Refusal(403, "invalid or expired invite")
        network = invite.network_id
        # Not the invite itself, which may be good for others yet.
        networks.add_member(tx, network, subject, MEMBER, invite.created_by_subject, call.now)
        trust.audit(tx, network, subject, "member.joined", subject, call.now)
        return network

    return {"status": "joined", "network_id": store.write(join)}


def show_members(call: Call, store: Database) -> Any:
    """List who belongs to a network."""
    network = call.value("id")

    def find(tx: Tx) -> list[networks.Member]:
        need_member(tx, call.user, network)
        return networks.members(tx, network)

    return [
        {
            "subject": member.subject,
            "role": member.role,
            "created_at": format_nanos(member.created_at),
        }
        for member in store.read(find)
    ]


def remove_member(call: Call, store: Database) -> Any:
    """Have somebody belong to a network no more: an owner may, and everybody for themselves."""
    network, subject, user = call.value("id"), call.value("subject"), call.user

    def remove(tx: Tx) -> None:
        need_member(tx, user, network)
        if subject != user.subject:
            need_owner(tx, user, network)
        outcome = networks.remove_member(tx, network, subject)
        if outcome == "unknown":
            raise Refusal(404, "member not found")
        if outcome == "last owner":
            raise Refusal(409, "the last owner cannot leave: make another one, or keep it")
        trust.audit(tx, network, user.subject, "member.removed", subject, call.now)

    store.write(remove)
    call.service.drop_member(network, subject)
    return {"status": "removed", "network_id": network, "subject": subject}


MEMBERSHIP = shape(subject=TEXT, role=TEXT, created_at=TIME)
NETWORK = shape(id=TEXT, created_at=TIME, node_count=WHOLE, invite_count=WHOLE)
ENDPOINTS = [
    Endpoint(
        "GET",
        "/api/v1/networks",
        show_networks,
        Who.USER,
        "List your networks",
        answers=listed(NETWORK),
    ),
    Endpoint(
        "POST",
        "/api/v1/networks",
        create_network,
        Who.USER,
        "Create a network",
        body=Body("network_id required", network_id="text"),
        answers=shape(status=TEXT, network_id=TEXT),
        errors=(409,),
    ),
    Endpoint(
        "POST",
        "/api/v1/networks/join",
        join_network,
        Who.USER,
        "Join a network by an invite",
        body=Body(invite_token="text"),
        answers=shape(status=TEXT, network_id=TEXT),
        errors=(403,),
    ),
    Endpoint(
        "GET",
        "/api/v1/networks/{id}/members",
        show_members,
        Who.USER,
        "List members",
        answers=listed(MEMBERSHIP),
        errors=(403,),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/networks/{id}/members/{subject}",
        remove_member,
        Who.USER,
        "Remove a member, or leave",
        answers=shape(status=TEXT, network_id=TEXT, subject=TEXT),
        errors=(403, 404, 409),
    ),
]
