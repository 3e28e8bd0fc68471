"""The TTL grammar: Go's durations, and Go's words where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.wire.duration import MAX_NANOS, parse_duration

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("60s", 60 * SECOND),
        ("5m", 300 * SECOND),
        ("1h30m", 5400 * SECOND),
        ("1.5h", 5400 * SECOND),
        (".5s", SECOND // 2),
        ("1.s", SECOND),
        ("+1s", SECOND),
        ("-1m", -60 * SECOND),
        ("1h1m1s1ms1us1\u00b5s1\u03bcs1ns", 3661 * SECOND + 1_003_001),
        ("100ns", 100),
        ("0.000000001s", 1),
        ("0.0000000001s", 0),
        ("9223372036854775807ns", MAX_NANOS),
        ("2562047h47m16.854775807s", MAX_NANOS),
    ],
)
def test_durations(text: str, nanos: int) -> None:
    assert parse_duration(text) == nanos


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5", 'time: missing unit in duration "5"'),
        ("1h5", 'time: missing unit in duration "1h5"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        ("1s-2m", 'time: unknown unit "s-" in duration "1s-2m"'),
        ("", 'time: invalid duration ""'),
        (" 1s", 'time: invalid duration " 1s"'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        (".s", 'time: invalid duration ".s"'),
        ("1e3s", 'time: unknown unit "e" in duration "1e3s"'),
        ("\u0661s", 'time: invalid duration "\u0661s"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("99999999h", 'time: invalid duration "99999999h"'),
    ],
)
def test_no_durations(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert str(caught.value) == words


@given(st.text("0123456789.+-hmsun\u00b5 d", max_size=20))
def test_anything_is_a_number_or_an_error_in_words(text: str) -> None:
    try:
        assert abs(parse_duration(text)) <= MAX_NANOS
    except ValueError as error:
        assert str(error).startswith("time: ")


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_units_add_up(hours: int, minutes: int, seconds: int) -> None:
    total = ((hours * 60 + minutes) * 60 + seconds) * SECOND
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == total
    assert parse_duration(f"-{hours}h{minutes}m{seconds}s") == -total
