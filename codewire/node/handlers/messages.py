"""Mail between sessions: MsgSend, MsgRead, MsgRequest, MsgReply, MsgListen (wire.md 9 and 14)."""

from __future__ import annotations

from collections.abc import Callable

from codewire.errors import RequestError
from codewire.io.deadline import MAX_SECONDS
from codewire.io.streams import FrameStream
from codewire.mail.draft import INBOX, Draft, Receipt, check_delivery
from codewire.mail.letters import check_body
from codewire.mail.party import NOBODY, Party, here
from codewire.mail.pending import Answer, Request
from codewire.node.caller import Caller, calling_session
from codewire.node.context import Handler, Message, Node, Streamer, refusal
from codewire.node.handlers.peer import Peer
from codewire.session.events import Subscription
from codewire.session.session import Session
from codewire.wire.codes import (
    BAD_REQUEST,
    NO_SUCH_REQUEST,
    NO_SUCH_SESSION,
    NOT_RUNNING,
    TIMED_OUT,
    TOO_LARGE,
    UNAUTHORISED,
)
from codewire.wire.events import MAIL, REQUEST
from codewire.wire.timestamps import format_nanos

DEFAULT_TIMEOUT_SECONDS = 60
DEFAULT_TAIL = 50
MAX_KEY_LENGTH = 200


def send(node: Node, request: Message, caller: Caller) -> Message:
    """Deliver a message; `status` of the answer is when (wire.md 6)."""
    draft = _draft(node, request, "msg", caller)
    receipt = node.mailbox.send(draft)
    return {"type": "MsgSent", **shown_receipt(receipt, request)}


def shown_receipt(receipt: Receipt, request: Message) -> Message:
    """Return what became of a message, as its sender is answered."""
    asked = request.get("delivery") or INBOX
    return {
        "message_id": receipt.id,
        "status": format_nanos(receipt.sent_ns),
        # Only what did not go as asked is worth a field that upstream does not have.
        "delivered": receipt.delivered if receipt.delivered != asked else None,
        "note": receipt.note or None,
        "typed": receipt.typed or None,
    }


def read(node: Node, request: Message, caller: Caller) -> Message:
    """The last messages of an inbox, oldest first, and every open request in it."""
    registry = node.sessions.registry
    if request.get("id") is not None:
        session = registry.get(request["id"])
    elif request.get("to_name"):
        session = registry.by_name(request["to_name"].removeprefix("@"))
    else:
        raise RequestError("session id or name required", BAD_REQUEST)
    tail = request.get("tail")
    inbox = node.mailbox.read(session, DEFAULT_TAIL if tail is None else tail)
    has_requests = inbox.open_requests or any(m["type"] == REQUEST for m in inbox.messages)
    return {
        "type": "MsgReadResult",
        "messages": inbox.messages,
        "open_requests": inbox.open_requests if has_requests else None,
        "cut": inbox.is_cut or None,
    }


def reply(node: Node, request: Message, caller: Caller) -> Message:
    """Answer a request; the answer also stands where nobody waits for it any more."""
    request_id = request.get("request_id") or ""
    is_awaited = node.mailbox.requests.reply(
        request_id,
        check_body(request.get("body") or ""),
        _sender(node, request, caller),
        request.get("reply_token") or "",
        _key(request),
    )
    note = None if is_awaited else "nobody waits for it any more; it is in the inbox"
    return {"type": "MsgReplySent", "request_id": request_id, "note": note}


def _draft(node: Node, request: Message, what: str, caller: Caller) -> Draft:
    """Return what is to be sent, checked; `what` names it in the words of group policy."""
    recipient = _recipient(node, request)
    delivery = check_delivery(request.get("delivery"))
    body = check_body(request.get("body") or "")
    sender = _sender(node, request, caller)
    check_group(node, recipient, sender, what)
    if sender.id and sender.session is None:
        raise RequestError(f"sender session {sender.id} not found", NO_SUCH_SESSION)
    if request.get("auto") and sender == NOBODY:
        # It was to be typed for the sender's sake; nobody's text only goes into the inbox.
        delivery = INBOX
    return Draft(sender, recipient, body, delivery, bool(request.get("force")), _key(request))


def check_group(node: Node, recipient: Session, sender: Party, what: str) -> None:
    """Raise RequestError where group policy keeps somebody from a session."""
    if not node.grouping.may_reach(recipient, sender):
        text = f"group policy forbids {what} delivery to this session"
        raise RequestError(text, UNAUTHORISED)


def _sender(node: Node, request: Message, caller: Caller) -> Party:
    """Return who sends. What is no session's, or only claims to be, is nobody's."""
    number = request.get("id") or 0
    if not number or not _is_believed(node, request, caller):
        return NOBODY
    session = node.sessions.registry.find(number)
    return Party(number) if session is None else here(session)


def _is_believed(node: Node, request: Message, caller: Caller) -> bool:
    """Say whether a sender's number is one of this node.

    Without `from_node` a person named it. With it, the client found it in its environment: that
    may be another node's, and where it does not say which, only the client's descent tells.
    """
    home = request.get("from_node")
    if home:
        return bool(home == node.sessions.node_id)
    if home is None:
        return True
    session = calling_session(caller, node.sessions.registry)
    return session is not None and session.id == request["id"]


def _recipient(node: Node, request: Message) -> Session:
    session_id = request.get("to_id")
    if session_id is None:
        name = (request.get("to_name") or "").removeprefix("@")
        if not name:
            raise RequestError("either to_id or to_name required", BAD_REQUEST)
        return node.sessions.registry.by_name(name)
    session = node.sessions.registry.find(session_id)
    if session is None:
        raise RequestError(f"recipient session {session_id} not found", NO_SUCH_SESSION)
    return session


def _key(request: Message) -> str:
    key = request.get("request_key") or ""
    if len(key) > MAX_KEY_LENGTH:
        text = f"request_key too long (at most {MAX_KEY_LENGTH} characters)"
        raise RequestError(text, TOO_LARGE)
    return str(key)


def ask(node: Node, stream: FrameStream, request: Message, caller: Caller) -> None:
    """Deliver a request and answer with its reply. Raises RequestError when there is no request."""
    asking = Asking(node, Peer(stream), request)
    asking.run(_key(request), lambda: _draft(node, request, "request", caller))


class Asking:
    """One client that waits for the reply to a request; `answered` and `refused` are its words."""

    def __init__(self, node: Node, peer: Peer, asked: Message) -> None:
        self._node = node
        self._peer = peer
        self._asked = asked
        self._note = ""
        self._request: Request
        self._recipient: Session | None = None

    def run(self, key: str, draft: Callable[[], Draft]) -> None:
        """Ask, unless an earlier attempt with this key did, and serve the client. Blocks.

        Raises RequestError when there is no request.
        """
        requests, waker = self._node.mailbox.requests, self._peer.waker
        pending = requests.resume(key, waker)
        try:
            if pending is None:
                pending, self._note = requests.ask(draft(), self._timeout(), waker)
            self._request = pending
            self._serve()
        finally:
            if pending is not None:
                requests.leave(pending, waker)

    def _timeout(self) -> float:
        timeout = min(self._node.timeout(self._asked) or DEFAULT_TIMEOUT_SECONDS, MAX_SECONDS)
        # Whole where it is: so it is shown, and so other versions take it from the journal.
        return int(timeout) if timeout == int(timeout) else timeout

    def _serve(self) -> None:
        recipient = self._recipient = self._node.sessions.registry.find(self._request.to_id)
        if recipient is not None:
            recipient.watch(self._peer.waker)
        try:
            self._peer.run(self._pump)
        finally:
            if recipient is not None:
                recipient.unwatch(self._peer.waker)

    def _pump(self) -> None:
        request, peer = self._request, self._peer
        while not peer.is_gone:
            peer.waker.clear()
            answer = request.answer
            if answer is not None:
                self._send(self.answered(answer))
                return
            failure = self._failure()
            if failure:
                # Left before it is told: from now on the request shows that nobody waits.
                self._node.mailbox.requests.leave(request, peer.waker)
                if request.answer is None:
                    self._send(self.refused(*failure))
                    return
                continue
            peer.wait(max(0.0, self._node.mailbox.requests.seconds_left(request)))

    def _failure(self) -> tuple[str, str] | None:
        """Return why no answer will come for this client, in words and a code; None: one may."""
        request = self._request
        if self._recipient is None or not self._recipient.is_running():
            if not self._node.mailbox.requests.withdraw(request):
                return None
            text = (
                f"session {request.to_id} is not running: it ended before it replied to request "
                f"{request.id}"
            )
            return text, NOT_RUNNING
        if request.is_closed and request.answer is None:
            return f"request {request.id} was withdrawn", NO_SUCH_REQUEST
        if self._node.mailbox.requests.seconds_left(request) <= 0:
            return f"request {request.id} timed out after {request.timeout_seconds}s", TIMED_OUT
        return None

    def _send(self, message: Message) -> None:
        shown = {"request_id": self._request.id, "note": self._note or None}
        self._peer.stream.send_control({**message, **shown})

    def answered(self, answer: Answer) -> Message:
        """Return the answer that brings the reply."""
        return {
            "type": "MsgRequestResult",
            "request_id": self._request.id,
            "reply_body": answer.body,
            "from_id": answer.from_id,
            "from_name": answer.from_name or None,
        }

    def refused(self, text: str, code: str) -> Message:
        """Return the answer that says why there is none."""
        return refusal(text, code, self._asked)


def listen(node: Node, stream: FrameStream, request: Message, caller: Caller) -> None:
    """Stream every message, request and reply, or those that concern one session, each once."""
    if request.get("id") is not None:
        node.session(request)
    peer = Peer(stream)
    subscription = node.sessions.bus.subscribe(request.get("id"), (), MAIL, peer.waker)
    try:
        stream.send_control({"type": "MsgListenAck"})
        peer.run(lambda: _pump_events(peer, subscription))
    finally:
        node.sessions.bus.unsubscribe(subscription)


def _pump_events(peer: Peer, subscription: Subscription) -> None:
    while not peer.is_gone:
        peer.waker.clear()
        lost, events = subscription.take()
        if lost:
            peer.stream.send_control({"type": "EventsLost", "count": lost})
        for event in events:
            found = {"session_id": event.session_id, "event": event.envelope()}
            peer.stream.send_control({"type": "Event", **found})
        if not events:
            peer.wait()


ANSWERS: dict[str, Handler] = {"MsgSend": send, "MsgRead": read, "MsgReply": reply}
STREAMS: dict[str, Streamer] = {"MsgRequest": ask, "MsgListen": listen}
