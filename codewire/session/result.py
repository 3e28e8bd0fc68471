"""The tail of a log as text: the captured result, and the last lines a status shows."""

from __future__ import annotations

import threading

from codewire.errors import LogUnavailable
from codewire.session.session import Session
from codewire.term.strip import strip_ansi

# Upstream's measure (spec/wire.md 7).
RESULT_BYTES = 65536
RESULT_PIECES = 200
RECENT_PIECES = 5


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
    """Return the last 200 pieces of the output without escapes and trailing blank pieces."""
    pieces = read_tail(session, RESULT_BYTES).split(b"\n")[-RESULT_PIECES:]
    text = strip_ansi(b"\n".join(pieces)).decode("utf-8", "replace")
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines)


def recent_output(session: Session) -> str:
    """Return the last 5 raw pieces, as upstream's GetStatus shows them."""
    pieces = read_tail(session, RESULT_BYTES).split(b"\n")[-RECENT_PIECES:]
    return b"\n".join(pieces).decode("utf-8", "replace")
