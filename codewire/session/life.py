"""Where a session is in its life: one state, and one table of what may follow what.

Whoever learns that something happened says so with `Life.happens`; only what the table has is done.
"""

from __future__ import annotations

from enum import Enum

from codewire.io.states import StateMachine


class State(Enum):
    """What a session does. `is_running` says which of these count as running for everyone."""

    # Its process is there, but nobody has been told of it yet.
    LAUNCHING = "launching"
    RUNNING = "running"
    # A signal has stopped its process (SIGSTOP, SIGTSTP).
    STOPPED = "stopped"
    # It is being ended on somebody's wish.
    KILLING = "killing"
    # Its process is gone; its last bytes may still be on their way.
    EXITED = "exited"
    # All is settled and told; a process it has left may still have the terminal open.
    ENDED = "ended"
    # And nobody has the terminal open.
    CLOSED = "closed"


class Event(Enum):
    """What can happen to a session."""

    ANNOUNCED = "announced"
    STOPPED = "stopped"
    CONTINUED = "continued"
    KILL_ASKED = "kill asked"
    EXITED = "exited"
    SETTLED = "settled"
    HUNG_UP = "hung up"


# What is not here changes nothing: a kill of what is gone, a stop of what is being killed (the
# ladder stops what it kills), an exit that is told twice.
TRANSITIONS = {
    (State.LAUNCHING, Event.ANNOUNCED): State.RUNNING,
    (State.RUNNING, Event.STOPPED): State.STOPPED,
    (State.RUNNING, Event.KILL_ASKED): State.KILLING,
    (State.RUNNING, Event.EXITED): State.EXITED,
    (State.STOPPED, Event.CONTINUED): State.RUNNING,
    (State.STOPPED, Event.KILL_ASKED): State.KILLING,
    (State.STOPPED, Event.EXITED): State.EXITED,
    (State.KILLING, Event.EXITED): State.EXITED,
    (State.EXITED, Event.SETTLED): State.ENDED,
    (State.ENDED, Event.HUNG_UP): State.CLOSED,
}
# Tuples: asked for with every key, and hashing a member of an enumeration is Python code.
OVER = (State.ENDED, State.CLOSED)
# Of these a signal may stop the process.
LIVELY = (State.LAUNCHING, State.RUNNING, State.STOPPED)


class Life(StateMachine[State, Event]):
    """The state of one session, LAUNCHING to begin with.

    >>> life = Life(State.RUNNING)
    >>> life.happens(Event.EXITED), life.happens(Event.EXITED), life.state.value
    (True, False, 'exited')
    """

    __slots__ = ()

    def __init__(self, state: State = State.LAUNCHING) -> None:
        super().__init__(state, TRANSITIONS)

    @property
    def is_running(self) -> bool:
        """Say whether it has not ended; its process may be gone and its last bytes under way."""
        return self.state not in OVER
