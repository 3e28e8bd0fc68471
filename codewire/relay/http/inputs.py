"""What a request carries, checked: fields of a JSON body, of a query, names and durations.

Every text is free of control characters and bounded; what is not is refused with a 400, and
nothing of it reaches the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from codewire.config import NAME_CHARACTERS
from codewire.errors import ProtocolError
from codewire.relay.http.answers import Refusal, bad_request
from codewire.wire.control import decode_first
from codewire.wire.duration import parse_duration
from codewire.wire.timestamps import SECOND

MAX_NAME = 64
# Longer than any token or URL that is one.
MAX_TEXT = 2048
MAX_QUERY_FIELDS = 64
MAX_WORDS = 32
# What a count of uses may be, and what every column takes.
MAX_USES = 1_000_000
MAX_WHOLE = (1 << 63) - 1
MAX_U32 = (1 << 32) - 1
HOUR_SECONDS = 3600

CONTROLS = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
NAME_WORDS = "may only contain letters, numbers, '-' or '_'"

# Go's strconv.ParseBool.
TRUE_WORDS = frozenset(("1", "t", "T", "true", "TRUE", "True"))
FALSE_WORDS = frozenset(("0", "f", "F", "false", "FALSE", "False"))

# The kinds of a body's fields; null stands for an absent one.
KINDS: dict[str, type] = {"text": str, "whole": int, "words": list}


class Body:
    """Which fields a JSON body may have (name: kind), and how a bad one is refused.

    A `lenient` body that is none counts as empty.
    """

    def __init__(self, bad: str = "bad request", lenient: bool = False, **fields: str) -> None:
        self.fields = fields
        self.bad = bad
        self.lenient = lenient

    def read(self, data: bytes) -> Given:
        """Return the fields in `data`; keys match in any case, unknown ones are ignored.

        Raises Refusal (400).
        """
        try:
            value = decode_first(data)
            if value is None:
                return Given({})
            if not isinstance(value, dict):
                raise bad_request(self.bad)
            return Given(self._known(value))
        except (ProtocolError, Refusal) as error:
            if self.lenient:
                return Given({})
            raise bad_request(self.bad) from error

    def _known(self, value: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in value.items():
            name = key.lower()
            if name in self.fields and item is not None:
                if not _is_kind(item, self.fields[name]):
                    raise bad_request(self.bad)
                # The exact spelling wins over others.
                if key == name or name not in found:
                    found[name] = item
        return found


def _is_kind(item: Any, kind: str) -> bool:
    if kind == "words":
        return isinstance(item, list) and all(isinstance(word, str) for word in item)
    if kind == "whole":
        return type(item) is int and -MAX_WHOLE <= item <= MAX_WHOLE
    return isinstance(item, str)


class Given:
    """Fields somebody sent; a missing one is empty. Raises Refusal (400) for unusable ones."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str, limit: int = MAX_TEXT) -> str:
        """Return a text without the blanks around it."""
        return self.raw(name, limit).strip()

    def raw(self, name: str, limit: int = MAX_TEXT) -> str:
        """Return a text as it came."""
        value = str(self._values.get(name) or "")
        if len(value) > limit:
            raise bad_request(f"{name} must be at most {limit} characters")
        if not CONTROLS.isdisjoint(value):
            raise bad_request(f"{name} must not hold control characters")
        return value

    def needed(self, name: str, limit: int = MAX_TEXT) -> str:
        """Return a text that must be there."""
        value = self.text(name, limit)
        if not value:
            raise bad_request(f"{name} required")
        return value

    def whole(self, name: str) -> int:
        """Return a whole number, 0 when it is not there."""
        return int(self._values.get(name) or 0)

    def words(self, name: str) -> list[str]:
        """Return a list of texts."""
        words = list(self._values.get(name) or ())
        if len(words) > MAX_WORDS or any(len(w) > MAX_NAME or not w.isprintable() for w in words):
            raise bad_request()
        return words

    def session_id(self, name: str) -> int | None:
        """Return a session's id, None when there is none."""
        value = self._values.get(name)
        if value is None:
            return None
        if not 0 <= value <= MAX_U32:
            raise bad_request()
        return int(value)

    def uses(self) -> int:
        """Return how often a token may be used: once unless said otherwise."""
        value = self.whole("uses")
        if value > MAX_USES:
            raise bad_request(f"uses must be at most {MAX_USES}")
        return max(1, value)

    def ttl(self, default_seconds: int, max_seconds: int, *, may_be_zero: bool = False) -> int:
        """Return a lifetime in nanoseconds; with `may_be_zero`, 0 means the default, too."""
        given = self.text("ttl", limit=64)
        if not given:
            return default_seconds * SECOND
        try:
            value = parse_duration(given)
        except ValueError as error:
            raise bad_request("invalid ttl") from error
        if may_be_zero and not value:
            return default_seconds * SECOND
        if value <= 0:
            raise bad_request("ttl must be positive")
        if value > max_seconds * SECOND:
            raise bad_request(f"ttl must be at most {max_seconds // HOUR_SECONDS}h")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a filter that is true or false, None when it is not there (Go's words)."""
        value = self.raw(name)
        if not value:
            return None
        if value not in TRUE_WORDS and value not in FALSE_WORDS:
            raise bad_request(f"invalid {name} filter")
        return value in TRUE_WORDS


def read_query(query: str) -> Given:
    """Return the fields of a query; of several with one name the first. Raises Refusal (400)."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError as error:
        raise bad_request("malformed query") from error
    return Given(dict(reversed(pairs)))


def is_name(text: str) -> bool:
    """Say whether a text can be a name: of a network, a node, a group."""
    return 0 < len(text) <= MAX_NAME and NAME_CHARACTERS.issuperset(text)


def check_name(text: str, what: str) -> str:
    """Return a name. Raises Refusal (400): `network id required`, `… may only contain …`."""
    if not text:
        raise bad_request(f"{what} required")
    if len(text) > MAX_NAME:
        raise bad_request(f"{what} must be at most {MAX_NAME} characters")
    if not is_name(text):
        raise bad_request(f"{what} {NAME_WORDS}")
    return text


def check_url(text: str) -> str:
    """Return an address of a node, "" for none. Raises Refusal (400)."""
    if text and (len(text) > MAX_TEXT or not text.isprintable() or not text.isascii()):
        raise bad_request("malformed peer_url")
    return text
