"""Requests between sessions and their replies (spec/wire.md 14): asked, answered, withdrawn."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Iterable

from codewire.errors import RequestError
from codewire.io.clock import CLOCK
from codewire.mail import letters
from codewire.mail.delivery import (
    HOW_TO_FORCE,
    WITHOUT_TYPING,
    DeliveryFailed,
    DeliveryUnknown,
    Typist,
    WouldBeRun,
    check_running,
    request_text,
)
from codewire.mail.draft import Draft
from codewire.mail.letters import Letter, new_id
from codewire.mail.party import Party
from codewire.mail.pending import Answer, Pending, Request
from codewire.mail.posting import Posting
from codewire.session.events import Event
from codewire.session.lifecycle import Lifecycle
from codewire.session.session import Session
from codewire.session.turns import Turns
from codewire.wire.codes import (
    BAD_REQUEST,
    BUSY,
    NO_SUCH_REQUEST,
    UNAUTHORISED,
    UNAVAILABLE,
)
from codewire.wire.events import REPLY, REQUEST
from codewire.wire.texts import go_quote

# Open requests shown beside the messages of an inbox, and their bytes.
MAX_SHOWN_OPEN = 1000
MAX_SHOWN_BYTES = 1 << 20
# How long a reply waits for another one to the same request.
REPLY_SECONDS = 30.0


class Requests:
    """The open requests of the node. Methods may be called from any greenlet or thread."""

    def __init__(
        self, sessions: Lifecycle, pending: Pending, posting: Posting, typist: Typist
    ) -> None:
        self._sessions = sessions
        self._pending = pending
        self._posting = posting
        self._typist = typist
        self._lock = pending.lock
        self._replies = Turns()

    def restore(self) -> None:
        """Bring back what was pending and finish what a killed worker left half done."""
        self._posting.finish(self._pending.load())
        with self._lock:
            for request in self._pending.all():
                self._still_open(request)

    def _still_open(self, request: Request | None) -> Request | None:
        """Return an open request if its recipient can still answer it, else forget it."""
        if request is None:
            return None
        recipient = self._sessions.registry.find(request.to_id)
        if recipient is not None and recipient.is_running():
            return request
        self._pending.close(request)
        return None

    # Asking

    def seconds_left(self, request: Request) -> float:
        """Return how long the callers of a request still wait for its answer."""
        return self._pending.seconds_left(request)

    def resume(self, key: str, waker: threading.Event) -> Request | None:
        """Return the request an earlier attempt made, and have `waker` set on news of it."""
        if not key:
            return None
        with self._lock:
            request = self._pending.recent(new_id("req_", key))
            if request is not None:
                request.wakers.append(waker)
        return request

    def ask(
        self, draft: Draft, timeout_seconds: float, waker: threading.Event
    ) -> tuple[Request, str]:
        """Deliver a request; `waker` is set on news of it until `leave`.

        Return it with a note on how it was delivered, "" if as wanted. Blocks for a terminal for
        some seconds at most. Raises RequestError; then there is no request.
        """
        check_running(draft.recipient)
        if draft.delivery == "pty" and not draft.force:
            # Looked at before there is anything to withdraw.
            self._check_no_shell(draft.recipient)
        request = self._new_request(draft, timeout_seconds)
        request.wakers.append(waker)
        with self._lock:
            line = self._pending.open(request)
        try:
            if not self._pending.commit(line):
                text = f"the request could not be stored: {line.problem}"
                raise RequestError(text, UNAVAILABLE)
            places = (draft.recipient, draft.sender.session)
            self._posting.post(REQUEST, request.data(), request.sent_ns, places)
        except RequestError:
            self.withdraw(request)
            raise
        return request, self._type_request(draft, request)

    def _check_no_shell(self, recipient: Session) -> None:
        try:
            self._typist.check(recipient)
        except WouldBeRun as error:
            raise RequestError(f"{error}{HOW_TO_FORCE}", BUSY) from error

    def _new_request(self, draft: Draft, timeout_seconds: float) -> Request:
        now = CLOCK.now()
        return Request(
            id=new_id("req_", draft.key),
            token=new_id("rpl_"),
            from_id=draft.sender.id,
            from_name=draft.sender.shown(),
            to_id=draft.recipient.id,
            to_name=draft.recipient.record.name,
            body=draft.body,
            sent_ns=now.wall_ns,
            timeout_seconds=timeout_seconds,
            steady_ns=now.steady_ns,
            boot=now.boot,
        )

    def _type_request(self, draft: Draft, request: Request) -> str:
        if draft.delivery == "inbox":
            return ""
        text = request_text(request.id, draft.sender.label(), draft.body)
        try:
            # With pty it is refused at a dialog: nobody would look for it in the inbox.
            kept_as = request.id if draft.delivery == "both" else ""
            return self._typist.type(draft.recipient, text, draft.force, kept_as).note
        except DeliveryUnknown as error:
            # It may be on the screen, so it can be answered.
            return f"{error}; it is in the inbox"
        except (WouldBeRun, DeliveryFailed) as error:
            if draft.delivery == "both" and draft.recipient.is_running():
                return f"{error}{WITHOUT_TYPING}"
            self.withdraw(request)
            raise RequestError(f"PTY injection failed: {error}") from error

    def leave(self, request: Request, waker: threading.Event) -> None:
        """Stop waiting. The request stays open: an answer still reaches the inboxes."""
        with self._lock:
            request.wakers = [other for other in request.wakers if other is not waker]

    def withdraw(self, request: Request) -> bool:
        """Forget a request; False when it has been answered meanwhile."""
        with self._lock:
            self._pending.close(request)
            return request.answer is None

    # Replies

    def reply(self, request_id: str, body: str, sender: Party, token: str, key: str) -> bool:
        """Answer an open request; say whether anyone was waiting. Raises RequestError.

        Who may answer: spec/wire.md 14.4. A session of another node never is the one that was
        asked, whatever its number.
        """
        if not request_id:
            raise RequestError("missing request_id", BAD_REQUEST)
        if not sender.id and not sender.node and not token.strip():
            raise RequestError("missing sender identity or reply_token", BAD_REQUEST)
        with self._replies.take(request_id, REPLY_SECONDS) as has_turn:
            if not has_turn:
                raise RequestError("another reply to it is still being stored", BUSY)
            return self._reply(request_id, body, sender, token, key)

    def _reply(self, request_id: str, body: str, sender: Party, token: str, key: str) -> bool:
        with self._lock:
            request = self._still_open(self._pending.find(request_id))
            if request is None:
                self._check_replied_earlier(request_id, key)
                return True
            _check_replier(request, sender, token)
            answer = Answer(request.to_id, request.to_name, body, key, time.time_ns())
            is_awaited = bool(request.wakers)
            line = self._pending.answer(request, answer)
        is_synced = self._pending.commit(line)
        if not line.is_written:
            raise RequestError(f"the reply could not be stored: {line.problem}", UNAVAILABLE)
        find = self._sessions.registry.find
        places = (find(request.to_id), find(request.from_id))
        self._posting.post(REPLY, request.reply_data(), answer.sent_ns, places, is_kept=True)
        if not is_synced:
            raise RequestError(
                f"the reply is not known to be on the disk: {line.problem}", UNAVAILABLE
            )
        return is_awaited

    def _check_replied_earlier(self, request_id: str, key: str) -> None:
        """Raise RequestError unless this very reply was accepted before."""
        request = self._pending.recent(request_id)
        if request is None or request.answer is None or not key or request.answer.key != key:
            raise RequestError(
                f"no pending request with ID {go_quote(request_id)}", NO_SUCH_REQUEST
            )

    # Reading

    def open_letters(self, session: Session, messages: Iterable[Letter]) -> list[Letter]:
        """Mark those of a session's messages that are open requests; return all open ones to it."""
        with self._lock:
            for letter in messages:
                if letter["type"] == REQUEST:
                    found = self._pending.find(letter.get("request_id", ""))
                    _mark(letter, self._still_open(found))
            return self._open_letters(session)

    def _open_letters(self, session: Session) -> list[Letter]:
        found: list[Letter] = []
        size = 0
        addressed = (r for r in self._pending.all() if r.to_id == session.id)
        for request in filter(self._still_open, addressed):
            size += len(request.body)
            if len(found) >= MAX_SHOWN_OPEN or size > MAX_SHOWN_BYTES:
                break
            event = Event(session.id, (), REQUEST, request.data(), request.sent_ns)
            letter = letters.letter_of(event.envelope())
            if letter is None:
                continue
            _mark(letter, request)
            found.append(letter)
        return found


def _check_replier(request: Request, sender: Party, token: str) -> None:
    if token.strip():
        given, wanted = token.encode("utf-8", "replace"), request.token.encode()
        if not hmac.compare_digest(given, wanted):
            text = f"invalid reply token for request {go_quote(request.id)}"
            raise RequestError(text, UNAUTHORISED)
    elif sender.node or sender.id != request.to_id:
        raise RequestError(
            f"request {go_quote(request.id)} may only be replied to by session {request.to_id}",
            UNAUTHORISED,
        )


def _mark(letter: Letter, request: Request | None) -> None:
    """Add to a request what its line on disk does not say: that it is open, for whom."""
    if request is not None:
        letter["open"] = True
        if not request.wakers:
            letter["caller_gone"] = True
