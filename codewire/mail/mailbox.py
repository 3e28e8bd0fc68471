"""The post office: messages, requests and replies between sessions (spec/wire.md 13.2 and 14).

The only place that writes messages.jsonl. What is told to listeners is on disk already, and in the
same order: one lock is held over an append and the telling, both of which are quick.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from codewire.disk.filing import append_line, sync_file
from codewire.errors import RequestError
from codewire.io.clock import CLOCK
from codewire.io.wait import run_blocking
from codewire.mail import letters
from codewire.mail.delivery import (
    DeliveryFailed,
    DeliveryUnknown,
    Typist,
    WouldBeRun,
    message_text,
    request_text,
)
from codewire.mail.draft import Draft, Inbox, Receipt
from codewire.mail.letters import Letter, new_id
from codewire.mail.party import Party, here
from codewire.mail.pending import Answer, Pending, Request
from codewire.mail.untyped import Untyped
from codewire.paths import DataDir
from codewire.session.events import Event
from codewire.session.lifecycle import Lifecycle
from codewire.session.session import Session
from codewire.wire.codes import (
    BAD_REQUEST,
    BUSY,
    NO_SUCH_REQUEST,
    NOT_RUNNING,
    UNAUTHORISED,
    UNAVAILABLE,
)
from codewire.wire.events import MESSAGE, REPLY, REQUEST
from codewire.wire.texts import go_quote

log = logging.getLogger(__name__)

WITHOUT_TYPING = "; it is in the inbox and was not typed"
HOW_TO_FORCE = "; use the inbox, or force it"

# Message ids remembered for a client that repeats itself, and how long after a worker was killed
# its clients may come back with what they are not sure of.
KEPT_RECEIPTS = 1000
RETRY_SECONDS = 60.0
# Open requests shown beside the messages of an inbox, and their bytes.
MAX_SHOWN_OPEN = 1000
MAX_SHOWN_BYTES = 1 << 20


class Mailbox:
    """All mail of the node. Methods may be called from any greenlet or thread."""

    def __init__(
        self, paths: DataDir, sessions: Lifecycle, sync: Callable[[str], None] = sync_file
    ) -> None:
        """`sync` has what was written to a file on the disk; it blocks and raises OSError."""
        self._sessions = sessions
        self._sync = sync
        self._pending = Pending(paths.requests)
        self._typist = Typist(sessions, Untyped(paths.untyped), self._is_wanted)
        self._lock = threading.Lock()
        self._receipts: OrderedDict[str, Receipt] = OrderedDict()
        self._started = time.monotonic()

    def restore(self) -> None:
        """Bring back what was pending and finish what a killed worker left half done."""
        last = self._pending.load()
        if last is not None:
            self._finish(last)
        for request in self._pending.all():
            self._still_open(request)
        self._typist.restore()

    def _is_wanted(self, letter_id: str) -> bool:
        """Say whether a letter is still to be typed: a request only while it is open."""
        return not letter_id.startswith("req_") or self._pending.find(letter_id) is not None

    def _still_open(self, request: Request | None) -> Request | None:
        """Return an open request if its recipient can still answer it, else forget it."""
        if request is None:
            return None
        recipient = self._sessions.registry.find(request.to_id)
        if recipient is not None and recipient.is_running():
            return request
        self._pending.close(request)
        return None

    def _finish(self, request: Request) -> None:
        """Put the last thing that was journalled into the inboxes it did not reach."""
        answer = request.answer
        kind, sent_ns = (REPLY, answer.sent_ns) if answer else (REQUEST, request.sent_ns)
        data = request.reply_data() if answer else request.data()
        for session_id in {request.to_id, request.from_id}:
            session = self._sessions.registry.find(session_id)
            if session is not None:
                path = letters.messages_path(session)
                if not letters.mentions(path, kind, request.id):
                    event = Event(session_id, (), kind, data, sent_ns)
                    append_line(path, event.envelope(), letters.FILE_BYTES // 2)

    # Messages

    def send(self, draft: Draft) -> Receipt:
        """Deliver a message. Raises RequestError.

        Blocks for a terminal that takes no input, but some seconds at most.
        """
        _check_running(draft.recipient)
        text = message_text(draft.sender.label(), draft.body)
        if draft.delivery == "pty":
            return self._send_typed(draft, text)
        message_id = new_id("msg_", draft.key)
        earlier = self._sent_earlier(draft, message_id)
        if earlier is not None:
            return earlier
        data = {
            "message_id": message_id,
            **draft.sender.fields("from"),
            **here(draft.recipient).fields("to"),
            "body": draft.body,
        }
        with self._lock:
            sent_ns = time.time_ns()
            self._post(MESSAGE, data, sent_ns, (draft.recipient, draft.sender.session))
            receipt = self._remember(draft, Receipt(message_id, sent_ns, "inbox", ""))
        self._confirm(letters.messages_path(draft.recipient))
        if draft.delivery == "both":
            try:
                typed = self._typist.type(draft.recipient, text, draft.force, message_id)
                said = "waiting" if typed.is_waiting else "yes"
                receipt = receipt._replace(delivered="both", note=typed.note, typed=said)
            except DeliveryUnknown as error:
                receipt = receipt._replace(note=f"{error}; it is in the inbox")
            except RequestError as error:
                receipt = receipt._replace(note=f"{error}{WITHOUT_TYPING}")
            self._remember(draft, receipt)
        return receipt

    def _send_typed(self, draft: Draft, text: str) -> Receipt:
        """Type a message that no inbox keeps."""
        sent_ns = time.time_ns()
        try:
            typed = self._typist.type(draft.recipient, text, draft.force)
        except WouldBeRun as error:
            raise RequestError(f"{error}{HOW_TO_FORCE}", BUSY) from error
        return Receipt(
            f"msg_{draft.sender.id}_{draft.recipient.id}_{sent_ns}",
            sent_ns,
            "pty",
            typed.note,
            "waiting" if typed.is_waiting else "yes",
        )

    def _remember(self, draft: Draft, receipt: Receipt) -> Receipt:
        if draft.key:
            self._receipts[receipt.id] = receipt
            while len(self._receipts) > KEPT_RECEIPTS:
                self._receipts.popitem(last=False)
        return receipt

    def _sent_earlier(self, draft: Draft, message_id: str) -> Receipt | None:
        """Return the receipt of an earlier attempt to send this very message."""
        receipt = self._receipts.get(message_id)
        if receipt is not None or not draft.key:
            return receipt
        if time.monotonic() - self._started > RETRY_SECONDS:
            return None
        path = letters.messages_path(draft.recipient)
        if not letters.mentions(path, MESSAGE, message_id):
            return None
        is_waiting = self._typist.is_waiting(message_id)
        place, typed = ("both", "waiting") if is_waiting else ("inbox", "")
        return Receipt(message_id, time.time_ns(), place, "", typed)

    def _confirm(self, path: str) -> None:
        """Have a letter on the disk. The lock is not held: nobody else waits for the disk."""
        try:
            try:
                run_blocking(self._sync, path)
            except FileNotFoundError:
                # The letter was the last one that had room.
                run_blocking(self._sync, f"{path}.1")
        except OSError as error:
            log.error("syncing %s failed: %s", path, error.strerror)
            raise RequestError(
                "the message could not be stored: see the node's log", UNAVAILABLE
            ) from error

    # Requests

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
        _check_running(draft.recipient)
        if draft.delivery == "pty" and not draft.force:
            # Looked at before there is anything to withdraw.
            self._check_no_shell(draft.recipient)
        request = self._new_request(draft, timeout_seconds)
        with self._lock:
            request.wakers.append(waker)
            self._pending.open(request)
            try:
                places = (draft.recipient, draft.sender.session)
                self._post(REQUEST, request.data(), request.sent_ns, places)
            except RequestError:
                self._pending.close(request)
                raise
        if not self._pending.sync():
            self.withdraw(request)
            raise RequestError("the request could not be stored: see the node's log", UNAVAILABLE)
        self._pending.shorten(self._lock)
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

        Who may answer: spec/wire.md 14.4.
        """
        if not request_id:
            raise RequestError("missing request_id", BAD_REQUEST)
        if not sender.id and not token.strip():
            raise RequestError("missing sender identity or reply_token", BAD_REQUEST)
        with self._lock:
            request = self._still_open(self._pending.find(request_id))
            if request is None:
                self._check_replied_earlier(request_id, key)
                return True
            _check_replier(request, sender.id, token)
            answer = Answer(request.to_id, request.to_name, body, key, time.time_ns())
            is_awaited = bool(request.wakers)
            self._pending.answer(request, answer)
            find = self._sessions.registry.find
            places = (find(request.to_id), find(request.from_id))
            self._post(REPLY, request.reply_data(), answer.sent_ns, places, is_kept=True)
        if not self._pending.sync():
            raise RequestError(
                "the reply is not known to be on the disk: see the node's log", UNAVAILABLE
            )
        self._pending.shorten(self._lock)
        return is_awaited

    def _check_replied_earlier(self, request_id: str, key: str) -> None:
        """Raise RequestError unless this very reply was accepted before."""
        request = self._pending.recent(request_id)
        if request is None or request.answer is None or not key or request.answer.key != key:
            raise RequestError(
                f"no pending request with ID {go_quote(request_id)}", NO_SUCH_REQUEST
            )

    # Reading

    def read(self, session: Session, count: int) -> Inbox:
        """Return the last `count` messages of a session (0: all). Raises RequestError."""
        try:
            messages, is_cut = letters.read_inbox(letters.messages_path(session), count)
        except FileNotFoundError:
            messages, is_cut = [], False
        except OSError as error:
            raise RequestError(f"failed to read messages: {error.strerror}", UNAVAILABLE) from error
        with self._lock:
            for letter in messages:
                if letter["type"] == REQUEST:
                    found = self._pending.find(letter.get("request_id", ""))
                    _mark(letter, self._still_open(found))
            return Inbox(messages, self._open_requests(session), is_cut)

    def _open_requests(self, session: Session) -> list[Letter]:
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

    def _post(
        self,
        kind: str,
        data: dict[str, Any],
        sent_ns: int,
        places: Iterable[Session | None],
        is_kept: bool = False,
    ) -> None:
        """Write one letter into the inboxes of `places`, the first being the one that matters.

        Then tell listeners, each once. The lock is held. Raises RequestError when the disk refuses
        the first, unless the letter `is_kept` elsewhere.
        """
        sessions = {session.id: session for session in places if session is not None}
        events = [
            Event(session.id, tuple(session.record.tags), kind, data, sent_ns)
            for session in sessions.values()
        ]
        for number, event in enumerate(events):
            path = letters.messages_path(sessions[event.session_id])
            is_written = append_line(path, event.envelope(), letters.FILE_BYTES // 2)
            if not is_written and number == 0 and not is_kept:
                raise RequestError(
                    "the message could not be stored: see the node's log", UNAVAILABLE
                )
        self._sessions.bus.tell(events)
        log.debug("session %s: %s", next(iter(sessions), 0), kind)


def _check_running(session: Session) -> None:
    if not session.is_running():
        raise RequestError(f"session {session.id} is not running", NOT_RUNNING)


def _check_replier(request: Request, sender_id: int, token: str) -> None:
    if token.strip():
        given, wanted = token.encode("utf-8", "replace"), request.token.encode()
        if not hmac.compare_digest(given, wanted):
            text = f"invalid reply token for request {go_quote(request.id)}"
            raise RequestError(text, UNAUTHORISED)
    elif sender_id != request.to_id:
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
