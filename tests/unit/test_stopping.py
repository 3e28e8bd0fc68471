"""How a stop goes on: who asked for it, how long it may take, when it is over."""

from __future__ import annotations

from codewire.keeper.stopping import SLACK_SECONDS, Stage, Stop


def test_the_stages_of_a_stop() -> None:
    stop = Stop()
    assert not stop.is_over(1e9, True)
    assert stop.asked(15, 0.0, 3600.0)
    assert stop.deadline == 3600 + SLACK_SECONDS
    assert not stop.asked(15, 1.0, 3600.0), "another one joins"
    assert not stop.asked(2, 1.0, 3600.0)
    assert stop.stage is Stage.WORKER
    assert not stop.is_over(3600, False)
    assert stop.is_over(3600, True)
    assert stop.progress(4.9, 2) == ""
    assert "2 session(s) left" in stop.progress(5.0, 2)
    assert stop.progress(9.0, 2) == ""
    stop.asked(2, 9.0, 3600.0)
    assert stop.stage is Stage.NOW
    assert stop.is_over(9.0, False)
