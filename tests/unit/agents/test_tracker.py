"""A state over time: holds, reports before hooks before looks, and what nobody has seen yet."""

from __future__ import annotations

from codewire.agents.evidence import Verdict
from codewire.agents.tracker import Said, Tracker

IDLE, WORKING, BLOCKED = (Verdict(s, "r") for s in ("idle", "working", "blocked"))


def said(state: str, at: float, kind: str = "", message: str = "") -> Said:
    return Said(state, kind, message, at)


def test_idle_after_work_is_held_for_a_second_and_blocked_is_not() -> None:
    tracker = Tracker(0)
    assert tracker.update(1, WORKING) and tracker.state.state == "working"
    assert not tracker.update(2, IDLE)
    assert not tracker.update(2.9, IDLE) and tracker.state.state == "working"
    assert not tracker.update(2.95, WORKING)
    assert not tracker.update(3.0, IDLE) and not tracker.update(3.9, IDLE)
    assert tracker.update(4.0, IDLE) and tracker.state.state == "done"
    assert tracker.update(5, WORKING) and tracker.update(5.1, BLOCKED)
    assert tracker.state.state == "blocked"


def test_done_until_somebody_looks() -> None:
    tracker = Tracker(0)
    tracker.update(1, WORKING)
    tracker.update(2, IDLE)
    tracker.update(3, IDLE)
    assert tracker.state.state == "done"
    assert tracker.seen(4) and tracker.state.state == "idle"
    assert not tracker.seen(5)
    assert not tracker.update(6, IDLE) and tracker.state.state == "idle"


def test_a_start_leaves_nothing_to_see_but_work_does() -> None:
    guess = WORKING._replace(is_guess=True)
    for typed, work, expected in (
        (False, guess, "idle"),
        (True, guess, "done"),
        (False, WORKING, "done"),
    ):
        tracker = Tracker(0)
        if typed:
            tracker.typed()
        tracker.update(1, work)
        assert tracker.state.state == "working"
        tracker.update(2, IDLE)
        tracker.update(3, IDLE)
        assert tracker.state.state == expected
        again = Tracker(0)
        again.restore(tracker.saved())
        again.update(4, guess)
        again.update(5, IDLE)
        again.update(6, IDLE)
        assert again.state.state == expected


def test_a_dialog_that_was_answered_leaves_nothing_to_see() -> None:
    tracker = Tracker(0)
    tracker.update(1, BLOCKED)
    tracker.update(2, IDLE)
    assert tracker.state.state == "idle"


def test_the_programs_report_counts_more_than_the_screen() -> None:
    tracker = Tracker(0)
    tracker.update(1, IDLE, said("blocked", 1, "auth", "log in"))
    assert tracker.state[:4] == ("blocked", "auth", "log in", "report")
    tracker.update(2, BLOCKED, said("working", 2))
    assert tracker.state.state == "working"
    tracker.update(3, WORKING, said("done", 3))
    assert tracker.state.state == "done"
    tracker.seen(4)
    assert not tracker.update(5, IDLE, said("done", 3)) and tracker.state.state == "idle"
    tracker.update(6, IDLE, said("error", 6, "", "500"))
    assert tracker.state.state == "error" and tracker.state.message == "500"


def test_later_evidence_overrules_an_older_hook() -> None:
    tracker = Tracker(0)
    tracker.hook_said(said("blocked", 1))
    tracker.update(1, WORKING)
    assert tracker.state[:1] == ("blocked",) and tracker.state.source == "hook"
    tracker.update(2, BLOCKED)
    assert tracker.state.source == "hook"
    tracker.update(9, IDLE)
    assert (tracker.state.state, tracker.state.source) == ("idle", "screen")


def test_a_dialog_that_still_stands_there_overrules_a_hook_that_knows_none() -> None:
    tracker = Tracker(0)
    tracker.update(1, BLOCKED)
    tracker.hook_said(said("working", 2))
    tracker.update(2, BLOCKED)
    assert (tracker.state.state, tracker.wants_look_at) == ("working", 4.0)
    tracker.update(3.9, BLOCKED)
    assert tracker.state.state == "working"
    tracker.update(4.0, BLOCKED)
    assert (tracker.state.state, tracker.state.source) == ("blocked", "screen")
    assert tracker.wants_look_at is None


def test_since_is_when_the_state_began() -> None:
    tracker = Tracker(0)
    tracker.update(1, WORKING)
    tracker.update(5, Verdict("working", "other"))
    assert tracker.state.since == 1


def test_what_was_saved_goes_on() -> None:
    import json

    tracker = Tracker(0.0)
    tracker.update(1.0, Verdict("working", "spinner"))
    tracker.update(2.0, Verdict("idle", "nothing"))
    tracker.update(4.0, Verdict("idle", "nothing"))
    assert tracker.state.state == "done"
    again = Tracker(100.0)
    again.restore(json.loads(json.dumps(tracker.saved())))
    again.update(101.0, Verdict("idle", "nothing"))
    assert again.state == tracker.state
    assert again.seen(102.0) and again.state.state == "idle"


def test_a_hook_that_was_saved_is_not_overruled_by_what_was_there_before() -> None:
    tracker = Tracker(0.0)
    tracker.hook_said(Said("working", "", "", 1.0))
    tracker.update(1.0, Verdict("idle", "nothing"))
    again = Tracker(50.0)
    again.restore(tracker.saved())
    again.update(60.0, Verdict("idle", "nothing"))
    assert again.state.state == "working"


def test_damage_is_left_out() -> None:
    for saved in (
        {"state": 3, "since": 1},
        {"state": "x", "since": 1.0},
        {"hook": [1, 2]},
        {"verdict": 7, "state": "idle", "since": True},
        {"verdict": ["idle"]},
        {"verdict": [1, "x"]},
    ):
        tracker = Tracker(5.0)
        tracker.restore(saved)
        assert tracker.state.state == "idle" and tracker.state.since == 5.0
