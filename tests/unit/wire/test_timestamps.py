"""Timestamps: digits, zones, and the calendar, which datetime checks."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.wire.timestamps import format_nanos, format_seconds, parse_timestamp

SECOND = 10**9
NOON = 1775217605 * SECOND  # 2026-04-03T12:00:05Z

NANOS = st.integers(-62167219200 * SECOND, 253402300800 * SECOND - 1)


@pytest.mark.parametrize(
    ("ns", "nanos", "seconds"),
    [
        (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        (NOON, "2026-04-03T12:00:05Z", "2026-04-03T12:00:05Z"),
        (NOON + 123_400_000, "2026-04-03T12:00:05.1234Z", "2026-04-03T12:00:05Z"),
        (NOON + 1, "2026-04-03T12:00:05.000000001Z", "2026-04-03T12:00:05Z"),
        (NOON + 999_999_999, "2026-04-03T12:00:05.999999999Z", "2026-04-03T12:00:05Z"),
        (NOON + 500_000_000, "2026-04-03T12:00:05.5Z", "2026-04-03T12:00:05Z"),
        (951782400 * SECOND, "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
        (4107542400 * SECOND - 1, "2100-02-28T23:59:59.999999999Z", "2100-02-28T23:59:59Z"),
        (4107542400 * SECOND, "2100-03-01T00:00:00Z", "2100-03-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59Z"),
        (-(10**30), "0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        (10**30, "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_format(ns: int, nanos: str, seconds: str) -> None:
    assert format_nanos(ns) == nanos
    assert format_seconds(ns) == seconds


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-04-03T12:00:05Z", NOON),
        ("2026-04-03T12:00:05.1234Z", NOON + 123_400_000),
        ("2026-04-03T12:00:05.123456789999Z", NOON + 123_456_789),
        ("2026-04-03T14:00:05+02:00", NOON),
        ("2026-04-03T07:30:05.25-04:30", NOON + 250_000_000),
        ("2026-04-04T00:00:05+12:00", NOON),
        ("2026-04-03T12:00:05+00:00", NOON),
        ("2026-04-03t12:00:05z", NOON),
        ("2026-04-03 12:00:05Z", NOON),
        ("2026-12-31T23:59:60Z", 1798761600 * SECOND),
        ("0001-01-01T00:00:00Z", -62135596800 * SECOND),
        ("0000-01-01T00:00:00Z", -62167219200 * SECOND),
    ],
)
def test_parse(text: str, ns: int) -> None:
    assert parse_timestamp(text) == ns


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "2026-04-03",
        "2026-04-03T12:00:05",
        "2026-04-03T12:00Z",
        "2026-4-3T12:00:05Z",
        "2026-04-03T12:00:05.Z",
        "2026-04-03T12:00:05Z ",
        "2026-04-03T12:00:05Z\n",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-04-00T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-04-03T24:00:00Z",
        "2026-04-03T12:60:00Z",
        "2026-04-03T12:00:61Z",
        "2026-04-03T12:00:05+24:00",
        "2026-04-03T12:00:05+02:60",
        "２026-04-03T12:00:05Z",
        "-026-04-03T12:00:05Z",
        None,
        5,
        True,
        [],
        {"time": 1},
    ],
)
def test_nonsense(value: Any) -> None:
    with pytest.raises(ValueError):
        parse_timestamp(value)


@settings(max_examples=200, deadline=None)
@given(NANOS)
def test_every_time_comes_back(ns: int) -> None:
    assert parse_timestamp(format_nanos(ns)) == ns
    assert parse_timestamp(format_seconds(ns)) == ns // SECOND * SECOND


@settings(max_examples=200, deadline=None)
@given(
    st.datetimes(),
    st.integers(-23 * 60 - 59, 23 * 60 + 59).filter(bool),
)
def test_the_calendar_is_the_standard_one(moment: datetime, zone_minutes: int) -> None:
    since_epoch = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    assert format_seconds(since_epoch * 1000) == moment.isoformat(timespec="seconds") + "Z"
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=zone_minutes)))
    expected = since_epoch * 1000 - zone_minutes * 60 * SECOND
    assert parse_timestamp(zoned.isoformat()) == expected


def test_every_day_of_four_hundred_years() -> None:
    day = datetime(1999, 1, 1)
    for number in range(10592, 10592 + 146_097):
        text = day.strftime("%Y-%m-%dT00:00:00Z")
        assert format_seconds(number * 86400 * SECOND) == text
        day += timedelta(days=1)
