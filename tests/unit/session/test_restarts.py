"""Restart policies: who is started again, after which pause, and when that is over."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.errors import RequestError
from codewire.session import restarts
from codewire.session.records.record import Record, Status, record_from_json
from tests.unit.session.records import DAY, SECOND, SetClock

NOW = 1_000_000_000_000


def ended(restart: dict[str, Any], lived: float = 1.0, **how: Any) -> dict[str, Any]:
    record = Record(1, ["x"], "/", 1, status=Status.COMPLETED, restart=restart)
    for key, value in {"exit_code": 1, "end_reason": "exited", **how}.items():
        setattr(record, key, value)
    return restarts.after_end(record, lived, NOW)


@pytest.mark.parametrize(
    ("policy", "how", "is_due"),
    [
        ("on-failure", {"exit_code": 1}, True),
        ("on-failure", {"exit_code": 0}, False),
        ("on-failure", {"exit_code": -1, "end_reason": "signal"}, True),
        ("on-failure", {"exit_code": None, "end_reason": "lost"}, True),
        ("always", {"exit_code": 0}, True),
        ("always", {"exit_code": 1}, True),
        ("always", {"end_reason": "killed"}, False),
        ("always", {"end_reason": "lost", "is_restorable": True}, False),
    ],
)
def test_who_is_started_again(policy: str, how: dict[str, Any], is_due: bool) -> None:
    found = ended(restarts.new_restart(policy, None), **how)
    assert bool(restarts.due_ns(found)) == is_due
    assert ("ended" in found) != is_due


def test_pauses_grow_up_to_a_minute() -> None:
    assert [restarts.pause(n) for n in (0, 1, 2, 5, 6, 1000)] == [1, 2, 4, 32, 60, 60]


def test_it_gives_up_at_its_maximum() -> None:
    restart = restarts.new_restart("always", 2)
    for count in range(2):
        due = ended(restart)
        assert restarts.due_ns(due) == NOW + (1 << count) * 1_000_000_000
        restart = restarts.counted(due)
        assert restart == {"policy": "always", "max": 2, "count": count + 1}
    assert ended(restart)["ended"] == "gave up after 2 restarts"
    assert ended(restarts.new_restart("always", 0))["ended"] == "gave up after 0 restarts"


def test_a_run_that_was_well_begins_anew() -> None:
    restart = {"policy": "always", "max": 2, "count": 2}
    assert restarts.due_ns(ended(restart, restarts.WELL_SECONDS)) == NOW + 1_000_000_000
    assert "ended" in ended(restart, restarts.WELL_SECONDS - 1)


def test_a_start_that_fails_counts() -> None:
    restart = restarts.counted(restarts.new_restart("always", 1))
    assert restarts.after_failed_start(restart, "no such directory", NOW)["ended"] == (
        "gave up after 1 restart: no such directory"
    )
    more = restarts.counted(restarts.new_restart("always", 5))
    assert restarts.due_ns(restarts.after_failed_start(more, "x", NOW)) == NOW + 2_000_000_000


def test_no_policy_is_replaced_in_place() -> None:
    """The store compares a record with what it wrote last."""
    restart = restarts.new_restart("always", None)
    for found in (ended(restart), restarts.counted(restart), restarts.ended(restart, "killed")):
        assert found is not restart
    assert restart == {"policy": "always", "count": 0}


def test_bad_policies_are_refused() -> None:
    with pytest.raises(RequestError, match="on-failure or always"):
        restarts.new_restart("sometimes", None)
    with pytest.raises(RequestError, match="needs a restart policy"):
        restarts.new_restart("", 3)
    assert restarts.new_restart("", None) == {}


def test_damage_in_a_record_does_no_harm() -> None:
    bad = {"policy": "always", "count": "many", "max": "x", "due_ns": "soon"}
    record = record_from_json({"id": 1, "status": "running", "restart": bad})
    assert restarts.due_ns(record.restart) == 0
    assert restarts.due_ns(restarts.after_end(record, 1.0, NOW)) == NOW + 1_000_000_000


def test_a_record_keeps_all_of_it() -> None:
    record = Record(1, ["x"], "/", 1, relaunched_from=3, relaunched_as=9, is_restorable=True)
    record.is_final, record.restart, record.resume = True, {"count": 1}, {"id": "a", "by": "hook"}
    assert record_from_json(record.to_json()).to_json() == record.to_json()


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_a_clock_that_is_set_changes_no_pause(jump: int) -> None:
    clock = SetClock()
    waiting = restarts.Waiting(clock)
    waiting.add(1, {"due_ns": clock.wall + 2 * SECOND})
    clock.wall += jump
    assert waiting.seconds() == 2 and waiting.due() == []
    clock.pass_seconds(2)
    assert waiting.seconds() == 0 and waiting.due() == [1]
    assert waiting.drop(1) and not waiting.drop(1)
    assert waiting.seconds() is None


def test_a_clock_set_back_before_a_new_worker_costs_the_longest_pause_at_most() -> None:
    clock = SetClock()
    waiting = restarts.Waiting(clock)
    waiting.add(1, {"due_ns": clock.wall + DAY})
    waiting.add(2, {"due_ns": clock.wall - DAY})
    assert waiting.due() == [2]
    waiting.drop(2)
    assert waiting.seconds() == restarts.LONGEST_PAUSE
