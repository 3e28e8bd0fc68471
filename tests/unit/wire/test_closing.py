"""How a WebSocket ends: the table."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from codewire.io.states import StateMachine
from codewire.wire.closing import LISTENING, SAID_ALL, TRANSITIONS, VIOLATED, Event, State


@pytest.mark.parametrize("events", list(permutations(Event)))
def test_every_order_of_ends_comes_to_one(events: tuple[Event, ...]) -> None:
    end = StateMachine(State.OPEN, TRANSITIONS)
    for event in events:
        end.happens(event)
    assert end.state in (State.CLOSED, State.FAILED)


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_what_was_said_stays_said(state: State, event: Event) -> None:
    end = StateMachine(state, TRANSITIONS)
    assert end.happens(event) == ((state, event) in TRANSITIONS)
    for claim in (SAID_ALL, VIOLATED, frozenset(State) - LISTENING):
        assert state not in claim or end.state in claim
    assert end.state in SAID_ALL or event is not Event.SAID_CLOSE
    assert end.state not in LISTENING or event is Event.SAID_CLOSE
