"""When waiting ends: a moment that is decided once and passed down to whatever waits.

Measured on the monotonic clock, so a corrected wall clock neither cuts a wait short nor draws it
out. Who sets a deadline says what its passing means; those it is handed to only keep it.
"""

from __future__ import annotations

import time

# Longer is for ever; it keeps the arithmetic of every clock and runtime in range.
MAX_SECONDS = 10 * 365 * 24 * 3600


class Deadline:
    """A moment after which nobody waits any more, or never."""

    __slots__ = ("_end",)

    def __init__(self, end: float | None) -> None:
        """`end` is a time.monotonic(), None for never; see `after`."""
        self._end = end

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Return the moment `seconds` from now (negative counts as 0), None for never."""
        if seconds is None:
            return NEVER
        return cls(time.monotonic() + min(max(seconds, 0.0), MAX_SECONDS))

    def left(self) -> float | None:
        """Return the seconds that are left, 0 or more; None for no end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Say whether the moment has passed."""
        return self._end is not None and time.monotonic() >= self._end

    @property
    def never(self) -> bool:
        """Say whether there is no end."""
        return self._end is None

    def within(self, seconds: float | None) -> Deadline:
        """Return the sooner of this and the moment `seconds` from now."""
        return self.sooner(Deadline.after(seconds))

    def sooner(self, other: Deadline) -> Deadline:
        """Return the one of two that passes first."""
        if self._end is None or (other._end is not None and other._end < self._end):
            return other
        return self


NEVER = Deadline(None)
