"""Timestamps: exact to the nanosecond, in any zone, against datetime as the judge."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.wire.timestamps import SECOND, format_nanos, format_seconds, parse_timestamp

NOON = 1775217605 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FIRST = -62135596800
LAST = 253402300799


def exact_ns(moment: datetime) -> int:
    passed = moment - EPOCH
    return (passed.days * 86400 + passed.seconds) * SECOND + passed.microseconds * 1000


@pytest.mark.parametrize(
    ("ns", "whole", "full"),
    [
        (NOON, "2026-04-03T12:00:05Z", "2026-04-03T12:00:05Z"),
        (NOON + 123_400_000, "2026-04-03T12:00:05Z", "2026-04-03T12:00:05.1234Z"),
        (NOON + 1, "2026-04-03T12:00:05Z", "2026-04-03T12:00:05.000000001Z"),
        (NOON + SECOND - 1, "2026-04-03T12:00:05Z", "2026-04-03T12:00:05.999999999Z"),
        (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999999999Z"),
        (951782400 * SECOND, "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
        (FIRST * SECOND, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        (LAST * SECOND, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_formats(ns: int, whole: str, full: str) -> None:
    assert format_seconds(ns) == whole
    assert format_nanos(ns) == full
    assert parse_timestamp(full) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-04-03T14:00:05+02:00", NOON),
        ("2026-04-03T06:30:05-05:30", NOON),
        ("2026-04-04T00:00:05+12:00", NOON),
        ("2026-04-03T12:00:05+00:00", NOON),
        ("2026-04-03t12:00:05z", NOON),
        ("2026-04-03 12:00:05Z", NOON),
        ("2026-04-03T14:00:05.22082845+02:00", NOON + 220_828_450),
        ("2026-04-03T12:00:05.220972128Z", NOON + 220_972_128),
        ("2026-04-03T12:00:05.9999999999Z", NOON + SECOND - 1),
    ],
)
def test_zones_and_fractions(text: str, ns: int) -> None:
    assert parse_timestamp(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-04-03",
        "2026-04-03T12:00:05",  # no zone
        "2026-04-03T12:00:05.Z",
        "2026-04-03T12:00:05,5Z",
        "2026-04-03T12:00Z",
        "2026-13-03T12:00:05Z",
        "2026-00-03T12:00:05Z",
        "2026-04-31T12:00:05Z",
        "2026-04-00T12:00:05Z",
        "2026-02-29T12:00:05Z",
        "1900-02-29T12:00:05Z",
        "2026-04-03T24:00:00Z",
        "2026-04-03T12:60:05Z",
        "2026-04-03T12:00:60Z",
        "2026-04-03T12:00:05+24:00",
        "2026-04-03T12:00:05+02:60",
        "2026-04-03T12:00:05+0200",
        "2026-04-03T12:00:05Z ",
        "2026-04-03T12:00:05Z\n",
        "٢٠٢٦-04-03T12:00:05Z",
    ],
)
def test_what_is_no_timestamp(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timestamp(text)


@settings(max_examples=200, deadline=None)
@given(st.integers(FIRST * SECOND, LAST * SECOND))
def test_nanoseconds_come_back(ns: int) -> None:
    assert parse_timestamp(format_nanos(ns)) == ns
    assert format_seconds(ns) == (EPOCH + timedelta(seconds=ns // SECOND)).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    ).rjust(20, "0")


@settings(max_examples=200, deadline=None)
@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_any_zone_agrees_with_datetime(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_timestamp(aware.isoformat()) == exact_ns(aware)
