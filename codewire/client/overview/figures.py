"""Times and sizes as people read them: local, short, with the unit that fits.

What programs read keeps RFC 3339 and bytes.
"""

from __future__ import annotations

import time

from codewire.wire.timestamps import SECOND, parse_timestamp

UNITS = ("B", "kB", "MB", "GB", "TB")
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def span(seconds: float) -> str:
    """Return a length of time by its largest unit: 42s, 7m, 3h, 2d."""
    whole = max(0, int(seconds))
    for limit, unit, letter in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h")):
        if whole < limit:
            return f"{whole // unit}{letter}"
    return f"{whole // 86400}d"


def since(timestamp: str, now_ns: int) -> str:
    """Return how long ago a timestamp was, "" for none."""
    try:
        return span((now_ns - parse_timestamp(timestamp)) / SECOND)
    except ValueError:
        return ""


def until(timestamp: str, now_ns: int) -> str:
    """Return how long it is until a timestamp, "" for none."""
    try:
        return span((parse_timestamp(timestamp) - now_ns) / SECOND)
    except ValueError:
        return ""


def clock(timestamp: str, now_ns: int) -> str:
    """Return a timestamp in the local zone: 14:03 today, else 26 Nov 14:03, or 2025-11-26.

    What is no timestamp is returned as it is.
    """
    try:
        at_ns = parse_timestamp(timestamp)
        at, now = time.localtime(at_ns // SECOND), time.localtime(now_ns // SECOND)
    except (ValueError, OverflowError, OSError):
        return timestamp
    hour = f"{at.tm_hour:02d}:{at.tm_min:02d}"
    if (at.tm_year, at.tm_yday) == (now.tm_year, now.tm_yday):
        return hour
    if abs(now_ns - at_ns) < 300 * 86400 * SECOND:
        return f"{at.tm_mday} {MONTHS[at.tm_mon - 1]} {hour}"
    return f"{at.tm_year}-{at.tm_mon:02d}-{at.tm_mday:02d}"


def moment(timestamp: str, now_ns: int) -> str:
    """Return when that was, and how long ago: `14:03 (7m ago)`."""
    ago = since(timestamp, now_ns)
    return f"{clock(timestamp, now_ns)} ({ago} ago)" if ago else timestamp


def size(count: int) -> str:
    """Return a number of bytes with three digits at most: 812 B, 1.4 MB (1000 kB)."""
    value, unit = float(count), UNITS[0]
    for unit in UNITS:
        if value < 999.5 or unit == UNITS[-1]:
            break
        value /= 1000
    if unit == UNITS[0]:
        return f"{count} B"
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
