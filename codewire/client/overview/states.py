"""How a session's state is shown to people: its mark, its words, its place in a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codewire.client.overview.figures import since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from codewire.wire.answers.sessions import SessionInfo

    # Whatever has a SessionInfo.
    Shown = TypeVar("Shown")


class Mark(NamedTuple):
    """One cell that stands for a state, and the colour of both (term/paint.py)."""

    glyph: str
    colour: str


# In the order of a list: first who waits for a person.
RUNNING_MARKS = {
    "blocked": Mark("◐", "orange"),
    "error": Mark("✗", "red"),
    "done": Mark("✓", "green"),
    "working": Mark("●", "blue"),
    "idle": Mark("○", "grey"),
    "stopped": Mark("◌", "grey"),
}
RANKS = {state: rank for rank, state in enumerate(RUNNING_MARKS)}
# A node that knows no states.
UNKNOWN = Mark("●", "blue")
SUCCEEDED, FAILED, ENDED = Mark("✓", "green"), Mark("✗", "red"), Mark("✗", "grey")
KILLED = "killed"


def mark(info: SessionInfo) -> Mark:
    """Return what a session is marked with."""
    if info.is_running:
        return RUNNING_MARKS.get(info.state, UNKNOWN)
    if info.status == KILLED:
        return ENDED
    return SUCCEEDED if info.exit_code == 0 and info.end_reason != "lost" else FAILED


def rank(info: SessionInfo) -> tuple[int, int]:
    """Return the sort key of a running session: blocked before all others, then by id."""
    return RANKS.get(info.state, RANKS["working"]), info.id


def in_order(
    sessions: Iterable[Shown], info_of: Callable[[Shown], SessionInfo]
) -> tuple[list[Shown], list[Shown]]:
    """Return who runs, those who need somebody first, and who has ended, the latest first."""
    running: list[Shown] = []
    ended: list[Shown] = []
    for session in sessions:
        (running if info_of(session).is_running else ended).append(session)
    running.sort(key=lambda session: rank(info_of(session)))
    ended.sort(key=lambda session: _end_rank(info_of(session)), reverse=True)
    return running, ended


def _end_rank(info: SessionInfo) -> tuple[str, int]:
    return info.completed_at, info.id


def state_words(info: SessionInfo, now_ns: int) -> str:
    """Return a state in a cell: `blocked 3m`, and of who has ended how: `exit 2`, `killed`."""
    if info.is_running:
        state = info.state or "running"
        return f"{state} {since(info.state_since, now_ns)}".rstrip()
    return ending_words(info)


def ending_words(info: SessionInfo) -> str:
    """Return how a session ended, in one word or two."""
    if info.end_reason == "lost":
        return "lost"
    if info.status == KILLED:
        return KILLED
    if info.signal:
        return f"signal {info.signal}"
    return info.status if info.exit_code is None else f"exit {info.exit_code}"


def age_words(info: SessionInfo, now_ns: int) -> str:
    """Return how long a session has run, or how long ago it ended: `2h`, `finished 2m ago`."""
    if info.is_running:
        return since(info.created_at, now_ns) or "-"
    ago = since(info.completed_at, now_ns)
    return f"finished {ago} ago" if ago else "finished"
