"""What may be sent again when a connection was lost before the answer: the one list of it.

A request that changes nothing may always be asked again. One that does something may be only with
a key in it, and only of a node that said it knows such keys (features.py): any other would do it
twice.
"""

from __future__ import annotations

from typing import Any

# They change nothing, so they may be asked of any node as often as it takes.
QUESTIONS = frozenset(
    (
        "ListSessions",
        "GetStatus",
        "GetScreen",
        "Approvals",
        "ExplainAgent",
        "NodeStatus",
        "MsgRead",
        "KVGet",
        "KVList",
        "Wait",
        "Logs",
        "WatchSession",
        "Subscribe",
        "MsgListen",
    )
)

LAUNCH_KEY, INPUT_KEY, REQUEST_KEY = "launch_key", "input_key", "request_key"

# Request type -> the field of its key, which is also the name of the feature.
KEYS = {
    "Launch": LAUNCH_KEY,
    "SendInput": INPUT_KEY,
    "MsgSend": REQUEST_KEY,
    "MsgRequest": REQUEST_KEY,
    "MsgReply": REQUEST_KEY,
    "KVSet": REQUEST_KEY,
    "KVDelete": REQUEST_KEY,
}

# They end when a session or a person does something. All others are answered at once; a log that
# is not followed is, too: see is_wait.
WAITS = frozenset(("Wait", "MsgRequest", "WatchSession", "Subscribe", "MsgListen"))
# They take as long as a program reads nothing, or the node's grace_seconds allow; but not for ever
# at a node that does nothing at all.
SLOW = frozenset(("SendInput", "Kill", "KillAll", "KillByTags"))


def is_question(request: dict[str, Any]) -> bool:
    """Say whether a request changes nothing."""
    return request.get("type") in QUESTIONS


def key_of(request: dict[str, Any]) -> str:
    """Return the feature that makes this request safe to repeat, "" where nothing does."""
    field = KEYS.get(request.get("type", ""), "")
    return field if request.get(field) else ""


def is_wait(request: dict[str, Any]) -> bool:
    """Say whether the answer may take as long as somebody likes."""
    kind = request.get("type")
    return kind in WAITS or kind in SLOW or (kind == "Logs" and bool(request.get("follow")))


def is_slow(request: dict[str, Any]) -> bool:
    """Say whether a request waits, but not for a node whose worker is stopped."""
    return request.get("type") in SLOW
