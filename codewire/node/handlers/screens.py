"""GetScreen: what a session's terminal shows, as text (an addition of ours to wire.md 8)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from codewire.node.context import Message, Node
from codewire.session.session import Session
from codewire.session.terminal.display import View, screen_hash
from codewire.term.modes import CURSOR
from codewire.term.screen import Screen


def get_screen(node: Node, request: Message) -> Message:
    """Answer GetScreen. Rows and columns count from 0; `history_lines` adds lines above the screen.

    With `ansi` lines hold their SGR sequences. Raises RequestError.
    """
    session = node.session(request)
    wanted = request.get("history_lines") or 0
    with_ansi = bool(request.get("ansi"))
    answer = look(session, lambda screen, offset: _shown(screen, offset, wanted, with_ansi))
    status = session.record.status_text()
    return {"type": "Screen", "id": session.id, **answer, "status": status}


def _shown(screen: Screen, offset: int, wanted: int, with_ansi: bool) -> Message:
    wanted = min(wanted, len(screen.history))
    above = list(screen.history)[len(screen.history) - wanted :]
    rows = [*above, *screen.grid.rows]
    if with_ansi:
        lines = [row.ansi().decode("utf-8", "replace") for row in rows]
    else:
        lines = [row.text() for row in rows]
    return {
        "rows": screen.rows,
        "cols": screen.cols,
        "lines": lines[wanted:],
        "history": lines[:wanted] or None,
        "cursor": {
            "row": screen.y,
            "col": screen.x,
            "visible": CURSOR in screen.modes.on,
        },
        "title": screen.modes.title or None,
        "alternate": screen.modes.is_alternate,
        "screen_hash": screen_hash(screen),
        "offset": offset,
    }


def look(session: Session, view: Callable[[Screen, int], View]) -> View:
    """Return what `view` makes of a session's screen as it is now. Raises RequestError."""
    cursor = session.cursor(0, threading.Event())
    try:
        return session.terminal.display.look(cursor.log, view)
    finally:
        cursor.close()


def current_hash(session: Session) -> str:
    """Return the hash of what a session shows now. Raises RequestError."""
    return look(session, lambda screen, _: screen_hash(screen))
