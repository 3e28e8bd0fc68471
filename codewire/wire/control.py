"""Control messages: one flat JSON object each, and bytes inside them (spec/wire.md 3)."""

from __future__ import annotations

import binascii
import json
from typing import Any

from codewire.errors import ProtocolError
from codewire.wire.frames import CONTROL, encode_frame


def encode_control(message: dict[str, Any]) -> bytes:
    """Return compact UTF-8 JSON; keys whose value is None are left out, lone surrogates replaced."""
    present = {key: value for key, value in message.items() if value is not None}
    text = json.dumps(present, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def control_frame(message: dict[str, Any]) -> bytes:
    """Return a whole control frame."""
    return encode_frame(CONTROL, encode_control(message))


def decode_control(payload: bytes) -> dict[str, Any]:
    """Return the object in a control frame. Raises ProtocolError when it is anything else."""
    try:
        message = json.loads(payload.decode("utf-8", "replace"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"invalid JSON in control message: {error}") from error
    if message is None:
        return {}
    if not isinstance(message, dict):
        raise ProtocolError("invalid control message: not a JSON object")
    return message


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def encode_bytes(data: bytes) -> str:
    """Return standard base64 with padding."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode_bytes(value: Any) -> bytes:
    """Return the bytes of a base64 string (CR and LF skipped) or a list of integers 0-255.

    Raises ValueError.
    """
    if isinstance(value, list):
        if not all(type(item) is int for item in value):
            raise ValueError("not a list of integers")
        return bytes(value)
    if not isinstance(value, str):
        raise ValueError("not base64")
    text = value.replace("\r", "").replace("\n", "")
    return binascii.a2b_base64(text.encode("ascii")) if text else b""
