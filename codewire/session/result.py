"""The tail of a log as text: the captured result, and the last lines a status shows."""

from __future__ import annotations

import threading

from codewire.errors import LogUnavailable
from codewire.session.picture import moves_cursor, shown_lines
from codewire.session.session import Session
from codewire.term.strip import strip_ansi

# Upstream's measure (spec/wire.md 7).
RESULT_BYTES = 65536
RESULT_PIECES = 200
RECENT_PIECES = 5
# Of a screen: what an agent asks, with the choices and the box below.
SCREEN_LINES = 12


def read_tail(session: Session, limit: int) -> bytes:
    """Return the last `limit` bytes of the log; b"" when it cannot be read."""
    try:
        cursor = session.cursor(0, threading.Event())
    except LogUnavailable:
        return b""
    try:
        output = cursor.log
        return output.read(max(output.first, output.end - limit), limit).data
    except OSError:
        return b""
    finally:
        cursor.close()


def capture_result(session: Session) -> str:
    """Return the last 200 pieces of the output without escapes and trailing blank pieces.

    Of a program that moves the cursor, the last 200 lines that its terminal shows.
    """
    tail = read_tail(session, RESULT_BYTES)
    shown: list[str] = []
    if moves_cursor(tail):
        shown = shown_lines(session, tail, RESULT_PIECES, has_history=True)
    if shown:
        return "\n".join(shown)[-RESULT_BYTES:]
    pieces = tail.split(b"\n")[-RESULT_PIECES:]
    text = strip_ansi(b"\n".join(pieces)).decode("utf-8", "replace")
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines)


def recent_output(session: Session) -> str:
    """Return the last 5 raw pieces, as upstream's GetStatus shows them.

    Of a program that moves the cursor, the last lines of its screen: how it looked when it ended,
    once it has.
    """
    tail = read_tail(session, RESULT_BYTES)
    if moves_cursor(tail):
        shown = session.record.result.split("\n")[-SCREEN_LINES:]
        if session.is_running() or not any(shown):
            shown = shown_lines(session, tail, SCREEN_LINES)
        if shown:
            return "\n".join(shown)
    return b"\n".join(tail.split(b"\n")[-RECENT_PIECES:]).decode("utf-8", "replace")
