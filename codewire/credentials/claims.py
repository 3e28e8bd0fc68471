"""What each kind of token says, from and to the JSON in its envelope (spec/network-auth.md 3).

Read as Go's decoder reads: keys match without regard to case, unknown ones are ignored, null is
nothing. A value of another type is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from codewire.wire.nesting import is_deep
from codewire.wire.texts import go_quote
from codewire.wire.timestamps import MIN_NS, format_nanos, parse_timestamp

# How long each kind lives where nobody asks for another time.
RUNTIME_SECONDS = 300
SENDER_SECONDS = 120
OBSERVER_SECONDS = 600
BUNDLE_SECONDS = 900
# Clocks of honest machines differ by so much.
SKEW_SECONDS = 30
# No token lives longer, whoever signed it: a key that has signed its last one can go after this
# time, and what leaks does not stay good for years.
MAX_SECONDS = 86400

MAX_SESSION_ID = (1 << 32) - 1
TIMES = ("issued_at", "expires_at")
NUMBERS = ("from_session_id", "session_id")
LISTS = ("source_groups", "verbs")


@dataclass(frozen=True, slots=True)
class Claims:
    """What all kinds say, and what they are called where. Times are nanoseconds since 1970."""

    kind: ClassVar[str]
    prefix: ClassVar[str]
    # In the texts of refusals.
    title: ClassVar[str]
    jti_prefix: ClassVar[str]
    # Left out of the JSON when empty.
    optional: ClassVar[frozenset[str]] = frozenset()

    network_id: str = ""
    issuer: str = ""
    kid: str = ""
    issued_at: int = MIN_NS
    expires_at: int = MIN_NS
    jti: str = ""


@dataclass(frozen=True, slots=True)
class RuntimeClaims(Claims):
    """Who somebody is: a client's subject or a node."""

    kind = "runtime"
    prefix = "cwrt1"
    title = "runtime token"
    jti_prefix = "rt_"

    subject_kind: str = ""
    subject_id: str = ""


@dataclass(frozen=True, slots=True)
class SenderClaims(Claims):
    """Which session of which node sends."""

    kind = "sender"
    prefix = "cwsd1"
    title = "sender delegation"
    jti_prefix = "sd_"
    optional = frozenset(("from_session_id", "from_session_name", "source_groups", "audience_node"))

    source_node: str = ""
    from_session_id: int | None = None
    from_session_name: str = ""
    source_groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    audience_node: str = ""


@dataclass(frozen=True, slots=True)
class ObserverClaims(Claims):
    """Who may read or listen to which session."""

    kind = "observer"
    prefix = "cwog1"
    title = "observer delegation"
    jti_prefix = "og_"
    optional = frozenset(("session_id", "session_name"))

    target_node: str = ""
    session_id: int | None = None
    session_name: str = ""
    verbs: tuple[str, ...] = ()
    audience_subject_kind: str = ""
    audience_subject_id: str = ""


COMMON = tuple(field.name for field in fields(Claims))

C = TypeVar("C", bound=Claims)


def encode_claims(claims: Claims) -> bytes:
    """Return the compact JSON of a token's payload."""
    own = [field.name for field in fields(claims) if field.name not in COMMON]
    found: dict[str, Any] = {"kind": claims.kind}
    # In the order of the published example; nobody depends on it.
    for name in (COMMON[0], *own, *COMMON[1:]):
        value = getattr(claims, name)
        if name not in claims.optional or value not in (None, "", ()):
            found[name] = format_nanos(value) if name in TIMES else value
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def decode_claims(payload: bytes, kind: type[C]) -> tuple[str, C]:
    """Return the kind that a payload names, and what it says as a token of the expected kind.

    Raises ValueError, whose words say what is wrong with it.
    """
    known = {field.name for field in fields(kind)}
    found: dict[str, Any] = {}
    named = ""
    for name, value in read_object(payload).items():
        lower = name.lower()
        if value is None:
            continue
        if lower == "kind":
            named = _text(lower, value)
        elif lower in known:
            found[lower] = _checked(lower, value)
    return named, kind(**found)


def read_object(payload: bytes) -> dict[str, Any]:
    """Return the JSON object in `payload`. Raises ValueError."""
    if is_deep(payload):
        raise ValueError("nested too deeply")
    try:
        value = json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _checked(name: str, value: Any) -> Any:
    if name in TIMES:
        return parse_timestamp(value)
    if name in NUMBERS:
        if type(value) is not int or not 0 <= value <= MAX_SESSION_ID:
            raise ValueError(f"{name} is no session id")
        return value
    if name in LISTS:
        if not isinstance(value, list):
            raise ValueError(f"{name} is no list")
        return tuple(_text(name, item) for item in value)
    return _text(name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is no string")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError(f"{name} is no text: {go_quote(value[:100])}")
    return value
