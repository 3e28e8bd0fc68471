"""Which sessions' terminals show which other sessions: a circle would print its output for ever."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from codewire.errors import RequestError


class Showing:
    """What clients that run in sessions show on their terminals now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # (the session whose terminal it is, the one that is shown) -> by how many clients.
        self._pairs: Counter[tuple[int, int]] = Counter()

    @contextlib.contextmanager
    def on(self, shower: int | None, shown: int) -> Iterator[None]:
        """Note, while entered, that a client on `shower`'s terminal shows a session.

        None is a client outside of sessions. Raises RequestError where that closes a circle.
        """
        if shower is None:
            yield
            return
        pair = (shower, shown)
        with self._lock:
            if shower in self._reached(shown):
                raise RequestError(
                    f"session {shown} shows session {shower} itself: "
                    "each would repeat the other's output for ever"
                )
            self._pairs[pair] += 1
        try:
            yield
        finally:
            with self._lock:
                self._pairs[pair] -= 1
                if not self._pairs[pair]:
                    del self._pairs[pair]

    def _reached(self, start: int) -> set[int]:
        """Return the sessions that stand, directly or not, on a session's terminal, and itself."""
        found, new = {start}, [start]
        while new:
            at = new.pop()
            shown = {b for a, b in self._pairs if a == at} - found
            found |= shown
            new += shown
        return found
