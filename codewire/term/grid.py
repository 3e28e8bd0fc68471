"""Rows of cells: what a screen is made of. Knows no escape sequences and no cursor."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from codewire.term.sgr import PLAIN, Style, sgr_bytes

# The second cell of a wide character holds no character of its own.
WIDE_TAIL = ""


class Row:
    """One line of the screen: characters (with what combines with them) and how they look."""

    __slots__ = ("chars", "styles", "is_wrapped")

    def __init__(self, cols: int, style: Style = PLAIN) -> None:
        self.chars = [" "] * cols
        self.styles = [style] * cols
        # The next row goes on where this one is full.
        self.is_wrapped = False

    def text(self) -> str:
        """Return the line without the blanks at its end."""
        return "".join(self.chars).rstrip(" ")

    def ansi(self) -> bytes:
        """Return the line with its SGR sequences, ending in the default style."""
        last = len(self.chars)
        while last and self.chars[last - 1] == " " and self.styles[last - 1] == PLAIN:
            last -= 1
        out, current, at = [], PLAIN, 0
        while at < last:
            style, start = self.styles[at], at
            while at < last and self.styles[at] == style:
                at += 1
            if style != current:
                out.append(sgr_bytes(style))
                current = style
            out.append("".join(self.chars[start:at]).encode("utf-8", "replace"))
        return b"".join(out) + (b"\x1b[0m" if current != PLAIN else b"")

    def erase(self, start: int, end: int, style: Style) -> None:
        """Blank the cells from `start` up to `end`."""
        if start < end:
            self.split(start)
            self.split(end)
            self.chars[start:end] = [" "] * (end - start)
            self.styles[start:end] = [style] * (end - start)

    def split(self, at: int) -> None:
        """Blank a wide character that an edit beginning or ending at cell `at` would cut."""
        if 0 < at < len(self.chars) and self.chars[at] == WIDE_TAIL:
            self.chars[at - 1] = self.chars[at] = " "

    def insert(self, at: int, count: int, style: Style) -> None:
        """Insert blanks at a cell; what is pushed out at the right is gone."""
        cols = len(self.chars)
        count = min(count, cols - at)
        self.split(at)
        self.split(cols - count)
        self.chars[at:at] = [" "] * count
        self.styles[at:at] = [style] * count
        del self.chars[cols:], self.styles[cols:]

    def delete(self, at: int, count: int, style: Style) -> None:
        """Remove cells; blanks come in at the right."""
        count = min(count, len(self.chars) - at)
        self.split(at)
        self.split(at + count)
        del self.chars[at : at + count], self.styles[at : at + count]
        self.chars += [" "] * count
        self.styles += [style] * count

    def resize(self, cols: int) -> None:
        """Cut or pad the line."""
        if cols < len(self.chars):
            self.split(cols)
            del self.chars[cols:], self.styles[cols:]
        else:
            missing = cols - len(self.chars)
            self.chars += [" "] * missing
            self.styles += [PLAIN] * missing


class PastRow:
    """A row that has left the screen: it takes a tenth of the memory, and changes no more."""

    __slots__ = ("_chars", "_runs", "_cols", "is_wrapped")

    def __init__(self, row: Row) -> None:
        text = "".join(row.chars)
        # Where each cell holds one character, one text holds them all.
        is_plain = text.isascii() or (len(text) == len(row.chars) and all(row.chars))
        self._chars: str | tuple[str, ...] = text.rstrip(" ") if is_plain else tuple(row.chars)
        self._cols = len(row.chars)
        self._runs: tuple[tuple[int, Style], ...] = ()
        if row.styles and (row.styles[0] != PLAIN or row.styles.count(PLAIN) != self._cols):
            self._runs = tuple((len(list(same)), style) for style, same in groupby(row.styles))
        self.is_wrapped = row.is_wrapped

    def text(self) -> str:
        """Return the line without the blanks at its end."""
        return "".join(self._chars).rstrip(" ")

    def ansi(self) -> bytes:
        """Return the line with its SGR sequences, ending in the default style."""
        return self.row().ansi()

    def row(self) -> Row:
        """Return it as it was."""
        row = Row(0)
        row.chars = list(self._chars)
        row.chars += [" "] * (self._cols - len(row.chars))
        row.styles = [style for count, style in self._runs for _ in range(count)]
        row.styles = row.styles or [PLAIN] * self._cols
        row.is_wrapped = self.is_wrapped
        return row


class Grid:
    """A screenful of rows."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)

    def scroll_up(self, top: int, bottom: int, count: int, style: Style) -> list[Row]:
        """Move the rows `top` to `bottom` (inclusive) up; return those that left."""
        count = min(count, bottom - top + 1)
        gone = self.rows[top : top + count]
        cols = len(self.rows[0].chars)
        self.rows[bottom + 1 : bottom + 1] = [Row(cols, style) for _ in range(count)]
        del self.rows[top : top + count]
        return gone

    def scroll_down(self, top: int, bottom: int, count: int, style: Style) -> None:
        """Move the rows `top` to `bottom` (inclusive) down."""
        count = min(count, bottom - top + 1)
        cols = len(self.rows[0].chars)
        del self.rows[bottom + 1 - count : bottom + 1]
        self.rows[top:top] = [Row(cols, style) for _ in range(count)]
