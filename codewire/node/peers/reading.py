"""MsgRead and MsgListen of the peer RPC: a session's messages, by a grant.

Tokens by which requests are answered go to nobody who only looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.credentials.grants import LISTEN, READ
from codewire.errors import RequestError
from codewire.mail.letters import Letter
from codewire.node.handlers.messages import DEFAULT_TAIL
from codewire.node.handlers.peer import Peer
from codewire.node.peers.observing import Observed, observe
from codewire.wire.codes import BUSY, code_of
from codewire.wire.events import MAIL
from codewire.wire.peers import ERROR, EVENT

if TYPE_CHECKING:
    from codewire.node.context import Message
    from codewire.node.peers.visit import PeerHandler, PeerStreamer, Visit
    from codewire.session.events import Event, Subscription

# How often what a grant depends on is looked at while nothing happens.
LOOK_SECONDS = 5.0


def read(visit: Visit, request: Message) -> Message:
    """The last messages of an inbox, oldest first; none or a negative `tail` is all."""
    session = observe(visit, request, READ).session
    tail = request.get("tail", DEFAULT_TAIL)
    inbox = visit.node.mailbox.read(session, max(0, tail))
    return {
        "session": visit.place(session),
        "messages": list(map(_shown, inbox.messages)),
        # Ours: what waits for the session's reply, and whether older messages did not fit.
        "open_requests": list(map(_shown, inbox.open_requests)) or None,
        "cut": inbox.is_cut or None,
    }


def listen(visit: Visit, request: Message) -> None:
    """Stream what a session sends and gets, for as long as the grant holds."""
    Listener(visit, request).run()


class Listener:
    """One visitor that listens to one session."""

    def __init__(self, visit: Visit, request: Message) -> None:
        self._visit = visit
        self._request = request
        self._observed: Observed = observe(visit, request, LISTEN)
        self._peer = Peer(visit.stream)

    def run(self) -> None:
        """Serve until the visitor goes or may listen no longer. Blocks."""
        bus, session = self._visit.node.sessions.bus, self._observed.session
        subscription = bus.subscribe(session.id, (), MAIL, self._peer.waker)
        self._visit.gate.watch(self._peer.waker)
        try:
            self._answer("MsgListenAck", session=self._visit.place(session))
            self._peer.run(lambda: self._pump(subscription))
        finally:
            self._visit.gate.unwatch(self._peer.waker)
            bus.unsubscribe(subscription)

    def _pump(self, subscription: Subscription) -> None:
        peer = self._peer
        while not peer.is_gone:
            peer.waker.clear()
            try:
                self._observed.check()
                events = _take(subscription)
                if events:
                    self._observed.check_policy()
            except RequestError as error:
                self._answer(ERROR, error=str(error), code=code_of(error) or None)
                return
            for event in events:
                self._send(event)
            if not events:
                peer.wait(min(LOOK_SECONDS, self._observed.seconds_left() + 0.01))

    def _send(self, event: Event) -> None:
        place = self._visit.place(self._observed.session)
        self._answer(EVENT, session=place, event=_without_token(event.envelope()))

    def _answer(self, kind: str, **fields: Any) -> None:
        self._visit.answer(self._request, {"type": kind, **fields})


def _take(subscription: Subscription) -> list[Event]:
    """Return what has happened. Raises RequestError where the visitor was too slow for it."""
    lost, events = subscription.take()
    if lost:
        # The RPC has no word for it that other programs would not take for something else.
        raise RequestError(f"{lost} messages lost: this reader was too slow", BUSY)
    return events


def _shown(letter: Letter) -> Letter:
    return {name: value for name, value in letter.items() if name != "reply_token"}


def _without_token(envelope: dict[str, Any]) -> dict[str, Any]:
    return {**envelope, "data": _shown(envelope["data"])}


ANSWERS: dict[str, PeerHandler] = {"MsgRead": read}
STREAMS: dict[str, PeerStreamer] = {"MsgListen": listen}
