"""What a terminal shows, as the last lines of its session's output.

A program that moves the cursor prints its lines in no order that could be read: what people, agents
and events are shown of it is its screen. One that only prints lines keeps them as printed.
"""

from __future__ import annotations

import re
import threading
from functools import partial
from typing import TYPE_CHECKING

from codewire.errors import LogUnavailable, RequestError
from codewire.term.canvas import is_emulated
from codewire.term.strip import MOVE
from codewire.terminal.display import Display

if TYPE_CHECKING:
    from codewire.output.log import OutputLog
    from codewire.session.session import Session
    from codewire.term.screen import Screen

# More is not waited for: the text as it was printed is there at once.
DRAW_SECONDS = 0.5
LEAVES = re.compile(rb"\x1b\[\?(?:1049|1047|47)l")


def moves_cursor(data: bytes) -> bool:
    """Say whether output is more than lines: rows and columns are chosen, not only line ends."""
    return MOVE.search(data) is not None


def shown_lines(
    session: Session, tail: bytes, count: int, *, has_history: bool = False
) -> list[str]:
    """Return up to `count` last lines that a terminal shows; `has_history`: and has shown.

    `tail` is the end of the log. [] where the screen is empty, or not drawn in time. Where the last
    thing a program did was to leave the alternate screen, what that showed.
    """
    if not is_emulated(*session.size()):
        return []
    try:
        cursor = session.cursor(0, threading.Event())
    except LogUnavailable:
        return []
    output, view = cursor.log, partial(_lines, count=count, above=count if has_history else 0)
    try:
        found = session.terminal.display.look(output, view, seconds=DRAW_SECONDS)
        return found or _left_behind(session, output, tail, view)
    except (OSError, RequestError):
        return []
    finally:
        cursor.close()


def _left_behind(
    session: Session, output: OutputLog, tail: bytes, view: partial[list[str]]
) -> list[str]:
    """Return what the alternate screen showed before it was left."""
    left = [found.start() for found in LEAVES.finditer(tail)]
    if not left:
        return []
    display = Display(session.size)
    return display.look(output, view, output.end - len(tail) + left[-1], seconds=DRAW_SECONDS)


def _lines(screen: Screen, _: int, count: int, above: int) -> list[str]:
    """Return the last lines; for Display.look."""
    wanted = 0 if screen.modes.is_alternate else min(above, len(screen.history))
    rows = [*list(screen.history)[len(screen.history) - wanted :], *screen.grid.rows]
    lines = [rows[number].text() for number in screen.slices(len(rows))]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines[-count:]
