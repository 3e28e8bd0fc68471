"""What the tests of records, stores and mailboxes share."""

from __future__ import annotations

from typing import Any

from codewire.io.clock import Clock
from codewire.session.records.record import Record, Status

DAY = 24 * 3600 * 1_000_000_000
SECOND = 1_000_000_000
START = 1_775_000_000 * SECOND


class SetClock(Clock):
    """Clocks that a test sets: the time of day jumps, the steady one goes on."""

    def __init__(self, boot: str = "boot-1") -> None:
        self.boot = boot
        self.wall = START
        self.steady = 1000 * SECOND

    def wall_ns(self) -> int:
        return self.wall

    def steady_ns(self) -> int:
        return self.steady

    def pass_seconds(self, seconds: float) -> None:
        """Let time go by for both."""
        self.wall += int(seconds * SECOND)
        self.steady += int(seconds * SECOND)

    def reboot(self) -> None:
        """Begin another boot, at once."""
        self.boot, self.steady = self.boot + "+", SECOND


def running(number: int, **fields: Any) -> Record:
    """Return the record of a session that runs."""
    return Record(number, ["sleep", str(number)], "/tmp", START + number, **fields)


def ended(number: int, code: int = 0, **fields: Any) -> Record:
    """Return the record of a session that has ended."""
    record = running(number, exit_code=code, end_reason="exited", **fields)
    record.status, record.completed_ns = Status.COMPLETED, START + number + SECOND
    return record
