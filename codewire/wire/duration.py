"""Durations as Go writes them, `1h30m` or `1.5h`: the grammar of a key's TTL (spec/wire.md 15)."""

from __future__ import annotations

from codewire.wire.texts import go_quote

UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
MAX_NANOS = (1 << 63) - 1
# A text that is longer says nothing a shorter one could not.
MAX_LENGTH = 200


def parse_duration(text: str) -> int:
    """Return nanoseconds, negative ones included.

    Raises ValueError with the words of Go's time.ParseDuration.
    """
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest or len(rest) > MAX_LENGTH:
        raise _invalid(text)
    total = 0
    while rest:
        whole, rest = _digits(rest)
        fraction = ""
        if rest[:1] == ".":
            fraction, rest = _digits(rest[1:])
        if not whole and not fraction:
            raise _invalid(text)
        unit, rest = _unit(rest)
        if not unit:
            raise ValueError(f"time: missing unit in duration {go_quote(text)}")
        if unit not in UNITS:
            raise ValueError(f"time: unknown unit {go_quote(unit)} in duration {go_quote(text)}")
        total += int(whole or "0") * UNITS[unit]
        total += int(fraction or "0") * UNITS[unit] // 10 ** len(fraction)
        if total > MAX_NANOS:
            raise _invalid(text)
    return -total if text[0] == "-" else total


def _digits(text: str) -> tuple[str, str]:
    rest = text.lstrip("0123456789")
    return text[: len(text) - len(rest)], rest


def _unit(text: str) -> tuple[str, str]:
    """Split off everything up to the next number."""
    for at, char in enumerate(text):
        if char in ".0123456789":
            return text[:at], text[at:]
    return text, ""


def _invalid(text: str) -> ValueError:
    return ValueError(f"time: invalid duration {go_quote(text)}")
