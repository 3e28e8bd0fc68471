"""A terminal's picture, kept so that only the rows that have changed are written again. Pure."""

from __future__ import annotations

ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
# What the terminal's own tear-down does not undo.
LEAVE = b"\x1b[?7h"
# A terminal that knows it shows what stands between at once; others ignore it.
BEGIN, END = b"\x1b[?2026h", b"\x1b[?2026l"


class Canvas:
    """What has been written to the terminal's rows."""

    def __init__(self) -> None:
        self._rows: list[str] = []
        self._cols = 0

    def forget(self) -> None:
        """Have the next `update` write everything: somebody else has written to the terminal."""
        self._rows = []

    def update(self, rows: list[str], cols: int) -> bytes:
        """Return the bytes that make the terminal show these rows, each at most `cols` cells."""
        begin = b""
        if len(rows) != len(self._rows) or cols != self._cols:
            begin, self._rows, self._cols = b"\x1b[0m\x1b[2J", [""] * len(rows), cols
        changed = [
            b"\x1b[%d;1H\x1b[2K%b" % (number, row.encode("utf-8", "replace"))
            for number, (row, before) in enumerate(zip(rows, self._rows, strict=True), 1)
            if row != before
        ]
        self._rows = list(rows)
        return BEGIN + begin + b"".join(changed) + END if changed or begin else b""
