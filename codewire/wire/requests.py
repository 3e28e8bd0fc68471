"""Requests from clients: every field checked against one table (spec/wire.md 5).

A field means the same type in every request, so the table goes by field. Which fields a request
needs, and what they must add up to, is for its handler to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.errors import ProtocolError
from codewire.wire.control import decode_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

# The type goes into error texts and logs; no request type is anywhere near as long.
MAX_TYPE_LENGTH = 100


class _Refused(Exception):
    """A field's value is not what the text says it must be."""


def _whole(bits: int) -> Callable[[Any], Any]:
    limit = (1 << bits) - 1

    def check(value: Any) -> Any:
        # True is an int to Python, 1.0 and 1e0 are floats: neither is a whole number on the wire.
        if type(value) is not int or not 0 <= value <= limit:
            raise _Refused(f"must be a whole number from 0 to {limit}")
        return value

    return check


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise _Refused("must be a string")
    return value


def _texts(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _Refused("must be a list of nothing but strings")
    return value


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise _Refused("must be true or false")
    return value


CHECKS: tuple[tuple[Callable[[Any], Any], str], ...] = (
    (_whole(16), "cols rows"),
    (_whole(32), "id to_id tail history_lines from_session"),
    (_whole(64), "subscription_id timeout_seconds timeout_ms from_offset max_bytes"),
    (_whole(64), "idle_ms if_idle_ms"),
    (_flag, "include_history follow strip_ansi full force mark_typed paste ansi screen_hash"),
    (_flag, "brief dir_optional tree"),
    (_texts, "command env tags event_types"),
    (decode_bytes, "stdin_data data value"),
    (_text, "working_dir name launch_key condition namespace key ttl to_name body request_id"),
    (_text, "input_key expect_screen"),
    (_text, "request_key history reply_token delivery verb audience_node sender_cap summary state"),
)
FIELDS = {name: check for check, names in CHECKS for name in names.split()}


def parse_request(message: dict[str, Any]) -> dict[str, Any]:
    """Return `type` and the known fields that are there, checked, byte fields as bytes.

    A missing type is "", null is absent, unknown keys are dropped. Raises ProtocolError with one
    line that names the field, what it must be and what came.
    """
    request: dict[str, Any] = {"type": _request_type(message.get("type"))}
    for key, check in FIELDS.items():
        value = message.get(key)
        if value is None:
            continue
        try:
            request[key] = check(value)
        except _Refused as refused:
            raise ProtocolError(f"invalid request: {key} {refused}, got {_shown(value)}") from None
        except ProtocolError as error:
            raise ProtocolError(f"invalid request: {key}: {error}") from None
    return request


def _request_type(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProtocolError(f"invalid request: type must be a string, got {_shown(value)}")
    if len(value) > MAX_TYPE_LENGTH:
        raise ProtocolError("invalid request: type is too long")
    return value


def _shown(value: Any) -> str:
    """Return a value in a few words of JSON; what a string says may be private."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value) if abs(value) <= 1 << 64 else "a larger number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"
