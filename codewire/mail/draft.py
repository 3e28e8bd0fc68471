"""What goes into the mailbox and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from codewire.mail.letters import Letter
from codewire.mail.party import Party
from codewire.session.session import Session

DELIVERIES = ("inbox", "pty", "both")


@dataclass(frozen=True, slots=True)
class Draft:
    """A message or request to be sent, all of it checked."""

    sender: Party
    recipient: Session
    body: str
    delivery: str = "inbox"
    force: bool = False
    key: str = ""


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
