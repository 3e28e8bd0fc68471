"""What a node says of messages between sessions, and of keys they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.wire.answers.reading import NOTHING_SENT, read


class Message(NamedTuple):
    """A message, a request or a reply, by `type`; ids are 0 for nobody.

    `open`: it still waits for a reply; `caller_gone`: although nobody waits for that any more.
    """

    from_id: int = 0
    to_id: int = 0
    from_name: str = ""
    to_name: str = ""
    message_id: str = ""
    timestamp: str = ""
    type: str = ""
    body: str = ""
    request_id: str = ""
    reply_token: str = ""
    open: bool = False
    caller_gone: bool = False
    sent: Mapping[str, Any] = NOTHING_SENT


def read_messages(sent: Any) -> tuple[Message, ...]:
    """Return the messages of a list. Raises ProtocolError."""
    return tuple(
        read(Message, one, from_id=one.get("from") or 0, to_id=one.get("to") or 0)
        for one in sent or ()
        if isinstance(one, dict)
    )


class Inbox(NamedTuple):
    """A session's messages, oldest first, sent ones included, and the requests it has to answer.

    `cut`: older messages were too much for one answer.
    """

    messages: tuple[Message, ...]
    open_requests: tuple[Message, ...]
    cut: bool = False
    sent: Mapping[str, Any] = NOTHING_SENT


class MessageSent(NamedTuple):
    """A message is on its way: `delivered` to inbox, pty or both; `note` says why not elsewhere.

    `typed` says how far its text has come in the recipient's terminal.
    """

    message_id: str = ""
    delivered: str = ""
    note: str = ""
    typed: str = ""
    sent: Mapping[str, Any] = NOTHING_SENT


class Reply(NamedTuple):
    """The reply to a request. `note` says if that was delivered otherwise than asked."""

    request_id: str = ""
    reply_body: str = ""
    from_id: int = 0
    from_name: str = ""
    note: str = ""
    sent: Mapping[str, Any] = NOTHING_SENT


class ReplySent(NamedTuple):
    """A reply was sent; `note` says if nobody waits for it any more."""

    request_id: str = ""
    note: str = ""
    sent: Mapping[str, Any] = NOTHING_SENT


class Entry(NamedTuple):
    """A key and its value; `expires_at` is "" for one that stays."""

    key: str = ""
    value: bytes = b""
    expires_at: str = ""
    sent: Mapping[str, Any] = NOTHING_SENT
