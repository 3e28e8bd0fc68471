"""What a peer of the mesh says of itself, checked (spec/peer.md 4, Node).

A peer may only speak for itself: its id and its one address follow from who it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codewire.errors import ProtocolError
from codewire.wire.tailnet import ZERO_ID, address_of, is_dialer_id
from codewire.wire.timestamps import parse_timestamp

HEX = frozenset("0123456789abcdef")
NO_KEY = "0" * 64
MAX_ENDPOINTS = 64
MAX_ENDPOINT = 64
MAX_REGIONS = 32
ZERO_TIME = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Introduction:
    """A peer's id and what others are told of it."""

    identity: str
    node: dict[str, Any]


def read_node(value: dict[str, Any], identity: str, is_listener: bool) -> Introduction:
    """Return a peer's introduction. Raises ProtocolError for one that is not its own, or is none.

    A listener is `identity`; a dialer chooses an id of version 4, which no listener has.
    """
    given = value.get("id") or ZERO_ID
    if not isinstance(given, str):
        raise ProtocolError("malformed id")
    if not is_listener and given != ZERO_ID:
        if not is_dialer_id(given.lower()):
            raise ProtocolError("malformed id")
        identity = given.lower()
    node: dict[str, Any] = {
        "id": identity,
        "as_of": _time(value.get("as_of")),
        "key": _key(value.get("key"), "nodekey:"),
        "disco_key": _key(value.get("disco_key"), "discokey:"),
        "preferred_derp": _whole(value.get("preferred_derp")),
        "endpoints": _endpoints(value.get("endpoints")),
        "addresses": _addresses(value.get("addresses"), address_of(identity)),
    }
    latency = _latency(value.get("derp_latency"))
    return Introduction(identity, {**node, "derp_latency": latency} if latency else node)


def _time(value: object) -> str:
    if value is None:
        return ZERO_TIME
    try:
        parse_timestamp(value)
    except ValueError as error:
        raise ProtocolError("malformed as_of") from error
    return str(value)


def _key(value: object, prefix: str) -> str:
    if value is None or value == "":
        return prefix + NO_KEY
    digits = value.removeprefix(prefix) if isinstance(value, str) else ""
    if len(digits) != 64 or digits == value or not HEX.issuperset(digits):
        raise ProtocolError(f"malformed {prefix}")
    return prefix + digits


def _whole(value: object) -> int:
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise ProtocolError("malformed preferred_derp")
    return value


def _endpoints(value: object) -> list[str]:
    return _texts(value, MAX_ENDPOINTS)


def _addresses(value: object, own: str) -> list[str]:
    """Return the one address; a peer that names others claims what is not its own."""
    given = _texts(value, MAX_ENDPOINTS)
    if given and given != [own]:
        raise ProtocolError("addresses are not the peer's own")
    return [own]


def _texts(value: object, most: int) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most:
        raise ProtocolError("malformed list")
    if not all(isinstance(text, str) and len(text) <= MAX_ENDPOINT for text in value):
        raise ProtocolError("malformed list")
    return value


def _latency(value: object) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_REGIONS:
        raise ProtocolError("malformed derp_latency")
    for name, seconds in value.items():
        if len(name) > MAX_ENDPOINT or type(seconds) not in (int, float):
            raise ProtocolError("malformed derp_latency")
    return value
