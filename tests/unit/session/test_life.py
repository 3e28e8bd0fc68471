"""The states of a session: the table is the whole of it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import pytest

from codewire.session.life import TRANSITIONS, Event, Life, State

A_LIFE = (
    (Event.ANNOUNCED, State.RUNNING),
    (Event.STOPPED, State.STOPPED),
    (Event.CONTINUED, State.RUNNING),
    (Event.KILL_ASKED, State.KILLING),
    (Event.EXITED, State.EXITED),
    (Event.SETTLED, State.ENDED),
    (Event.HUNG_UP, State.CLOSED),
)


def reached(start: State) -> set[State]:
    """Return every state that can come after one, that one included."""
    found: set[State] = set()
    following: Iterable[State] = [start]
    while new := set(following) - found:
        found |= new
        following = [after for (before, _), after in TRANSITIONS.items() if before in new]
    return found


def test_a_life() -> None:
    life = Life()
    for event, state in A_LIFE:
        assert life.happens(event)
        assert life.state is state


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_what_is_not_in_the_table_changes_nothing(state: State, event: Event) -> None:
    life = Life(state)
    following = TRANSITIONS.get((state, event))
    assert life.happens(event) == (following is not None)
    assert life.state is (following or state)


def test_every_state_is_reached_and_every_life_ends() -> None:
    assert reached(State.LAUNCHING) == set(State)
    assert all(State.CLOSED in reached(state) for state in State)
    assert {event for _, event in TRANSITIONS} == set(Event)


def test_what_has_ended_never_runs_again() -> None:
    for state in (State.EXITED, State.ENDED, State.CLOSED):
        assert not reached(state) & {State.RUNNING, State.STOPPED, State.KILLING}
    assert [state for state in State if not Life(state).is_running] == [State.ENDED, State.CLOSED]
