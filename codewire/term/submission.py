"""What a screen says of a text that was typed: is it there, was it submitted? (spec/submit.md)

Pure: handed snapshots of what stands around the cursor, taken before the text, before Enter and
after it. Nothing is ever pressed a second time unless the screen shows the text still in the box.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SUBMITTED, NEWLINE, COMPLETED, WAITING, UNKNOWN = (
    *("submitted", "newline", "completed", "waiting", "unknown"),
)
BOX_EDGES = "│┃|║▌▏ "
NO_EDGES = dict.fromkeys(map(ord, BOX_EDGES))
PASTE_MARK = re.compile(r"\[(?:Pasted|Image|\d+ lines|Pasted text)[^\]]*\]|\[paste[^\]]*\]", re.I)
TAIL = 12
BLANKS = re.compile(r"[\s\u00a0]+")


class Snapshot(NamedTuple):
    """What stands left of the cursor, in the row above, and where the cursor is."""

    left: str
    above: str
    row: int = 0
    column: int = 0


def fold(text: str) -> str:
    """Return text with runs of blanks as one, none at the ends: programs draw them as they like."""
    return BLANKS.sub(" ", text).strip()


def snapshot(rows: list[str], row: int, column: int) -> Snapshot:
    """Take a snapshot of a screen's rows (column counts cells; wide tails are empty strings)."""
    line = rows[row] if 0 <= row < len(rows) else ""
    above = rows[row - 1] if 0 < row <= len(rows) else ""
    return Snapshot(fold(line[:column]), fold(above), row, column)


def tail_of(text: str) -> str:
    """Return the end of a text by which it is known on a screen."""
    lines = [fold(line) for line in text.replace("\r", "\n").split("\n") if fold(line)]
    return lines[-1][-TAIL:] if lines else ""


def shows(before: Snapshot, after: Snapshot, text: str) -> bool:
    """Say whether the text is where the cursor is: its tail, or the mark of a paste."""
    if (after.left, after.row, after.column) == (before.left, before.row, before.column):
        return False
    if PASTE_MARK.search(after.left) and not PASTE_MARK.search(before.left):
        return True
    # A narrow box wraps: the tail may have begun in the row above.
    shown, tail = _squeeze(after.above + after.left), _squeeze(tail_of(text))
    return bool(tail) and shown.endswith(tail)


def _squeeze(text: str) -> str:
    return BLANKS.sub("", text.translate(NO_EDGES))


def judge(before: Snapshot, typed: Snapshot, after: Snapshot, text: str) -> str:
    """Say what Enter did, from snapshots before the text, before Enter and after it."""
    tail = tail_of(text)
    is_edge = not before.left.strip(BOX_EDGES)
    # Where a long text is shown as a mark, that is what stands above a new line.
    is_mark = bool(PASTE_MARK.search(typed.left) and PASTE_MARK.search(after.above))
    if before.left and after.left == before.left:
        if not is_edge or not (is_mark or tail in after.above):
            return SUBMITTED
        return NEWLINE
    is_above = is_mark or bool(tail and after.above.endswith(tail))
    if before.left and not after.left and is_above:
        return NEWLINE
    head = typed.left.rpartition(" ")[0]
    goes_on = after.left.startswith(head) and len(after.left) > len(head)
    if head and goes_on and after.left != typed.left:
        return COMPLETED
    if after.left == typed.left:
        return WAITING
    return UNKNOWN


def may_press_again(verdict: str, *, pastes: bool, canonical: bool) -> bool:
    """Say whether Enter may be pressed once more: only where the text is still in the box."""
    return verdict in (NEWLINE, COMPLETED) and pastes and not canonical


def needs_space(text: str) -> bool:
    """Say whether a blank must follow: Enter after a backslash is a newline, after @ a choice."""
    if text.endswith("\\"):
        return True
    last = text.split()[-1] if text.split() else ""
    return last.startswith("@") and not text[-1:].isspace()


def opening_key(text: str) -> str:
    """Return the character by which a person opens a mode: a first ! or /, of one line only.

    A path is no command: typed key by key it would bring up the list of commands all the same.
    """
    is_path = text.startswith("/") and "/" in text.split()[0][1:]
    is_opening = text[:1] in ("!", "/") and "\n" not in text and len(text) > 1
    return text[0] if is_opening and not is_path else ""
