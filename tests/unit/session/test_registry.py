"""Ids and names: never given twice, and what is kept of the past in the order of its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codewire.errors import LaunchError
from codewire.paths import DataDir
from codewire.session.life import State
from codewire.session.records.record import MAX_ID, Record
from codewire.session.registry import Registry
from codewire.session.session import Session
from tests.unit.session.records import DAY, START, ended, running


def session(record: Record) -> Session:
    found = Session(record, "/nonexistent/output.log", "")
    if record.completed_ns:
        found.life.state = State.CLOSED
    return found


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(DataDir(str(tmp_path)))


def finish(registry: Registry, number: int, at: int) -> Session:
    record = ended(number)
    record.completed_ns = at
    found = session(record)
    registry.count_end(found)
    registry.add(found)
    return found


def test_the_newest_id_is_not_given_again(registry: Registry, tmp_path: Path) -> None:
    """Neither after it was dropped, nor after a launch of an earlier id failed."""
    first, second = registry.reserve(""), registry.reserve("")
    assert (first, second) == (1, 2)
    registry.unreserve(first, "")
    assert registry.reserve("") == 3
    finish(registry, 3, START)
    assert registry.drop_oldest_finished(0) == [3]
    assert registry.reserve("") == 4
    registry.unreserve(4, "")
    assert registry.reserve("") == 4, "nobody heard of it"


def test_ids_given_before_this_worker(registry: Registry) -> None:
    registry.skip_to(7)
    registry.skip_to(3)
    assert registry.reserve("") == 7
    registry.skip_to(MAX_ID + 1)
    with pytest.raises(LaunchError, match="no session id is left"):
        registry.reserve("")


def test_what_is_kept_does_not_hang_on_the_time_of_day(registry: Registry, tmp_path: Path) -> None:
    """Clocks that jump: the ones that ended first go first."""
    order = [3, 1, 4, 2]
    for position, number in enumerate(order):
        os.makedirs(tmp_path / "sessions" / str(number))
        finish(registry, number, START + [0, -1, 2, -3][position] * DAY)
    registry.add(session(running(5)))
    assert registry.drop_oldest_finished(2) == [3, 1]
    assert sorted(os.listdir(tmp_path / "sessions")) == ["2", "4"]
    assert [s.id for s in registry.all()] == [2, 4, 5]


def test_the_order_of_ends_goes_on_after_a_restart(registry: Registry) -> None:
    """A clock that was set back in between does not make the fresh one the oldest."""
    for number in (1, 2):
        registry.add(session(ended(number, end_number=number + 10)))
    registry.add(session(ended(9)))
    fresh = finish(registry, 3, START - DAY)
    assert fresh.record.end_number == 13
    assert registry.drop_oldest_finished(2) == [9, 1], "without a number: of an older release"


def test_names(registry: Registry) -> None:
    number = registry.reserve("n")
    with pytest.raises(LaunchError, match="already in use"):
        registry.reserve("n")
    registry.unreserve(number, "n")
    assert registry.reserve("n") == number
    found = session(running(number, name="n"))
    registry.add(found)
    registry.release_name(found)
    assert registry.reserve("n") == number + 1
