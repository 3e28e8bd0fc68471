"""Deadlines: what is left, which of two is sooner, and that none lasts longer than a clock can."""

from __future__ import annotations

import math
import time

from codewire.io.deadline import MAX_SECONDS, NEVER, Deadline


def test_never() -> None:
    assert NEVER.never
    assert not NEVER.expired
    assert NEVER.left() is None
    assert Deadline.after(None) is NEVER


def test_what_is_left_shrinks_to_nothing_and_no_further() -> None:
    left = Deadline.after(100).left()
    assert left is not None
    assert 99 < left <= 100
    for seconds in (0, -5):
        past = Deadline.after(seconds)
        assert past.expired
        assert past.left() == 0.0
    assert Deadline(time.monotonic() - 10).left() == 0.0


def test_the_sooner_one_counts() -> None:
    soon, late = Deadline.after(1), Deadline.after(50)
    assert soon.sooner(late) is late.sooner(soon) is soon
    assert NEVER.sooner(late) is late.sooner(NEVER) is late
    assert NEVER.sooner(NEVER).never
    assert late.within(None) is late
    assert (late.within(2).left() or 99) <= 2
    assert soon.within(70) is soon


def test_a_number_beyond_all_clocks_is_a_long_time() -> None:
    for seconds in (2.0**64, 1e300, math.inf):
        left = Deadline.after(seconds).left()
        assert left is not None
        assert left <= MAX_SECONDS
