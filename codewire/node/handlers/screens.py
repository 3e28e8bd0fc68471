"""GetScreen: what a session's terminal shows, as text (an addition of ours to wire.md 8)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from codewire.node.caller import Caller
from codewire.node.context import Handler, Message, Node
from codewire.session.decisions import state_of
from codewire.session.session import Session
from codewire.term.grid import PastRow, Row
from codewire.term.modes import CURSOR
from codewire.term.screen import Screen
from codewire.terminal.display import View, check_size, lines_hash
from codewire.terminal.turns import ScreenUnknown

# A screen goes out in one frame (16 MiB); people's have some ten KiB.
MAX_TEXT_BYTES = 8 << 20


def get_screen(node: Node, request: Message, caller: Caller) -> Message:
    """Answer GetScreen. Rows and columns count from 0; `history_lines` adds lines above the screen.

    It marks a result as seen, unless with `peek`. With `ansi` lines hold their SGR sequences.
    Raises RequestError; of these ScreenUnknown for a
    terminal too large to be emulated, a picture too large to be sent, or one that is not drawn in
    time; ConnectionLost where nobody waits for the answer any more.
    """
    session = node.session(request)
    wanted = request.get("history_lines") or 0
    with_ansi = bool(request.get("ansi"))
    view = partial(_shown, wanted=wanted, with_ansi=with_ansi)
    answer = look(session, view, caller.has_left)
    if not request.get("peek"):
        node.sessions.lookout.seen(session)
    status = session.record.status_text()
    cursor = answer["cursor"]["row"], answer["cursor"]["col"]
    plain = None if with_ansi else tuple(answer["lines"])
    state = state_of(session, plain, cursor) if plain and session.is_running() else None
    return {"type": "Screen", "id": session.id, **answer, "status": status, "state": state}


def _shown(screen: Screen, offset: int, wanted: int, with_ansi: bool) -> Message:
    wanted = min(wanted, len(screen.history))
    above = list(screen.history)[len(screen.history) - wanted :]
    rows: list[Row | PastRow] = [*above, *screen.grid.rows]
    lines = _lines(screen, rows, with_ansi)
    plain = _lines(screen, screen.grid.rows, False) if with_ansi else lines[wanted:]
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
        "screen_hash": lines_hash(screen, plain),
        "offset": offset,
    }


def _lines(screen: Screen, rows: Sequence[Row | PastRow], with_ansi: bool) -> list[str]:
    lines, size = [], 0
    for number in screen.slices(len(rows)):
        row = rows[number]
        line = row.ansi().decode("utf-8", "replace") if with_ansi else row.text()
        # A character takes up to four bytes, an escape six in JSON.
        size += len(line) + line.count("\x1b") * 5 if line.isascii() else len(line.encode())
        if size > MAX_TEXT_BYTES:
            raise ScreenUnknown(
                f"the screen takes more than {MAX_TEXT_BYTES >> 20} MiB: "
                "ask for fewer lines of history, or without colours"
            )
        lines.append(line)
    return lines


def look(
    session: Session, view: Callable[[Screen, int], View], has_left: Callable[[], bool]
) -> View:
    """Return what `view` makes of a session's screen as it is now. Raises RequestError."""
    check_size(*session.size())
    cursor = session.cursor(0, threading.Event())
    try:
        return session.terminal.display.look(cursor.log, view, has_left=has_left)
    finally:
        cursor.close()


def current_hash(session: Session, has_left: Callable[[], bool]) -> str:
    """Return the hash of what a session shows now. Raises RequestError."""

    def view(screen: Screen, _: int) -> str:
        return lines_hash(screen, _lines(screen, screen.grid.rows, False))

    return look(session, view, has_left)


ANSWERS: dict[str, Handler] = {"GetScreen": get_screen}
