"""Subscribe and Wait: what happens to sessions, as it happens (wire.md 9.4, 9.5)."""

from __future__ import annotations

from codewire.errors import ProtocolError, RequestError
from codewire.io.deadline import Deadline
from codewire.io.streams import FrameStream
from codewire.node.caller import Caller
from codewire.node.context import Message, Node, Streamer, refusal
from codewire.node.handlers.peer import Peer
from codewire.node.handlers.views import session_infos, session_status
from codewire.session.agentstate import STATES
from codewire.session.events import Subscription
from codewire.session.lookout import is_starting, shown_state
from codewire.session.session import Session
from codewire.wire import events
from codewire.wire.codes import BAD_REQUEST, TIMED_OUT
from codewire.wire.control import decode_control
from codewire.wire.events import MAIL
from codewire.wire.frames import CONTROL
from codewire.wire.requests import MSG_LISTEN

DEFAULT_WAIT_SECONDS = 24 * 3600
# How often one that is too new to be called idle is looked at.
EARLY_SECONDS = 0.1


def subscribe(node: Node, stream: FrameStream, request: Message, caller: Caller) -> None:
    """Stream events until the client unsubscribes or goes."""
    Subscriber(node, stream, caller).run(request)


class Subscriber:
    """One client of the event bus."""

    def __init__(self, node: Node, stream: FrameStream, caller: Caller) -> None:
        self._bus = node.sessions.bus
        self._stream = stream
        # Mail is seen by who may listen to it, whatever it is called.
        self._hidden = () if MSG_LISTEN in caller.verbs else MAIL
        self._peer = Peer(stream)
        self._unsubscribing = False

    def run(self, request: Message) -> None:
        """Serve the client. Blocks."""
        subscription = self._bus.subscribe(
            request.get("id"),
            request.get("tags") or (),
            request.get("event_types") or (),
            self._peer.waker,
        )
        try:
            ack = {"type": "SubscribeAck", "subscription_id": subscription.number}
            self._stream.send_control(ack)
            self._peer.run(
                lambda: self._pump(subscription), self._on_frame, on_half_close=self._unsubscribe
            )
        finally:
            self._bus.unsubscribe(subscription)

    def _on_frame(self, kind: int, payload: bytes) -> None:
        try:
            message = decode_control(payload) if kind == CONTROL else {}
        except ProtocolError:
            return
        if message.get("type") == "Unsubscribe":
            self._unsubscribe()

    def _unsubscribe(self) -> None:
        self._unsubscribing = True
        self._peer.waker.set()

    def _pump(self, subscription: Subscription) -> None:
        while not self._peer.is_gone:
            self._peer.waker.clear()
            lost, events = subscription.take()
            if lost:
                self._stream.send_control({"type": "EventsLost", "count": lost})
            for event in events:
                if event.type in self._hidden:
                    continue
                self._stream.send_control(
                    {
                        "type": "Event",
                        "subscription_id": subscription.number,
                        "session_id": event.session_id,
                        "event": event.envelope(),
                    }
                )
            if self._unsubscribing:
                self._stream.send_control({"type": "Unsubscribed"})
                return
            if not events:
                self._peer.wait()


def wait(node: Node, stream: FrameStream, request: Message, caller: Caller) -> None:
    """Answer Wait once its sessions have ended, or with `wait timed out`. Raises RequestError."""
    Waiter(node, stream, request).run()


class Waiter:
    """One pending Wait."""

    def __init__(self, node: Node, stream: FrameStream, request: Message) -> None:
        self._node = node
        self._stream = stream
        self._request = request
        self._peer = Peer(stream)
        self._condition = request.get("condition") or "all"
        if self._condition not in ("all", "any"):
            raise RequestError(
                f'unknown condition "{self._condition}": use all or any', BAD_REQUEST
            )
        self._tags = request.get("tags") or []
        self._target = node.session(request) if request.get("id") is not None else None
        if self._target is None and not self._tags:
            raise RequestError("wait needs a session id or at least one tag", BAD_REQUEST)
        self._idle_seconds: float | None = None
        if request.get("idle_ms") is not None:
            if self._target is None:
                raise RequestError("waiting for a session to be idle needs its id", BAD_REQUEST)
            self._idle_seconds = request["idle_ms"] / 1000
        self._states = frozenset(request.get("states") or ())
        unknown = sorted(self._states.difference(STATES))
        if unknown:
            raise RequestError(f'unknown state "{unknown[0][:40]}": use {", ".join(STATES)}')
        # Whether one of them is too new to be called idle.
        self._is_early = False
        self._deadline = Deadline.after(node.timeout(request) or DEFAULT_WAIT_SECONDS)

    def run(self) -> None:
        """Serve the client. Blocks."""
        bus = self._node.sessions.bus
        types = (events.CREATED, events.STATUS, *([events.STATE] * bool(self._states)))
        session_id = self._target.id if self._target is not None else None
        tags = () if self._target is not None else self._tags
        subscription = bus.subscribe(session_id, tags, types, self._peer.waker)
        try:
            self._peer.run(lambda: self._pump(subscription), outlives_half_close=True)
        finally:
            bus.unsubscribe(subscription)

    def _pump(self, subscription: Subscription) -> None:
        while not self._peer.is_gone:
            self._peer.waker.clear()
            subscription.take()
            sessions = self._matching()
            if self._is_satisfied(sessions):
                self._stream.send_control({"type": "WaitResult", "sessions": self._infos(sessions)})
                return
            if self._deadline.expired:
                self._stream.send_control(refusal("wait timed out", TIMED_OUT, self._request))
                return
            pause = EARLY_SECONDS if self._is_early else self._until_idle()
            self._peer.wait(self._deadline.within(pause).left())

    def _until_idle(self) -> float | None:
        """Return how soon the session may have been idle for long enough, None for never."""
        if self._idle_seconds is None or self._target is None:
            return None
        return max(0.01, self._idle_seconds - self._target.idle_seconds())

    def _matching(self) -> list[Session]:
        if self._target is not None:
            return [self._target]
        return self._node.sessions.registry.tagged(self._tags)

    def _is_satisfied(self, sessions: list[Session]) -> bool:
        if (
            self._idle_seconds is not None
            and self._target is not None
            and self._target.idle_seconds() >= self._idle_seconds
        ):
            return True
        if self._states:
            return self._has_states(sessions)
        ended = [not session.is_running() for session in sessions]
        return bool(ended) and (any(ended) if self._condition == "any" else all(ended))

    def _has_states(self, sessions: list[Session]) -> bool:
        """Say whether all or any are in one of the states, or none can come to be any more."""
        if sessions and not any(session.is_running() for session in sessions):
            return True
        early = [is_starting(session) for session in sessions]
        self._is_early = any(early)
        found = [
            shown_state(session).state in self._states and not is_early
            for session, is_early in zip(sessions, early, strict=True)
        ]
        return bool(found) and (any(found) if self._condition == "any" else all(found))

    def _infos(self, sessions: list[Session]) -> list[Message]:
        if self._target is not None:
            return [session_status(self._node, self._target)]
        return session_infos(self._node, sessions)


STREAMS: dict[str, Streamer] = {"Subscribe": subscribe, "Wait": wait}
