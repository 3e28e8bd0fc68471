"""RFC 3339 timestamps of the wire, from and to nanoseconds since the epoch."""

from __future__ import annotations

SECOND = 1_000_000_000


def format_seconds(ns: int) -> str:
    """Return whole seconds, UTC: 2026-04-03T12:00:05Z."""
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns // SECOND))


def format_nanos(ns: int) -> str:
    """Return up to 9 fractional digits without trailing zeros: 2026-04-03T12:00:05.1234Z."""
    whole = format_seconds(ns)
    fraction = f"{ns % SECOND:09d}".rstrip("0")
    return f"{whole[:-1]}.{fraction}Z" if fraction else whole


def parse_timestamp(text: str) -> int:
    """Return nanoseconds since the epoch. Raises ValueError."""
    from datetime import datetime

    whole, dot, rest = text.replace("Z", "+00:00").partition(".")
    digits = ""
    if dot:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        whole += rest[len(digits) :]
    moment = datetime.fromisoformat(whole)
    return int(moment.timestamp()) * SECOND + int((digits + "0" * 9)[:9])
