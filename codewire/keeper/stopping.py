"""The end of a node: who asked for it, how long it may take, when it is over. Pure of processes.

The worker ends the sessions and writes it down; a keeper without one that works climbs itself.
"""

from __future__ import annotations

import signal
from enum import Enum

# Grace time where no worker has told us: the default of config.toml (codewire.config, which the
# keeper does not import).
DEFAULT_GRACE_SECONDS = 5.0
# The same for a worker that serves, but is too old to say: what such keepers allowed.
OLD_STOP_SECONDS = 30.0
# Beyond the grace time a worker needs a moment for SIGKILL and for writing everything down.
SLACK_SECONDS = 15.0
PROGRESS_SECONDS = 5.0


class Stage(Enum):
    """How far a stop has come."""

    NONE = "runs"
    WORKER = "the worker ends the sessions"
    ALONE = "the keeper ends them: SIGTERM, grace, SIGKILL"
    NOW = "SIGKILL"


class Stop:
    """Moments are monotonic seconds, handed in."""

    def __init__(self) -> None:
        self.stage = Stage.NONE
        self.deadline = 0.0
        self._interrupts = 0
        self._progress_at = 0.0

    def asked(self, number: int, now: float, grace: float | None) -> bool:
        """Take a signal that asks for the end; return whether it is the first.

        Another SIGTERM or the first SIGINT joins the wait. SIGQUIT, and SIGINT a second time, mean
        at once.
        """
        self._interrupts += number == signal.SIGINT
        is_first = self.stage is Stage.NONE
        if is_first:
            self.stage = Stage.WORKER
            limit = OLD_STOP_SECONDS if grace is None else grace + SLACK_SECONDS
            self.deadline = now + limit
            self._progress_at = now + PROGRESS_SECONDS
        if number == signal.SIGQUIT or self._interrupts > 1:
            self.now()
        return is_first

    def alone(self, now: float, grace: float | None) -> None:
        """No worker can do it: one grace time from now on."""
        self.stage = Stage.ALONE
        self.deadline = now + (DEFAULT_GRACE_SECONDS if grace is None else grace)

    def now(self) -> None:
        """End what is left at once."""
        self.stage = Stage.NOW

    def is_begun(self) -> bool:
        """Say whether anybody has asked for the end."""
        return self.stage is not Stage.NONE

    def is_over(self, now: float, is_idle: bool) -> bool:
        """Say whether to kill what is left and go; `is_idle`: no worker, and every child ended."""
        if self.stage is Stage.NONE:
            return False
        return self.stage is Stage.NOW or is_idle or now >= self.deadline

    def next_moment(self) -> float | None:
        """Return when to look again."""
        return min(self.deadline, self._progress_at) if self.is_begun() else None

    def progress(self, now: float, left: int) -> str:
        """Return a line for whoever waits, "" when none is due."""
        if not self.is_begun() or now < self._progress_at:
            return ""
        self._progress_at = now + PROGRESS_SECONDS
        seconds = max(0.0, self.deadline - now)
        return f"still shutting down: {left} session(s) left, at most {seconds:.0f}s more"
