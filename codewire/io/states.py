"""What is in one of several states, and goes on to another only as a table says."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Generic, TypeVar

S = TypeVar("S")
E = TypeVar("E")


class StateMachine(Generic[S, E]):
    """A state and its table: what follows a state when something happens.

    What the table does not have changes nothing. Any greenlet or thread may tell it.
    """

    __slots__ = ("_lock", "_table", "state")

    def __init__(self, state: S, table: Mapping[tuple[S, E], S]) -> None:
        self.state = state
        self._table = table
        self._lock = threading.Lock()

    def happens(self, event: E) -> bool:
        """Go on to what follows; say whether anything does. Of several callers one hears True."""
        with self._lock:
            following = self._table.get((self.state, event))
            if following is not None:
                self.state = following
        return following is not None
