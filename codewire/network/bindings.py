"""What a relay says of a session's groups, remembered for a while (spec/network-auth.md 6.3).

Whoever needs it waits a bounded time, and one look-up serves all who wait for the same session.
While the relay cannot be asked, what it said last counts, and nobody waits for it each time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from codewire.errors import CodewireError, OutOfThreads
from codewire.io.wait import spawn
from codewire.network.answers import Binding

# A changed policy counts after so long.
FRESH_SECONDS = 5.0
# A relay that could not be asked is left alone for so long.
AWAY_SECONDS = 5.0
MAX_SESSIONS = 4096

Bound = tuple[Binding, ...]


class _Entry:
    __slots__ = ("ask_at", "asking", "bound")

    def __init__(self) -> None:
        # None: the relay has never said.
        self.bound: Bound | None = None
        # When to ask again, on the monotonic clock.
        self.ask_at = float("-inf")
        # Set when the look-up under way is over; None: none is.
        self.asking: threading.Event | None = None


class Bindings:
    """By session name. Any thread may call; nothing is asked under a lock."""

    def __init__(self, fetch: Callable[[str], Sequence[Binding]]) -> None:
        """`fetch` asks the relay about one session; it blocks and raises CodewireError."""
        self._fetch = fetch
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._away_until = float("-inf")

    def of(self, name: str, seconds: float) -> Bound | None:
        """Return what is known of a session, None for nothing; waits for news so long at most.

        With 0 it waits for nothing: what is old is looked up for who asks next.
        """
        entry, over = self._due(name)
        if over is not None and seconds > 0:
            over.wait(seconds)
        return entry.bound

    def forget(self, name: str) -> None:
        """Have the next one ask: this node has just changed it."""
        with self._lock:
            if name in self._entries:
                self._entries[name].ask_at = float("-inf")

    def _due(self, name: str) -> tuple[_Entry, threading.Event | None]:
        """Return a session's entry, and the end of the look-up that it needs."""
        with self._lock:
            entry = self._entries.setdefault(name, _Entry())
            self._entries.move_to_end(name)
            while len(self._entries) > MAX_SESSIONS:
                self._entries.popitem(last=False)
            if entry.asking is not None or time.monotonic() < max(entry.ask_at, self._away_until):
                return entry, entry.asking
            over = entry.asking = threading.Event()
        try:
            spawn(self._look_up, name, entry, over)
        except OutOfThreads:
            self._settle(entry, over, is_told=False)
        return entry, over

    def _look_up(self, name: str, entry: _Entry, over: threading.Event) -> None:
        is_told = False
        try:
            entry.bound = tuple(self._fetch(name))
            is_told = True
        except (CodewireError, OSError):
            # The uplink says what is wrong with the relay.
            pass
        finally:
            self._settle(entry, over, is_told)

    def _settle(self, entry: _Entry, over: threading.Event, is_told: bool) -> None:
        with self._lock:
            now = time.monotonic()
            entry.asking = None
            if is_told:
                entry.ask_at = now + FRESH_SECONDS
            else:
                self._away_until = now + AWAY_SECONDS
        over.set()
