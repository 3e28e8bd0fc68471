"""MsgSend, MsgRequest and MsgReply of the peer RPC: what sessions of other nodes send.

Their node's delegation says who they are; it is good once. What is sent again after a lost
connection has the same `op_id`, and a delegation of its own: it is done once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codewire.credentials.claims import SenderClaims
from codewire.credentials.delegations import MSG, REPLY, REQUEST, Sender, check_sender
from codewire.credentials.envelope import verify_sender
from codewire.errors import CredentialError, RequestError
from codewire.mail.draft import Draft, check_delivery
from codewire.mail.letters import check_body
from codewire.mail.party import Party, elsewhere, here
from codewire.node.handlers.messages import Asking, check_group, shown_receipt
from codewire.node.handlers.peer import Peer
from codewire.wire.codes import UNAUTHORISED
from codewire.wire.peers import ERROR, Locator, read_locator

if TYPE_CHECKING:
    from codewire.mail.pending import Answer
    from codewire.node.context import Message
    from codewire.node.peers.visit import PeerHandler, PeerStreamer, Visit

# What the words of refusals call the verbs.
WORDS = {MSG: "send", REQUEST: "request", REPLY: "reply"}


class Sent(NamedTuple):
    """Who sends, and the key by which the same thing is known when it is sent again."""

    sender: Party
    key: str


def send(visit: Visit, request: Message) -> Message:
    """Put a message into an inbox of this node, or type it, by the rules of local ones."""
    sent = _admit(visit, request, MSG)
    receipt = visit.node.mailbox.send(_draft(visit, request, sent, MSG))
    return shown_receipt(receipt, request)


def ask(visit: Visit, request: Message) -> None:
    """Deliver a request and answer with its reply. Raises RequestError when there is no request."""
    sent = _admit(visit, request, REQUEST)
    wait = {**request, "timeout_seconds": max(0, request.get("timeout_seconds") or 0)}
    _Asking(visit, wait).run(sent.key, lambda: _draft(visit, request, sent, REQUEST))


def reply(visit: Visit, request: Message) -> Message:
    """Answer an open request, as the session that was asked."""
    sent = _admit(visit, request, REPLY)
    request_id = request.get("request_id") or ""
    body = check_body(request.get("body") or "")
    visit.node.mailbox.requests.reply(request_id, body, sent.sender, "", sent.key)
    return {"request_id": request_id}


class _Asking(Asking):
    """A visitor that waits for a reply."""

    def __init__(self, visit: Visit, request: Message) -> None:
        super().__init__(visit.node, Peer(visit.stream), request)

    def answered(self, answer: Answer) -> Message:
        replier = Locator("", answer.from_id or None, answer.from_name)
        return {
            "op_id": self._asked["op_id"],
            "type": "MsgRequestResult",
            "reply_body": answer.body,
            "from": replier.to_json(),
        }

    def refused(self, text: str, code: str) -> Message:
        return {"op_id": self._asked["op_id"], "type": ERROR, "error": text, "code": code}


def _draft(visit: Visit, request: Message, sent: Sent, verb: str) -> Draft:
    """Return what is to be sent, checked. Raises RequestError."""
    recipient = visit.session(visit.locate(request, "to"))
    check_group(visit.node, recipient, sent.sender, verb)
    body, delivery = check_body(request.get("body") or ""), check_delivery(request.get("delivery"))
    is_repeat = bool(request.get("repeat"))
    # Nobody forces a text into a shell from another node: that would be to run it.
    return Draft(sent.sender, recipient, body, delivery, key=sent.key, is_repeat=is_repeat)


def _admit(visit: Visit, request: Message, verb: str) -> Sent:
    """Return who sends, by a delegation that is used up. Raises RequestError."""
    if request.get("from") is None:
        text = f"remote {WORDS[verb]} requires verified sender delegation"
        raise RequestError(text, UNAUTHORISED)
    if not request.get("sender_cap"):
        raise CredentialError("missing sender delegation")
    locator, me = read_locator(request["from"]), visit.visitor.me
    if not locator.node:
        raise CredentialError("sender locator must include source node")
    claims = visit.gate.verify(me, verify_sender, request["sender_cap"])
    sender = Sender(locator.node, locator.id, locator.name)
    check_sender(claims, sender, me.network, me.name, verb)
    visit.gate.used.use_up(claims)
    session = f"{claims.from_session_id} {claims.from_session_name}"
    key = f"{me.network} {claims.source_node} {session} {verb} {request['op_id']}"
    return Sent(_party(visit, claims), key)


def _party(visit: Visit, claims: SenderClaims) -> Party:
    """Return the session that a delegation is of."""
    name = claims.from_session_name
    if claims.source_node != visit.visitor.me.name:
        shown = name or str(claims.from_session_id)
        return elsewhere(claims.source_node, shown, claims.source_groups)
    return here(visit.session(_own(claims)))


def _own(claims: SenderClaims) -> Locator:
    """Return which session of this node a delegation of its own is of."""
    if claims.from_session_id is not None:
        return Locator(id=claims.from_session_id)
    return Locator(name=claims.from_session_name)


ANSWERS: dict[str, PeerHandler] = {"MsgSend": send, "MsgReply": reply}
STREAMS: dict[str, PeerStreamer] = {"MsgRequest": ask}
