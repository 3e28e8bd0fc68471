"""Requests from clients: every field checked against one table (spec/wire.md 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codewire.errors import ProtocolError
from codewire.wire.control import decode_bytes


def _whole(limit: int) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not int or not 0 <= value <= limit:
            raise ValueError(f"must be a whole number from 0 to {limit}")
        return value

    return check


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _texts(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of strings")
    return value


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _data(value: Any) -> Any:
    try:
        return decode_bytes(value)
    except ValueError as error:
        raise ValueError("must be standard base64") from error


U16, U32, U64 = _whole(0xFFFF), _whole(0xFFFFFFFF), _whole(0xFFFFFFFFFFFFFFFF)

FIELDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("id", "to_id", "tail", "history_lines"), U32),
    **dict.fromkeys(("cols", "rows"), U16),
    **dict.fromkeys(("subscription_id", "timeout_seconds", "from_offset"), U64),
    **dict.fromkeys(("include_history", "follow", "strip_ansi", "full"), _flag),
    **dict.fromkeys(("command", "env", "tags", "event_types"), _texts),
    **dict.fromkeys(("stdin_data", "data", "value"), _data),
    **dict.fromkeys(
        "working_dir name condition namespace key ttl to_name body request_id reply_token delivery "
        "verb audience_node sender_cap summary state launch_key".split(),
        _text,
    ),
}


def parse_request(message: dict[str, Any]) -> dict[str, Any]:
    """Return the known fields, checked; bytes decoded. null is absent. Raises ProtocolError."""
    kind = message.get("type")
    if kind is not None and not isinstance(kind, str):
        raise ProtocolError("invalid request: type must be a string")
    request: dict[str, Any] = {"type": kind or ""}
    for key, check in FIELDS.items():
        value = message.get(key)
        if value is None:
            continue
        try:
            request[key] = check(value)
        except (ValueError, OverflowError) as error:
            raise ProtocolError(f"invalid request: {key} {error}, got {repr(value)[:60]}") from error
    return request
