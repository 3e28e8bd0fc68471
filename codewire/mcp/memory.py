"""What screens showed at offsets that agents were told, so that they can be told what is new."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from typing import Any

# What is remembered of how many reads.
MAX_LINES = 2000
MAX_READS = 64


def lines_of(screen: dict[str, Any]) -> list[str]:
    """Return the lines above a screen and on it, without empty ones at the end."""
    lines = [*(screen.get("history") or []), *(screen.get("lines") or [])]
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Memory:
    """What sessions showed at offsets that agents were told. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: OrderedDict[tuple[int, int], list[str]] = OrderedDict()

    def keep(self, session_id: int, screen: dict[str, Any]) -> None:
        """Remember what a screen shows, for who reads on from its offset."""
        offset = screen.get("offset")
        if isinstance(offset, int):
            with self._lock:
                self._shown[session_id, offset] = lines_of(screen)[-MAX_LINES:]
                while len(self._shown) > MAX_READS:
                    self._shown.popitem(last=False)

    def new_lines(self, session_id: int, offset: int, screen: dict[str, Any]) -> list[str] | None:
        """Return the lines that were not there at an offset; None where nobody remembers that."""
        with self._lock:
            before = self._shown.get((session_id, offset))
        return None if before is None else added(before, lines_of(screen))


def added(before: list[str], now: list[str]) -> list[str]:
    """Return the lines of `now` that `before` has not, or not as often; empty ones left out."""
    left = Counter(before)
    found: list[str] = []
    for line in now:
        if left[line] > 0:
            left[line] -= 1
        elif line:
            found.append(line)
    return found
