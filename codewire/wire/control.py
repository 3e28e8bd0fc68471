"""Control messages: one flat JSON object each, and bytes inside them (spec/wire.md 3).

Stricter than Python's json, as strict as upstream: no NaN, no BOM. What comes out is safe to
handle: no lone surrogate, no int of more than 20 digits. Which keys a message may have is no
business of this module.

binascii is loaded with the first bytes: it brings libz along, and most commands handle none.
"""

from __future__ import annotations

import json
from typing import Any

from codewire.errors import ProtocolError
from codewire.wire.frames import CONTROL, encode_frame
from codewire.wire.nesting import is_deep

# The longest of -(2**63) and 2**64 - 1. Python's int takes quadratic time on longer texts.
MAX_WHOLE_DIGITS = 20

BASE64 = "[A-Za-z0-9+/]*={0,2}"


def encode_control(message: dict[str, Any]) -> bytes:
    """Return compact UTF-8 JSON; keys whose value is None are left out.

    Lone surrogates (file names that are no UTF-8) become U+FFFD. Raises ValueError on NaN.
    """
    text = _ENCODER.encode({key: value for key, value in message.items() if value is not None})
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _without_surrogates(text).encode()


def control_frame(message: dict[str, Any]) -> bytes:
    """Return a whole control frame. Raises ProtocolError past MAX_PAYLOAD."""
    return encode_frame(CONTROL, encode_control(message))


def decode_control(payload: bytes) -> dict[str, Any]:
    """Return the object in a control frame; `null` is an empty one.

    Bytes that are no UTF-8 and lone surrogates become U+FFFD. Raises ProtocolError on everything
    that is not one JSON object with nothing but white space around it.
    """
    if is_deep(payload):
        raise ProtocolError("invalid JSON in control message: nested too deeply")
    text = payload.decode("utf-8", "replace")
    try:
        message = _DECODER.decode(text)
        if "\\u" in text:
            # Only an escape can have made a lone surrogate.
            message = _scrub(message)
    except ValueError as error:
        raise ProtocolError(f"invalid JSON in control message{_where(error)}") from error
    except RecursionError as error:
        raise ProtocolError("invalid JSON in control message: nested too deeply") from error
    if message is None:
        return {}
    if not isinstance(message, dict):
        raise ProtocolError("invalid control message: not a JSON object")
    return message


def decode_first(payload: bytes) -> Any:
    """Return the first JSON value in `payload`, as Go's decoder reads a body: the rest is ignored.

    Bytes that are no UTF-8 and lone surrogates become U+FFFD. Raises ProtocolError.
    """
    if is_deep(payload):
        raise ProtocolError("invalid JSON: nested too deeply")
    text = payload.decode("utf-8", "replace").lstrip(" \t\r\n")
    try:
        value, _ = _DECODER.raw_decode(text)
        return _scrub(value) if "\\u" in text else value
    except ValueError as error:
        raise ProtocolError(f"invalid JSON: {error}") from error
    except RecursionError as error:
        raise ProtocolError("invalid JSON: nested too deeply") from error


def encode_bytes(data: bytes) -> str:
    """Return standard base64 with padding."""
    import binascii

    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode_bytes(value: Any) -> bytes:
    """Return the bytes of a JSON value: padded standard base64, or a list of numbers from 0 to 255.

    CR and LF inside base64 are skipped, as Go does. Raises ProtocolError.
    """
    if isinstance(value, list):
        if not all(type(item) is int and 0 <= item <= 255 for item in value):
            raise ProtocolError("not a list of numbers from 0 to 255")
        return bytes(value)
    if not isinstance(value, str):
        raise ProtocolError("neither base64 nor a list of numbers")
    import re

    text = value.replace("\r", "").replace("\n", "")
    # binascii alone skips what is not in its alphabet; its strict mode is newer than Python 3.10.
    if len(text) % 4 or not re.fullmatch(BASE64, text):
        raise ProtocolError("not standard base64 with padding")
    import binascii

    return binascii.a2b_base64(text)


def _where(error: ValueError) -> str:
    """Say where JSON ends to be that, or what of it is none."""
    if isinstance(error, json.JSONDecodeError):
        return f": what stands at character {error.pos + 1} is not JSON"
    return f": {error}"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _whole_number(text: str) -> int | float:
    """Return an int, or a float where the number is beyond every field's range anyway."""
    return int(text) if len(text) <= MAX_WHOLE_DIGITS else float(text)


def _scrub(value: Any) -> Any:
    """Return a decoded JSON value without lone surrogates. Raises RecursionError."""
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _scrub(item) for key, item in value.items()}
    return value


def _without_surrogates(text: str) -> str:
    """Return `text` with each lone surrogate as U+FFFD: it has no UTF-8 form."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# Built once: the module's functions would build one for each message.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_int=_whole_number, parse_constant=_refuse_constant)
