"""One at a time by name: a request that is sent again waits for its first attempt to be over."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Turns:
    """Locks by name, there only while somebody holds or awaits them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Name -> its lock, and how many hold or await it.
        self._turns: dict[str, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def take(self, name: str, seconds: float) -> Iterator[bool]:
        """Hold a name; yield False when another held it for all of `seconds`. "" is nobody's."""
        if not name:
            yield True
            return
        with self._lock:
            turn, users = self._turns.get(name, (threading.Lock(), 0))
            self._turns[name] = turn, users + 1
        has_turn = turn.acquire(timeout=seconds)
        try:
            yield has_turn
        finally:
            if has_turn:
                turn.release()
            with self._lock:
                turn, users = self._turns[name]
                if users == 1:
                    del self._turns[name]
                else:
                    self._turns[name] = turn, users - 1
