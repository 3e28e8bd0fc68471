"""Moments that were written down, seen from later: on the same boot, after another, clocks set."""

from __future__ import annotations

import time

from codewire.io.clock import Clock, Moment
from codewire.session.session import Session
from tests.unit.session.records import DAY, SECOND, START, SetClock, running


def test_the_real_clocks_go_on() -> None:
    clock = Clock()
    now = clock.now()
    assert abs(now.wall_ns - time.time_ns()) < 60 * SECOND
    assert 0 <= clock.since(now) < 60 * SECOND


def test_on_one_boot_only_the_steady_clock_counts() -> None:
    clock = SetClock()
    moment = clock.now()
    clock.pass_seconds(5)
    for wall in (START + DAY, START - DAY, 0):
        clock.wall = wall
        assert clock.since(moment) == 5 * SECOND
        assert clock.steady_of(moment) == moment.steady_ns


def test_after_a_boot_the_time_of_day_counts_but_never_backwards() -> None:
    clock = SetClock()
    moment = clock.now()
    clock.pass_seconds(5)
    clock.reboot()
    assert clock.since(moment) == 5 * SECOND
    clock.wall -= DAY
    assert clock.since(moment) == 0


def test_a_steady_moment_of_the_future_is_not_believed() -> None:
    clock = SetClock()
    moment = Moment(clock.wall - SECOND, clock.steady + DAY, clock.boot)
    assert clock.since(moment) == SECOND


def test_idle_time_and_duration_do_not_follow_the_time_of_day() -> None:
    clock = SetClock()
    now = clock.now()
    record = running(1, began_steady_ns=now.steady_ns, boot=now.boot)
    session = Session(record, "/nonexistent/output.log", "", clock=clock)
    clock.pass_seconds(3)
    for jump in (DAY, -2 * DAY):
        clock.wall += jump
        assert session.idle_seconds() == 3
        assert session.duration_ms() == 3000
    clock.pass_seconds(2)
    assert session.idle_seconds() == 5
    record.duration_ms = 1234
    assert session.duration_ms() == 1234
