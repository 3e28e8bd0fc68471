"""How long a refused login waits: the more wrong passwords an address gave, the longer.

Only refusals wait; a right password is never held up, whoever else tried from its address.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from codewire.relay.http.limits import MAX_KEYS, holder_of

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS = 60.0
FREE = 5
FIRST_SECONDS, MOST_SECONDS = 1.0, 8.0
# After so many the wait does not grow: 1, 2, 4, 8.
COUNTED = FREE + 4


class Failures:
    """The wrong passwords of the last minute, by address. From any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # An IPv6 address counts as its /64. The one quiet for longest is forgotten first.
        self._times: dict[str, deque[float]] = {}

    def delay(self, address: str) -> float:
        """Note a failure; return the seconds that its refusal is held back."""
        holder, now = holder_of(address), self._clock()
        with self._lock:
            times = self._times.pop(holder, None) or deque(maxlen=COUNTED)
            times.append(now)
            self._times[holder] = times
            if len(self._times) > MAX_KEYS:
                del self._times[next(iter(self._times))]
            recent = sum(at > now - WINDOW_SECONDS for at in times)
        return _seconds(recent)


def _seconds(failures: int) -> float:
    if failures <= FREE:
        return 0.0
    return min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** (failures - FREE - 1))
