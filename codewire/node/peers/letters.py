"""MsgSend of the peer RPC: what sessions of other nodes send, by their node's delegation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.credentials.delegations import MSG, Sender, check_sender
from codewire.credentials.envelope import verify_sender
from codewire.errors import CredentialError, RequestError
from codewire.mail.draft import Draft
from codewire.mail.letters import check_body
from codewire.mail.party import Party, elsewhere
from codewire.wire.codes import UNAUTHORISED
from codewire.wire.peers import read_locator

if TYPE_CHECKING:
    from codewire.node.context import Message
    from codewire.node.peers.visit import PeerHandler, PeerStreamer, Visit


def send(visit: Visit, request: Message) -> Message:
    """Put a message into an inbox of this node."""
    sender = _sender(visit, request, MSG, "send")
    recipient = visit.session(visit.locate(request, "to"))
    draft = Draft(sender, recipient, check_body(request.get("body") or ""))
    return {"message_id": visit.node.mailbox.send(draft).id}


def _sender(visit: Visit, request: Message, verb: str, word: str) -> Party:
    """Return who sends, by a delegation that is used up. Raises RequestError."""
    if request.get("from") is None:
        raise RequestError(f"remote {word} requires verified sender delegation", UNAUTHORISED)
    if not request.get("sender_cap"):
        raise CredentialError("missing sender delegation")
    locator, me = read_locator(request["from"]), visit.visitor.me
    if not locator.node:
        raise CredentialError("sender locator must include source node")
    claims = visit.gate.verify(me, verify_sender, request["sender_cap"])
    sender = Sender(locator.node, locator.id, locator.name)
    check_sender(claims, sender, me.network, me.name, verb)
    visit.gate.used.use_up(claims)
    return elsewhere(claims.source_node, claims.from_session_name or str(claims.from_session_id))


ANSWERS: dict[str, PeerHandler] = {"MsgSend": send}
STREAMS: dict[str, PeerStreamer] = {}
