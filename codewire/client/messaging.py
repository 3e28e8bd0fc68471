"""The part of Client that sessions talk through: mail and shared keys (spec/wire.md 14 and 15).

Whatever is sent carries a key of its own, so that it can be sent again when the worker is replaced
before it has answered, and still arrives once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.client.numbers import MAX_U32, checked_id, seconds, whole_number
from codewire.client.reach.asking import Asker, deadline_behind
from codewire.client.reach.connection import check_answer, field, timeout_fields
from codewire.errors import OutOfTime, RequestTimedOut, UsageError
from codewire.wire.answers.reading import read
from codewire.wire.control import decode_bytes, encode_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codewire.client.abroad import Abroad
    from codewire.client.observing import Observed, Observing
    from codewire.io.streams import FrameStream
    from codewire.wire.answers.events import Happening
    from codewire.wire.answers.messages import (
        Entry,
        Inbox,
        MessageSent,
        Reply,
        ReplySent,
    )

# What a node takes where no time-out is given (spec/wire.md 5).
DEFAULT_REQUEST_SECONDS = 60

DELIVERIES = ("auto", "inbox", "pty", "both")


class Messaging(Asker):
    """What Client adds to its own requests. Sessions are named by id or by name."""

    # Messages

    def msg(
        self,
        to: int | str,
        body: str,
        *,
        sender: int | None = None,
        sender_node: str | None = None,
        delivery: str = "auto",
        force: bool = False,
    ) -> MessageSent:
        """Send a message of at most 64 KiB and return what became of it.

        `to` may be a session of another node of this one's network: `dev-1:coder`. Then a session
        sends, auto is the inbox, and nothing is forced.

        `delivery` is inbox, pty (typed into its terminal, not kept), both, or auto: both if there
        is a sender, else inbox. In the answer `delivered` says where it went and `note`, if any,
        why not elsewhere: text is not typed where a shell would run it, unless `force` is set.
        `sender_node` is the CW_NODE_ID beside a sender that was found as CW_SESSION_ID: the node
        then knows whether it is one of its own.
        """
        to, abroad = self._whom(to, delivery)
        if abroad is not None:
            return abroad.msg(str(to), body, sender, delivery, force)
        request = self._letter("MsgSend", to, body, (sender, sender_node), delivery, force)
        is_kept = request["delivery"] != "pty"
        answer = self._send_once(request) if is_kept else self.ask(request)
        from codewire.wire.answers.messages import MessageSent

        return read(MessageSent, {"delivered": request["delivery"], **answer})

    def read_messages(
        self, session: int | str, *, tail: int | None = None, grant: str = ""
    ) -> Inbox:
        """Return a session's last `tail` messages (None: 50, 0: all), and what waits for its reply.

        `messages` are oldest first, sent ones included. `open_requests` are all requests that still
        wait for this session's reply. Of a node in a relay's network (`dev-1:planner`, or by its
        route) this takes a `grant`, or one that was accepted.
        """
        tail, seen = whole_number("tail", tail, MAX_U32), self._observed(session, grant)
        if seen is not None:
            from codewire.client.observing import read_inbox

            return _inbox(read_inbox(seen, tail, self._observing()), seen.session)
        request = {"type": "MsgRead", "tail": tail}
        return _inbox(self.ask({**request, **_named(session, "id")}), session)

    def request(
        self,
        to: int | str,
        body: str,
        *,
        sender: int | None = None,
        sender_node: str | None = None,
        timeout_seconds: float | None = None,
        delivery: str = "auto",
        force: bool = False,
    ) -> Reply:
        """Ask a session and block for its reply.

        Raises RequestTimedOut after `timeout_seconds` (None or 0: 60), whatever the node does; a
        reply that comes later is in both inboxes. For `delivery` and `force` see `msg`.
        """
        limit = seconds("timeout_seconds", timeout_seconds)
        to, abroad = self._whom(to, delivery)
        if abroad is not None:
            wait = limit or DEFAULT_REQUEST_SECONDS
            return abroad.request(str(to), body, sender, wait, delivery, force)
        letter = self._letter("MsgRequest", to, body, (sender, sender_node), delivery, force)
        asker = self.until(deadline_behind(limit or DEFAULT_REQUEST_SECONDS))
        try:
            answer = asker._send_once({**letter, **timeout_fields(limit)}, is_checked=False)
        except OutOfTime as error:
            shown = f"request timed out after {limit or DEFAULT_REQUEST_SECONDS:g}s"
            raise RequestTimedOut(f"{shown}: {error}") from error
        text = answer.get("message")
        if answer.get("type") == "Error" and isinstance(text, str) and _is_timeout(answer, text):
            raise RequestTimedOut(text, field(answer, "request_id", ""), field(answer, "note", ""))
        from codewire.wire.answers.messages import Reply

        return read(Reply, check_answer(answer))

    def reply(
        self,
        request_id: str,
        body: str,
        *,
        sender: int | None = None,
        sender_node: str | None = None,
        reply_token: str = "",
    ) -> ReplySent:
        """Answer a request, as its recipient or with its token.

        `note` of the answer says if nobody waits for the reply any more.
        """
        from codewire.wire.answers.messages import ReplySent

        request = {
            "type": "MsgReply",
            "request_id": request_id,
            "body": body,
            **_from(sender, sender_node),
            "reply_token": reply_token or None,
        }
        return read(ReplySent, self._send_once(request))

    def listen(
        self, session_id: int | str | None = None, *, grant: str = ""
    ) -> Iterator[Happening]:
        """Yield a Subscribed, then messages, requests and replies as they are sent, for ever.

        With a session: those it sends and gets. Each comes once. An EventsLost says how many this
        reader was too slow for; a second Subscribed that the worker was replaced. A session of a
        node in a relay's network may be named (`dev-1:planner`); see `read_messages` for `grant`.
        """
        seen = self._observed(session_id, grant)
        if seen is not None:
            from codewire.client.observing import follow

            return follow(seen, self._observing())
        from codewire.client.readers import read_events

        if isinstance(session_id, str):
            raise UsageError("a session of this node is listened to by its id")
        wanted = None if session_id is None else checked_id(session_id)
        return read_events(self.connect, self.redial(), {"type": "MsgListen", "id": wanted})

    def _observed(self, session: int | str | None, grant: str) -> Observed | None:
        """Return the session where it is to be seen by grant alone. Raises UsageError."""
        is_named = isinstance(session, str) and ":" in session
        if not (grant or is_named or self.route.peer() is not None):
            return None
        from codewire.client.observing import observed

        return observed(self.route, session, grant)

    def _observing(self) -> Observing:
        from codewire.client.observing import Observing

        return Observing(self.deadline, self._notify, self._hold)

    def _hold(self, stream: FrameStream) -> FrameStream:
        """Note a connection that this client waits on; who can be ended meanwhile overrides it."""
        return stream

    # Keys and values

    def kv_set(self, key: str, value: bytes, *, namespace: str = "", ttl: str = "") -> None:
        """Set a key of the node to at most 1 MiB; `ttl` is a Go duration such as 90s or 1h30m.

        Without one the key stays until it is deleted, and an earlier ttl ends.
        """
        request = {"type": "KVSet", **_place(key, namespace), "ttl": ttl or None}
        self._send_once({**request, "value": encode_bytes(value)})

    def kv_get(self, key: str, *, namespace: str = "") -> bytes | None:
        """Return the value of a key, None when there is none."""
        value = self.ask({"type": "KVGet", **_place(key, namespace)}).get("value")
        return None if value is None else decode_bytes(value)

    def kv_list(self, prefix: str = "", *, namespace: str = "") -> list[Entry]:
        """Return the keys that begin with `prefix`, and their values."""
        from codewire.wire.answers.messages import Entry

        empty: list[Any] = []
        answer = self.ask({"type": "KVList", **_place(prefix, namespace)})
        return [
            read(Entry, one, value=decode_bytes(one.get("value") or ""))
            for one in field(answer, "entries", empty)
        ]

    def kv_delete(self, key: str, *, namespace: str = "") -> bool | None:
        """Remove a key and say whether it was there: None where an older node does not."""
        answer = self._send_once({"type": "KVDelete", **_place(key, namespace)})
        existed = answer.get("existed")
        return existed if isinstance(existed, bool) else None

    # Sending

    def _whom(self, to: int | str, delivery: str) -> tuple[int | str, Abroad | None]:
        """Return a recipient, and who writes to its node where that is another (`dev-1:coder`).

        Raises UsageError for a way of delivery that there is not.
        """
        if delivery not in DELIVERIES:
            raise UsageError(f"delivery must be one of {', '.join(DELIVERIES)}, got {delivery!r}")
        if not isinstance(to, str) or ":" not in to:
            return to, None
        from codewire.client.abroad import find

        abroad, session = find(self, to, self._hold)
        return session, abroad

    def _letter(
        self,
        kind: str,
        to: int | str,
        body: str,
        sender: tuple[int | None, str | None],
        delivery: str,
        force: bool,
    ) -> dict[str, Any]:
        auto = False
        if delivery == "auto":
            # Resolved here: nodes know no auto (spec/wire.md 5).
            auto = bool(sender[0] and sender[1] is not None)
            delivery = "both" if sender[0] else "inbox"
        return {
            "type": kind,
            **_named(to, "to_id"),
            "body": body,
            **_from(*sender),
            "auto": auto or None,
            "delivery": delivery,
            "force": force or None,
        }

    def _send_once(self, request: dict[str, Any], is_checked: bool = True) -> dict[str, Any]:
        """Send a request and return its answer, over as many workers as it takes.

        The node does a request with the same key once. Raises RequestError unless not `is_checked`.
        """
        return self.ask({**request, "request_key": os.urandom(16).hex()}, is_checked=is_checked)


def _inbox(answer: dict[str, Any], session: int | str) -> Inbox:
    """Return what a MsgReadResult says of a session. Raises ProtocolError."""
    from codewire.wire.answers.messages import Inbox, read_messages

    if "open_requests" not in answer:
        # There are no requests at all, or the node is of another make and does not say.
        answer["open_requests"] = unanswered(answer, session)
    return Inbox(
        read_messages(answer.get("messages")),
        read_messages(answer["open_requests"]),
        field(answer, "cut", False),
        answer,
    )


def unanswered(answer: dict[str, Any], session: int | str) -> list[dict[str, Any]]:
    """Return the requests to `session` in a MsgReadResult that have no reply in it."""
    from codewire.wire.events import REPLY, REQUEST

    empty: list[Any] = []
    messages = [m for m in field(answer, "messages", empty) if isinstance(m, dict)]
    replied = {m.get("request_id") for m in messages if m.get("type") == REPLY}
    key, owner = ("to", session) if isinstance(session, int) else ("to_name", session.lstrip("@"))
    return [
        message
        for message in messages
        if message.get("type") == REQUEST
        and message.get(key) == owner
        and message.get("request_id") not in replied
    ]


def _is_timeout(answer: dict[str, Any], text: str) -> bool:
    """Say whether nobody replied in time; a node of another make only says it in words."""
    return answer["code"] == "timed_out" if answer.get("code") else " timed out after " in text


def _named(session: int | str, id_key: str) -> dict[str, Any]:
    """Return the field that names a session: its id, or `to_name`."""
    if isinstance(session, str):
        return {"to_name": session}
    return {id_key: checked_id(session)}


def _from(sender: int | None, node: str | None) -> dict[str, Any]:
    """Return how a sender stands in a request."""
    return {
        "id": None if sender is None else checked_id(sender),
        "from_node": None if sender is None else node,
    }


def _place(key: str, namespace: str) -> dict[str, Any]:
    return {"key": key, "namespace": namespace or None}
