"""RFC 3339 timestamps of the wire, from and to nanoseconds since the epoch (spec/wire.md 3).

Plain arithmetic on the calendar: importing datetime costs a client more than all of its timestamps.
The day counts follow Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years that
begin in March put the leap day last, and 400 of them are always 146097 days.
"""

from __future__ import annotations

SECOND = 1_000_000_000
DAY_SECONDS = 86400
ERA_DAYS = 146097
# From 0000-03-01, where the count of eras begins, to 1970-01-01.
EPOCH_DAYS = 719468

# RFC 3339 has four digits for a year: 0000-01-01T00:00:00Z to the end of 9999.
MIN_NS = -62167219200 * SECOND
MAX_NS = 253402300800 * SECOND - 1

PATTERN = (
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?"
    r"(?:[Zz]|([+-])(\d\d):?(\d\d))"
)


def format_seconds(ns: int) -> str:
    """Return whole seconds, rounded down, UTC: 2026-04-03T12:00:05Z.

    Times outside the years 0 to 9999 become the first or the last one inside.
    """
    days, seconds = divmod(_clamp(ns) // SECOND, DAY_SECONDS)
    year, month, day = _date(days)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"


def format_nanos(ns: int) -> str:
    """Return up to 9 fractional digits without trailing zeros: 2026-04-03T12:00:05.1234Z."""
    whole = format_seconds(ns)
    fraction = f"{_clamp(ns) % SECOND:09d}".rstrip("0")
    return f"{whole[:-1]}.{fraction}Z" if fraction else whole


def parse_timestamp(value: object) -> int:
    """Return nanoseconds since the epoch of an RFC 3339 text in any zone.

    Digits past the ninth are cut off; second 60 is the next minute's 0. Raises ValueError, also on
    values of foreign JSON that are no text at all.
    """
    import re

    match = re.fullmatch(PATTERN, value, re.ASCII) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not an RFC 3339 timestamp")
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    fraction, sign, zone_hours, zone_minutes = match.group(7, 8, 9, 10)
    zone = 60 * int(zone_hours or 0) + int(zone_minutes or 0)
    days = _days(year, month, day)
    if _date(days) != (year, month, day):
        raise ValueError(f"no such day: {year:04d}-{month:02d}-{day:02d}")
    if hour > 23 or minute > 59 or second > 60 or int(zone_minutes or 0) > 59 or zone >= 24 * 60:
        raise ValueError(f"no such time: {match[0][11:40]}")
    minutes = 60 * hour + minute + (zone if sign == "-" else -zone)
    whole = days * DAY_SECONDS + minutes * 60 + second
    return whole * SECOND + int((fraction or "")[:9].ljust(9, "0"))


def _clamp(ns: int) -> int:
    return min(max(ns, MIN_NS), MAX_NS)


def _days(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01 of a date."""
    era, year_of_era = divmod(year - (month <= 2), 400)
    day_of_year = (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    leap_days = year_of_era // 4 - year_of_era // 100
    return era * ERA_DAYS + 365 * year_of_era + leap_days + day_of_year - EPOCH_DAYS


def _date(days: int) -> tuple[int, int, int]:
    """Return (year, month, day) of a count of days since 1970-01-01."""
    era, day_of_era = divmod(days + EPOCH_DAYS, ERA_DAYS)
    leap_days = day_of_era // 1460 - day_of_era // 36524 + day_of_era // (ERA_DAYS - 1)
    year_of_era = (day_of_era - leap_days) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    month = (march_month + 2) % 12 + 1
    day = day_of_year - (153 * march_month + 2) // 5 + 1
    return era * 400 + year_of_era + (month <= 2), month, day
