"""Invites into a network, and nodes that join by one (spec/relay.md 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.credentials.tokens import new_hex, new_word
from codewire.relay.http.answers import NO_CONTENT, Refusal, bad_request, html_answer
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import need_owner
from codewire.relay.http.inputs import Body, check_name
from codewire.relay.http.limits import JOIN
from codewire.relay.http.routes.nodes import (
    DEFAULT_SECONDS,
    REGISTERED,
    TOKEN_PREFIX,
    redeem_in,
    registered,
)
from codewire.relay.http.shapes import NUMBER_OR_NULL, TEXT, TIME, WHOLE, listed, shape
from codewire.relay.pages.join import join_page
from codewire.relay.store import invites, nodes, trust
from codewire.wire.timestamps import SECOND, format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.invites import Invite
    from codewire.relay.store.nodes import Redeemed

INVITE_SECONDS = 3600
MAX_SECONDS = 168 * 3600
PREFIX = "CW-INV-"
TOKEN_LENGTH = 24


def create_invite(call: Call, store: Database) -> Any:
    """Make an invite."""
    network, user = call.given.needed("network_id"), call.user
    token = PREFIX + new_word(TOKEN_LENGTH)

    def create(tx: Tx) -> Invite:
        need_owner(tx, user, network)
        check_name(network, "network id")
        lifetime = call.given.ttl(INVITE_SECONDS, MAX_SECONDS)
        trust.audit(tx, network, user.subject, "invite.created", _short(token), call.now)
        return invites.create(
            tx,
            network,
            token=token,
            created_by=user.github_id,
            created_by_subject=user.subject,
            uses=call.given.uses(),
            expires_at=call.now + lifetime,
            now=call.now,
        )

    return _shown(store.write(create))


def show_invites(call: Call, store: Database) -> Any:
    """List a network's invites."""
    network = call.network

    def find(tx: Tx) -> list[Invite]:
        need_owner(tx, call.user, network)
        return invites.list_of(tx, network, call.now)

    return [_shown(invite) for invite in store.read(find)]


def delete_invite(call: Call, store: Database) -> Any:
    """Take an invite back."""
    network, token, user = call.network, call.value("token"), call.user

    def delete(tx: Tx) -> None:
        need_owner(tx, user, network)
        if invites.delete(tx, network, token):
            trust.audit(tx, network, user.subject, "invite.deleted", _short(token), call.now)

    store.write(delete)
    return NO_CONTENT


def join(call: Call, store: Database) -> Any:
    """Register a node by an invite: one use of it, or nothing at all."""
    name, token = call.given.text("node_name"), call.given.raw("invite_token")
    if not name or not token.strip():
        raise bad_request("node_name and invite_token required")
    check_name(name, "node_name")
    node_token = new_hex()
    return registered(
        call, store.write(lambda tx: _join(tx, token, name, node_token, call.now)), node_token
    )


def _join(tx: Tx, token: str, name: str, node_token: str, now: int) -> Redeemed:
    invite = invites.use(tx, token, now)
    if invite is None:
        raise Refusal(403, "invalid or expired invite")
    enrollment_token = TOKEN_PREFIX + new_hex()
    nodes.enroll(
        tx,
        invite.network_id,
        node_name=name,
        owner_subject=invite.created_by_subject,
        issued_by=invite.created_by_subject,
        # Whoever has an invite gets a node of their own, not somebody else's.
        may_replace=False,
        uses=1,
        expires_at=now + DEFAULT_SECONDS * SECOND,
        token=enrollment_token,
        id=new_hex(),
        now=now,
    )
    return redeem_in(tx, enrollment_token, name, "", node_token, now)


def show_join_page(call: Call, store: Database) -> Any:
    """Show a person how to use an invite."""
    return html_answer(join_page(call.service.settings.base_url, call.query.raw("invite")))


def _short(token: str) -> str:
    """Return as much of a token as tells it from others, and lets nobody in."""
    return token[: len(PREFIX) + 4] + "…"


def _shown(invite: Invite) -> dict[str, Any]:
    return {
        "network_id": invite.network_id,
        "token": invite.token,
        "created_by": invite.created_by,
        "created_by_subject": invite.created_by_subject,
        "uses_remaining": invite.uses_remaining,
        "expires_at": format_nanos(invite.expires_at),
        "created_at": format_nanos(invite.created_at),
    }


INVITE = shape(
    network_id=TEXT,
    token=TEXT,
    created_by=NUMBER_OR_NULL,
    created_by_subject=TEXT,
    uses_remaining=WHOLE,
    expires_at=TIME,
    created_at=TIME,
)
ENDPOINTS = [
    Endpoint(
        "POST",
        "/api/v1/invites",
        create_invite,
        Who.USER,
        "Make an invite",
        body=Body(lenient=True, network_id="text", uses="whole", ttl="text"),
        answers=INVITE,
        errors=(403,),
    ),
    Endpoint(
        "GET",
        "/api/v1/invites",
        show_invites,
        Who.USER,
        "List invites",
        query=("network_id",),
        answers=listed(INVITE),
        errors=(403,),
    ),
    Endpoint(
        "DELETE",
        "/api/v1/invites/{token}",
        delete_invite,
        Who.USER,
        "Take an invite back",
        query=("network_id",),
        status=204,
        errors=(403,),
    ),
    Endpoint(
        "POST",
        "/api/v1/join",
        join,
        Who.PUBLIC,
        "Register a node by an invite",
        body=Body(node_name="text", invite_token="text"),
        answers=REGISTERED,
        errors=(403,),
        limit=JOIN,
    ),
    Endpoint(
        "GET",
        "/join",
        show_join_page,
        Who.PUBLIC,
        "How to use an invite",
        query=("invite",),
        kind="text/html",
    ),
]
