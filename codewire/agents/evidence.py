"""What an agent's state is told from: screen, signals and rhythm at one moment, and the verdict."""

from __future__ import annotations

from typing import NamedTuple

WORKING, BLOCKED, IDLE, DONE, ERROR = "working", "blocked", "idle", "done", "error"

# Output within so long after what we typed ourselves is its echo, not the program's work.
ECHO_SECONDS = 0.3
SLOT_SECONDS = 0.5
SLOTS = 5
STEP_SECONDS = 0.05
MAX_MOMENTS = int(SLOTS * SLOT_SECONDS / STEP_SECONDS) + 2


class Evidence(NamedTuple):
    """One look. `lines` are the screen's rows from the top, `cursor` counts rows from 0."""

    lines: tuple[str, ...]
    cursor: tuple[int, int] = (0, 0)
    title: str = ""
    progress: int = 0
    # Seconds since the last output that is no echo; half seconds of the last SLOTS that had some.
    quiet_seconds: float = 1e9
    busy_slots: int = 0

    def bottom(self, count: int) -> list[str]:
        """Return the last `count` lines that are not blank."""
        return [line for line in self.lines if line.strip()][-count:]

    def cursor_line(self) -> str:
        """Return the line the cursor is on, up to the cursor and beyond."""
        row = self.cursor[0]
        return self.lines[row] if 0 <= row < len(self.lines) else ""


class Verdict(NamedTuple):
    """A state and why. `rule` names what decided, `text` is what a person may be shown of it.

    `is_guess`: it is told from how the program prints or what it does not show, as while it starts.
    """

    state: str
    rule: str
    kind: str = ""
    text: str = ""
    is_guess: bool = False


class Rhythm:
    """When a program prints, in half seconds back from a moment, without the echo of what is typed.

    Moments closer than STEP_SECONDS count as one, so the memory is bounded.
    """

    def __init__(self) -> None:
        self._typed_at = -1e9
        self._moments: list[float] = []
        self.last_output = -1e9

    def typed(self, now: float) -> None:
        """Note that something was typed by us or by a person."""
        self._typed_at = now

    def printed(self, now: float) -> None:
        """Note that the program printed something."""
        if now - self._typed_at < ECHO_SECONDS:
            return
        self.last_output = now
        if not self._moments or now - self._moments[-1] >= STEP_SECONDS:
            self._moments.append(now)
            del self._moments[:-MAX_MOMENTS]

    def busy_slots(self, now: float) -> int:
        """Return in how many of the last SLOTS half seconds something was printed."""
        ages = (now - moment for moment in self._moments)
        return len({int(age / SLOT_SECONDS) for age in ages if 0 <= age < SLOTS * SLOT_SECONDS})
