"""Two clocks: the time of day, which people read and anybody may set, and one that only goes on.

Whatever waits, expires or is compared goes by the steady one (CLOCK_BOOTTIME, clock_gettime(2)):
it counts suspended hours, too, and is the same for every process until the machine boots. What is
written down has both, and the boot it belongs to.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

BOOT_ID = "/proc/sys/kernel/random/boot_id"
# Elsewhere than on Linux CLOCK_MONOTONIC is the one that counts suspended hours.
STEADY_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Moment(NamedTuple):
    """When something was: nanoseconds since the epoch, on the steady clock, and of which boot."""

    wall_ns: int
    steady_ns: int
    boot: str


class Clock:
    """The clocks of this machine."""

    def __init__(self) -> None:
        self.boot = _read_boot_id()

    def wall_ns(self) -> int:
        """Return the time of day: nanoseconds since the epoch. It jumps when somebody sets it."""
        return time.time_ns()

    def steady_ns(self) -> int:
        """Return nanoseconds since the machine booted. It never jumps."""
        return time.clock_gettime_ns(STEADY_CLOCK)

    def now(self) -> Moment:
        """Return this moment, to be written down."""
        return Moment(self.wall_ns(), self.steady_ns(), self.boot)

    def since(self, moment: Moment) -> int:
        """Return nanoseconds since a moment that was written down; never less than 0.

        After another boot only the time of day is left to tell, and a clock that was set back in
        between says that no time has passed.
        """
        steady_ns = self.steady_ns()
        if moment.boot and moment.boot == self.boot and 0 < moment.steady_ns <= steady_ns:
            return steady_ns - moment.steady_ns
        return max(0, self.wall_ns() - moment.wall_ns)

    def steady_of(self, moment: Moment) -> int:
        """Return when a moment was on this boot's steady clock: at most now, maybe below 0."""
        return self.steady_ns() - self.since(moment)


def _read_boot_id() -> str:
    """Return what names this boot; where the kernel does not say, this process counts as one."""
    try:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, ValueError):
        return f"process-{os.getpid()}-{time.time_ns()}"


CLOCK = Clock()
