"""Tools for messages between sessions (spec/mcp.md 4)."""

from __future__ import annotations

import json
from typing import Any

from codewire.client.inside import as_sender, own_session
from codewire.client.reach.asking import deadline_behind
from codewire.errors import RequestError, RequestTimedOut
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.mcp.tool import GRANT, Tool, ToolFailed, listing, observed_session, session_number
from codewire.wire.answers.messages import MessageSent, ReplySent

MAX_TIMEOUT = 24 * 3600
DEFAULT_TIMEOUT = 60


def _sender(client: CallClient, args: dict[str, Any]) -> dict[str, Any]:
    """Return the sending session: the argument, else the session this server runs in."""
    if args["from_session_id"] is not None:
        return {"sender": session_number(client, args["from_session_id"])}
    return as_sender(client.route)


def _recipient(client: CallClient, args: dict[str, Any]) -> int | str:
    """Return whom to write to; an id wins over a name. `node:session` is the client's to find."""
    given: int | str | None = args["to_session_id"]
    if given is not None:
        return given if is_elsewhere(given) else session_number(client, given)
    if not args["to_name"]:
        raise RequestError("either to_id or to_name required")
    name: str = args["to_name"]
    return name


def is_elsewhere(session: int | str) -> bool:
    """Say whether a session is named with its node."""
    return isinstance(session, str) and ":" in session


def msg(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_msg."""
    answer = client.msg(
        _recipient(client, args),
        args["body"],
        **_sender(client, args),
        delivery=args["delivery"],
    )
    return f"Message sent: {answer.message_id}" + _note(answer)


def _note(answer: MessageSent | ReplySent) -> str:
    """Return what the node has to add, in parentheses."""
    return f" ({answer.note})" if answer.note else ""


def read_messages(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_read_messages: the messages, then the requests that wait for an answer."""
    session = args["session_id"]
    if session is None:
        session, _ = own_session(client.route)
    if session is None:
        raise RequestError("session id or name required")
    answer = client.read_messages(
        observed_session(client, session), tail=args["tail"], grant=args["grant"] or ""
    )
    waiting = listing([letter.sent for letter in answer.open_requests], hint="answer these first")
    facts: dict[str, Any] = {"open_requests": json.loads(waiting[0])}
    if len(waiting) > 1:
        facts["open_requests_truncated"] = json.loads(waiting[1])["truncated"]
    if answer.cut:
        facts["older_messages"] = "left out by the node: they are too much for one answer"
    hint = "the oldest; messages.jsonl in the session's directory has them all"
    letters = [letter.sent for letter in answer.messages]
    return listing(letters, newest=True, hint=hint, facts=facts)


def request(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_request: blocks for the reply. What the node adds is a text of its own."""
    limit = args["timeout_seconds"] or DEFAULT_TIMEOUT
    client = client.until(deadline_behind(limit))
    recipient, sender = _recipient(client, args), _sender(client, args)
    try:
        answer = client.request(
            recipient,
            args["body"],
            **sender,
            timeout_seconds=limit,
            delivery=args["delivery"],
        )
    except RequestTimedOut as error:
        place = recipient if is_elsewhere(recipient) else sender["sender"] or recipient
        later = f"The request stays open: a later reply is in the inbox of {place}, "
        later += "see codewire_read_messages"
        raise ToolFailed(error, error.note, later) from error
    who = answer.from_name or (f"session {answer.from_id}" if answer.from_id else "unknown")
    reply_text = f"Reply from {who}: {answer.reply_body}"
    return [reply_text, answer.note] if answer.note else [reply_text]


def reply(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_reply."""
    token = args["reply_token"] or ""
    answer = client.reply(
        args["request_id"],
        args["body"],
        **({} if token else _sender(client, args)),
        reply_token=token,
    )
    return f"Reply sent for request {args['request_id']}" + _note(answer)


TO = (
    Param(
        "to_session_id",
        "session",
        "Recipient session: its id or its name; node:session for one of another node",
    ),
    Param("to_name", "string", "Recipient session by name"),
    Param(
        "from_session_id",
        "session",
        "Sending session (default: the session this server runs in, else anonymous)",
    ),
)
DELIVERY = Param(
    "delivery",
    "string",
    "inbox (default): stored for the recipient to read; both: also typed into its terminal; "
    "pty: only typed; auto: both if there is a sender, else inbox. "
    "Never typed where a shell would run it: the answer then says so",
    default="inbox",
    choices=("inbox", "pty", "both", "auto"),
)

TOOLS = (
    Tool(
        "codewire_msg",
        "Send a message to another session's inbox and go on; it reads it with "
        "codewire_read_messages or `cw inbox`. For an answer use codewire_request.",
        (
            *TO,
            Param("body", "string", "The message, at most 64 KiB", required=True, is_filled=True),
            DELIVERY,
        ),
        msg,
    ),
    Tool(
        "codewire_read_messages",
        "Read a session's inbox: a JSON array, oldest first, of messages, requests and replies, "
        "received and sent; then JSON with open_requests, those that still wait for an answer. "
        "Answer one with codewire_reply and its request_id.",
        (
            Param(
                "session_id",
                "session",
                "Whose inbox: id or name (default: the session this server runs in); node:session "
                "for one of another node",
            ),
            Param("tail", "integer", "Only the last N entries (default 20; 0: all)", default=20),
            GRANT,
        ),
        read_messages,
    ),
    Tool(
        "codewire_request",
        "Ask another session something and block until it replies (or timeout_seconds is over). "
        "Returns `Reply from <who>: <text>`. After a timeout the request stays open "
        "and a later reply is in the inbox.",
        (
            *TO,
            Param("body", "string", "The question, at most 64 KiB", required=True, is_filled=True),
            Param(
                "timeout_seconds",
                "number",
                "Give up after this long (default 60)",
                default=DEFAULT_TIMEOUT,
                maximum=MAX_TIMEOUT,
            ),
            DELIVERY,
        ),
        request,
    ),
    Tool(
        "codewire_reply",
        "Answer a pending request: request_id comes from codewire_read_messages or from the "
        "message.request event. The sender must be the session that was asked, or reply_token "
        "must be given.",
        (
            Param("request_id", "string", "The request to answer", required=True, is_filled=True),
            Param("body", "string", "The answer", required=True),
            Param("from_session_id", "session", "The answering session: its id or name"),
            Param("reply_token", "string", "The request's token, instead of from_session"),
        ),
        reply,
    ),
)
