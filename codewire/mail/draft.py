"""What goes into the mailbox and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from codewire.errors import RequestError
from codewire.mail.letters import Letter
from codewire.mail.party import Party
from codewire.session.session import Session
from codewire.wire.codes import BAD_REQUEST
from codewire.wire.texts import go_quote

INBOX = "inbox"
DELIVERIES = (INBOX, "pty", "both")


def check_delivery(delivery: str | None) -> str:
    """Return how something is to be delivered, INBOX where nobody says. Raises RequestError."""
    found = delivery or INBOX
    if found not in DELIVERIES:
        known = f"{', '.join(DELIVERIES[:-1])} or {DELIVERIES[-1]}"
        text = f"unknown delivery mode {go_quote(found)}: use {known}"
        raise RequestError(text, BAD_REQUEST)
    return found


@dataclass(frozen=True, slots=True)
class Draft:
    """A message or request to be sent, all of it checked.

    The same `key` is the same message, sent again. Whoever knows that this is not the first attempt
    says so (`is_repeat`): then it is looked for however long ago the first one was.
    """

    sender: Party
    recipient: Session
    body: str
    delivery: str = INBOX
    force: bool = False
    key: str = ""
    is_repeat: bool = False


class Receipt(NamedTuple):
    """What became of a message: where it went, and why not elsewhere. Time: nanoseconds.

    `typed` is yes, waiting (for the end of a dialog) or "".
    """

    id: str
    sent_ns: int
    delivered: str
    note: str
    typed: str = ""


class Inbox(NamedTuple):
    """Messages oldest first, open requests to the session, and whether older ones were cut off."""

    messages: list[Letter]
    open_requests: list[Letter]
    is_cut: bool
