"""Who belongs to a network, and leaving it: at once, also what one is reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError
from codewire.relay.http.answers import Refusal
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import need_member, need_owner
from codewire.relay.http.shapes import TEXT, TIME, listed, shape
from codewire.relay.store import networks, trust
from codewire.wire.timestamps import format_nanos

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.networks import Member
    from codewire.web.request import Takeover


def show_members(call: Call, store: Database) -> Any:
    """List who belongs to a network, to its members."""
    network, user = call.value("id"), call.user

    def find(tx: Tx) -> list[Member]:
        need_member(tx, user, network)
        return networks.members(tx, network)

    return [
        {
            "subject": member.subject,
            "role": member.role,
            "username": member.username,
            "created_at": format_nanos(member.created_at),
        }
        for member in store.read(find)
    ]


def remove_member(call: Call, store: Database) -> Any:
    """Have somebody belong to a network no more: its owner removes anybody, all may leave."""
    network, subject, user = call.value("id"), call.value("subject"), call.user

    def remove(tx: Tx) -> None:
        need_member(tx, user, network)
        if subject != user.subject:
            need_owner(tx, user, network)
        outcome = networks.remove_member(tx, network, subject)
        if outcome == "absent":
            raise Refusal(404, "member not found")
        if outcome == "last":
            raise Refusal(409, "the last owner cannot leave the network")
        trust.audit(tx, network, user.subject, "member.removed", subject, call.now)

    store.write(remove)
    call.service.drop_member(network, subject)
    return {"status": "removed", "network_id": network, "subject": subject}


def open_feed(
    call: Call, store: Database, stream: str, last: int | None, wants: Callable[[str], bool]
) -> Takeover:
    """Return the stream of events of a member, which ends when they are one no more."""
    network, user = call.network, call.user
    reader = call.service.feeds.open(network, stream, last, wants, user.subject)
    try:
        # Whoever is removed from here on is found among the readers.
        store.read(lambda tx: need_member(tx, user, network))
    except (Refusal, CodewireError):
        # It comes back and is told then; one that never ran would be kept for ever.
        reader.end()
    return reader


ENDPOINTS = [
    Endpoint(
        "GET",
        "/api/v1/networks/{id}/members",
        show_members,
        Who.USER,
        "List a network's members",
        answers=listed(shape(subject=TEXT, role=TEXT, username=TEXT, created_at=TIME)),
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
