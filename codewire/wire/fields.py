"""What a field of a request may hold, kind by kind (spec/wire.md 5).

Which fields there are, of which kind, and which request has which, stands in requests.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.errors import ProtocolError
from codewire.wire.control import decode_bytes

if TYPE_CHECKING:
    from collections.abc import Callable


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


CHECKS: dict[str, Callable[[Any], Any]] = {
    "u16": _whole(16),
    "u32": _whole(32),
    "u64": _whole(64),
    "flag": _flag,
    "texts": _texts,
    "text": _text,
    "bytes": decode_bytes,
}


def check_field(name: str, kind: str, value: Any) -> Any:
    """Return a field's value, byte fields as bytes.

    Raises ProtocolError with one line that names the field, what it must be and what came.
    """
    try:
        return CHECKS[kind](value)
    except _Refused as refused:
        raise ProtocolError(f"invalid request: {name} {refused}, got {shown(value)}") from None
    except ProtocolError as error:
        raise ProtocolError(f"invalid request: {name}: {error}") from None


def shown(value: Any) -> str:
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
