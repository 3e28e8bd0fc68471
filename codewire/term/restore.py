"""Byte sequences an attaching client writes to its own terminal (spec/cli.md 6), see ctlseqs(ms).

Pure functions of the terminal's size; when to write them is the attach loop's business.
"""

from __future__ import annotations

from codewire.term.looks import UNDO
from codewire.term.width import clip, display_width, printable

CLEAR = b"\x1b[H\x1b[2J"

# Undo what a program may have switched on: alternate screen, hidden cursor, focus and mouse
# reports, bracketed paste, colours. Not kitty's keys: popping more than was pushed takes the
# shell's.
TEARDOWN = (
    b"\x1b[?1049l\x1b[?25h\x1b[?1004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[0m"
)

# The window's title, and what puts it back (xterm's stack of titles).
SAVE_TITLE, RESTORE_TITLE = b"\x1b[22;0t", b"\x1b[23;0t"

# For a terminal that somebody was killed on: everything, whatever had been switched on.
RESET = (
    b"\x18\x1b[?1049l\x1b[<99u\x1b[=0u\x1b[>4m\x1b[!p\x1b[?1;5;6;9l\x1b[?7h"
    b"\x1b[?1001;1005;1015;1016l\x1b[?2026;2027;2031;2048;5522;9001l\x1b[?3;40;67;69l"
    b"\x1b[4;20l\x1b>\x1b[0 q"
    b"\x1b(B\x1b)B\x1b*B\x1b+B\x0f\x1b[r" + b"".join(UNDO.values()) + TEARDOWN
)


def bar_setup(rows: int) -> bytes:
    """Keep the last of `rows` rows out of scrolling; the cursor goes home."""
    return b"\x1b[1;%dr\x1b[H" % (rows - 1)


def bar_draw(rows: int, cols: int, text: str) -> bytes:
    """Draw `text`, cut or padded to `cols` cells, on the last row; the cursor stays where it is."""
    shown = clip(printable(text), cols, "")
    line = shown + " " * (cols - display_width(shown))
    return b"\x1b7\x1b[%d;1H\x1b[7m%b\x1b[0m\x1b8" % (rows, line.encode("utf-8", "replace"))


def bar_remove(rows: int) -> bytes:
    """Give the last row back to scrolling and clear it; the cursor stays where it is."""
    # The reset moves the cursor home, so it comes after the save.
    return b"\x1b7\x1b[r\x1b[%d;1H\x1b[2K\x1b8" % rows
