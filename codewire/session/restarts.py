"""Restart policies: whether a session that has ended is started again, and after which pause.

`Record.restart` holds one: {"policy", "max"?, "count", "due_ns"?, "ended"?}. It is replaced, never
changed in place: what is on the disk is compared with it.
"""

from __future__ import annotations

from typing import Any

from codewire.errors import RequestError
from codewire.io.clock import Clock
from codewire.session.records.record import Record
from codewire.wire.codes import BAD_REQUEST
from codewire.wire.texts import go_quote

ON_FAILURE, ALWAYS = POLICIES = ("on-failure", "always")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# A run that lasted so long was well: pauses and counting begin anew.
WELL_SECONDS = 600.0
# 2 to the power of this is beyond the longest pause.
MAX_DOUBLINGS = 10

Restart = dict[str, Any]


class Waiting:
    """Sessions, by id, that wait for the end of their pause. Its user holds a lock.

    What is written down is a time of day. Here it is one on the steady clock, so that nobody who
    sets the time of day makes a pause longer or shorter, and none is longer than the longest.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[int, int] = {}

    def add(self, session_id: int, restart: Restart) -> None:
        """Begin to wait for `due_ns` of a policy."""
        left = due_ns(restart) - self._clock.wall_ns()
        left = max(0, min(left, int(LONGEST_PAUSE * 1e9)))
        self._due[session_id] = self._clock.steady_ns() + left

    def drop(self, session_id: int) -> bool:
        """Wait no more; say whether it did."""
        return self._due.pop(session_id, None) is not None

    def due(self) -> list[int]:
        """Return those whose pause is over."""
        now = self._clock.steady_ns()
        return [number for number, moment in self._due.items() if moment <= now]

    def seconds(self) -> float | None:
        """Return how long the first one still waits, None where nobody does."""
        if not self._due:
            return None
        return max(0.0, (min(self._due.values()) - self._clock.steady_ns()) / 1e9)


def new_restart(policy: str, most: int | None) -> Restart:
    """Return a policy as it begins, {} for none. Raises RequestError."""
    if not policy:
        if most is not None:
            raise RequestError("a maximum of restarts needs a restart policy", BAD_REQUEST)
        return {}
    if policy not in POLICIES:
        words = " or ".join(POLICIES)
        raise RequestError(f"restart must be {words}, got {go_quote(policy)}", BAD_REQUEST)
    return {"policy": policy, "count": 0, **({} if most is None else {"max": most})}


def begun_anew(restart: Restart) -> Restart:
    """Return the same policy for a run that a person started."""
    return {key: restart[key] for key in ("policy", "max") if key in restart} | (
        {"count": 0} if restart else {}
    )


def counted(restart: Restart) -> Restart:
    """Return the policy for the run that a restart begins."""
    return {**begun_anew(restart), "count": _count(restart) + 1}


def after_end(record: Record, lived_seconds: float, now_ns: int) -> Restart:
    """Return the policy of a run that has just ended: with `due_ns`, or why it `ended`, or as is.

    How a session ended that its keeper lost is unknown, which is no success.
    """
    restart = record.restart
    if not restart or "ended" in restart:
        return restart
    if record.end_reason == "killed" or record.is_restorable:
        return {**restart, "ended": "killed" if record.end_reason == "killed" else "node ended"}
    if restart.get("policy") == ON_FAILURE and record.exit_code == 0:
        return {**restart, "ended": "it has succeeded"}
    if lived_seconds >= WELL_SECONDS:
        restart = {**restart, "count": 0}
    count, most = _count(restart), restart.get("max")
    if isinstance(most, int) and count >= most:
        return {**restart, "ended": f"gave up after {count} restart{'' if count == 1 else 's'}"}
    return {**restart, "due_ns": now_ns + int(pause(count) * 1e9)}


def after_failed_start(restart: Restart, why: str, now_ns: int) -> Restart:
    """Return the policy after a restart, already counted, that could not be made."""
    count, most = _count(restart), restart.get("max")
    if isinstance(most, int) and count >= most:
        return ended(restart, f"gave up after {count} restart{'' if count == 1 else 's'}: {why}")
    return {**restart, "due_ns": now_ns + int(pause(count) * 1e9), "failed": why}


def pause(count: int) -> float:
    """Return how many seconds to wait before the restart after `count` others."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * float(1 << min(count, MAX_DOUBLINGS)))


def due_ns(restart: Restart) -> int:
    """Return when a restart is due, nanoseconds since the epoch; 0 for none."""
    due = restart.get("due_ns")
    return due if isinstance(due, int) else 0


def ended(restart: Restart, why: str) -> Restart:
    """Return the policy once it is over."""
    return {**{k: v for k, v in restart.items() if k != "due_ns"}, "ended": why}


def _count(restart: Restart) -> int:
    count = restart.get("count")
    return count if isinstance(count, int) and 0 <= count < 1 << 31 else 0
