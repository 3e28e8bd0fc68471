"""The post office: messages between sessions (spec/wire.md 13.2 and 14), and reading inboxes.

What is confirmed is on the disk. Requests have a module of their own (requests.py).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from codewire.errors import RequestError
from codewire.mail import letters
from codewire.mail.delivery import (
    HOW_TO_FORCE,
    WITHOUT_TYPING,
    DeliveryUnknown,
    Typist,
    WouldBeRun,
    check_running,
    message_text,
)
from codewire.mail.draft import Draft, Inbox, Receipt
from codewire.mail.letters import new_id
from codewire.mail.party import here
from codewire.mail.pending import Pending
from codewire.mail.posting import Posting
from codewire.mail.requests import Requests
from codewire.mail.untyped import Untyped
from codewire.paths import DataDir
from codewire.session.lifecycle import Lifecycle
from codewire.session.session import Session
from codewire.session.turns import Turns
from codewire.wire.codes import BUSY, UNAVAILABLE
from codewire.wire.events import MESSAGE

# Message ids remembered for a client that repeats itself, and how long after a worker was killed
# its clients may come back with what they are not sure of.
KEPT_RECEIPTS = 1000
RETRY_SECONDS = 60.0
# How long a message that is sent again waits for its first attempt to be stored.
STORE_SECONDS = 30.0


class Mailbox:
    """All mail of the node. Methods may be called from any greenlet or thread."""

    def __init__(self, paths: DataDir, sessions: Lifecycle) -> None:
        self._pending = Pending(paths.requests, scribe=sessions.scribe)
        self._typist = Typist(sessions, Untyped(paths.untyped), self._is_wanted)
        self._posting = Posting(sessions)
        self.requests = Requests(sessions, self._pending, self._posting, self._typist)
        self._attempts = Turns()
        self._lock = threading.Lock()
        self._receipts: OrderedDict[str, Receipt] = OrderedDict()
        self._started = time.monotonic()

    def restore(self) -> None:
        """Bring back what was pending and finish what a killed worker left half done."""
        self.requests.restore()
        self._typist.restore()

    def _is_wanted(self, letter_id: str) -> bool:
        """Say whether a letter is still to be typed: a request only while it is open."""
        return not letter_id.startswith("req_") or self._pending.find(letter_id) is not None

    # Sending

    def send(self, draft: Draft) -> Receipt:
        """Deliver a message. Raises RequestError.

        Blocks for a terminal that takes no input, but some seconds at most.
        """
        check_running(draft.recipient)
        text = message_text(draft.sender.label(), draft.body)
        if draft.delivery == "pty":
            return self._send_typed(draft, text)
        message_id = new_id("msg_", draft.key)
        with self._attempts.take(draft.key, STORE_SECONDS) as has_turn:
            if not has_turn:
                raise RequestError("the same message is still being stored", BUSY)
            earlier = self._sent_earlier(draft, message_id)
            if earlier is not None:
                return earlier
            receipt = self._store(draft, message_id)
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

    def _store(self, draft: Draft, message_id: str) -> Receipt:
        """Put a message into the inboxes. Blocks for the disk. Raises RequestError."""
        data = {
            "message_id": message_id,
            **draft.sender.fields("from"),
            **here(draft.recipient).fields("to"),
            "body": draft.body,
        }
        sent_ns = time.time_ns()
        places = (draft.recipient, draft.sender.session)
        self._posting.post(MESSAGE, data, sent_ns, places, is_synced=True)
        return self._remember(draft, Receipt(message_id, sent_ns, "inbox", ""))

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
            with self._lock:
                self._receipts[receipt.id] = receipt
                while len(self._receipts) > KEPT_RECEIPTS:
                    self._receipts.popitem(last=False)
        return receipt

    def _sent_earlier(self, draft: Draft, message_id: str) -> Receipt | None:
        """Return the receipt of an earlier attempt to send this very message."""
        receipt = self._receipts.get(message_id)
        if receipt is not None or not draft.key:
            return receipt
        if time.monotonic() - self._started > RETRY_SECONDS and not draft.is_repeat:
            return None
        path = draft.recipient.messages.path
        if not letters.mentions(path, MESSAGE, message_id):
            return None
        is_waiting = self._typist.is_waiting(message_id)
        place, typed = ("both", "waiting") if is_waiting else ("inbox", "")
        return Receipt(message_id, time.time_ns(), place, "", typed)

    # Reading

    def read(self, session: Session, count: int) -> Inbox:
        """Return the last `count` messages of a session (0: all). Raises RequestError."""
        try:
            messages, is_cut = letters.read_inbox(session.messages.path, count)
        except FileNotFoundError:
            messages, is_cut = [], False
        except OSError as error:
            raise RequestError(f"failed to read messages: {error.strerror}", UNAVAILABLE) from error
        return Inbox(messages, self.requests.open_letters(session, messages), is_cut)
