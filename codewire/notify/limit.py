"""At most so many notifications a minute; what is beyond becomes one summary. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from codewire.notify.letters import Letter, summary

WINDOW_SECONDS = 60.0
# Of more in one summary only the last are named.
MAX_HELD = 1000


class Limit:
    """Moments are seconds since the epoch: they outlive this process, by `sent`."""

    def __init__(self, per_minute: int, sent: Iterable[float] = ()) -> None:
        self._most = per_minute
        self._sent = deque(sent, maxlen=per_minute)
        self._held: list[Letter] = []

    @property
    def sent(self) -> list[float]:
        """When the last ones went out."""
        return list(self._sent)

    def take(self, letter: Letter, now: float) -> Letter | None:
        """Return the letter if it may go out now; else it is held for the summary."""
        self._forget_future(now)
        if not self._held and self._has_room(now):
            self._sent.append(now)
            return letter
        self._held.append(letter)
        del self._held[:-MAX_HELD]
        return None

    def due(self) -> float | None:
        """Return when the summary may go out, None without one."""
        if not self._held:
            return None
        return self._sent[0] + WINDOW_SECONDS if len(self._sent) >= self._most else 0.0

    def summary(self, now: float) -> tuple[Letter, list[Letter]] | None:
        """Return the summary that is due and what it stands for, None without one."""
        self._forget_future(now)
        due = self.due()
        if due is None or now < due:
            return None
        held, self._held = self._held, []
        self._sent.append(now)
        return (held[0] if len(held) == 1 else summary(held)), held

    def _forget_future(self, now: float) -> None:
        """A clock that was set back must not keep anybody from being told."""
        if self._sent and self._sent[-1] > now:
            self._sent.clear()

    def _has_room(self, now: float) -> bool:
        return len(self._sent) < self._most or now - self._sent[0] >= WINDOW_SECONDS
