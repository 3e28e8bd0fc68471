"""Tools for messages between sessions (spec/mcp.md 4)."""

from __future__ import annotations

import os
from typing import Any

from codewire.errors import RequestError
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.mcp.tool import Tool, node_request, session_number, to_json

MAX_TIMEOUT = 24 * 3600


def _sender(client: CallClient, args: dict[str, Any]) -> int | None:
    """Return the sending session: the argument, else the session this server runs in."""
    if args["from_session_id"] is not None:
        return session_number(client, args["from_session_id"])
    inside = os.environ.get("CW_SESSION_ID", "")
    return int(inside) if inside.isdigit() and client.target.is_local else None


def _recipient(client: CallClient, args: dict[str, Any]) -> dict[str, Any]:
    """Return the request's recipient keys; an id wins over a name."""
    if args["to_session_id"] is not None:
        return {"to_id": session_number(client, args["to_session_id"])}
    if not args["to_name"]:
        raise RequestError("either to_id or to_name required")
    return {"to_name": args["to_name"]}


def msg(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_msg."""
    answer = node_request(
        client,
        {
            "type": "MsgSend",
            "id": _sender(client, args),
            **_recipient(client, args),
            "body": args["body"],
            "delivery": args["delivery"],
        },
    )
    note = answer.get("note")
    return f"Message sent: {answer.get('message_id', '')}" + (f" ({note})" if note else "")


def read_messages(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_read_messages."""
    session = args["session_id"]
    if session is None:
        session = _sender(client, {"from_session_id": None})
    if session is None:
        raise RequestError("session id or name required")
    session_id = session_number(client, session)
    answer = node_request(client, {"type": "MsgRead", "id": session_id, "tail": args["tail"]})
    return to_json(answer.get("messages") or [])


def request(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_request: blocks for the reply."""
    answer = node_request(
        client,
        {
            "type": "MsgRequest",
            "id": _sender(client, args),
            **_recipient(client, args),
            "body": args["body"],
            "timeout_seconds": args["timeout_seconds"] or None,
            "delivery": args["delivery"],
        },
    )
    from_id = answer.get("from_id")
    who = answer.get("from_name") or (f"session {from_id}" if from_id else "unknown")
    return f"Reply from {who}: {answer.get('reply_body') or ''}"


def reply(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_reply."""
    token = args["reply_token"]
    answer = node_request(
        client,
        {
            "type": "MsgReply",
            "request_id": args["request_id"],
            "body": args["body"],
            "id": None if token else _sender(client, args),
            "reply_token": token,
        },
    )
    return f"Reply sent for request {answer.get('request_id', args['request_id'])}"


TO = (
    Param("to_session_id", "session", "Recipient session: its id, or its name"),
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
    "pty: only typed",
    choices=("inbox", "pty", "both"),
)

TOOLS = (
    Tool(
        "codewire_msg",
        "Send a message to another session's inbox and go on; it reads it with "
        "codewire_read_messages or `cw inbox`. For an answer use codewire_request.",
        (*TO, Param("body", "string", "The message, at most 64 KiB", required=True), DELIVERY),
        msg,
    ),
    Tool(
        "codewire_read_messages",
        "Read a session's inbox as a JSON array, oldest first: messages, requests and replies, "
        "received and sent. Answer a message.request with codewire_reply and its request_id.",
        (
            Param(
                "session_id",
                "session",
                "Whose inbox: id or name (default: the session this server runs in)",
            ),
            Param("tail", "integer", "Only the last N entries (default 20; 0: all)", default=20),
        ),
        read_messages,
    ),
    Tool(
        "codewire_request",
        "Ask another session something and block until it replies (or timeout_seconds is over). "
        "Returns `Reply from <who>: <text>`.",
        (
            *TO,
            Param("body", "string", "The question, at most 64 KiB", required=True),
            Param(
                "timeout_seconds",
                "integer",
                "Give up after this long (default 60)",
                default=60,
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
            Param("request_id", "string", "The request to answer", required=True),
            Param("body", "string", "The answer", required=True),
            Param("from_session_id", "session", "The answering session: id or name"),
            Param("reply_token", "string", "The request's token, instead of from_session_id"),
        ),
        reply,
    ),
)
