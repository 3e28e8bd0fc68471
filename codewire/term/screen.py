"""A terminal emulator without a terminal: output in, the screen as text out (xterm's ctlseqs(ms)).

Pure. Fed the bytes of a session's log it knows what a person attached would see. Modes are kept by
modes.Modes; here is what moves the cursor and changes cells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from codewire.term.grid import WIDE_TAIL, Grid, Row
from codewire.term.modes import INSERT, ORIGIN, WRAP, Modes
from codewire.term.parser import (
    CONTROL,
    CSI,
    ESCAPE,
    OSC,
    TEXT,
    Csi,
    Parser,
    Token,
    embedded_controls,
)
from codewire.term.sgr import PLAIN, Style
from codewire.term.width import display_width

NEWLINE_MODE = 20
HISTORY_LINES = 2000
TAB = 8
# DEC special graphics, what curses programs draw lines with: 0x5F to 0x7E.
GRAPHICS = str.maketrans("_`abcdefghijklmnopqrstuvwxyz{|}~", " ◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")

_widths: dict[str, int] = {}
MAX_WIDTHS = 8192


def _width(char: str) -> int:
    """Return a character's cells; remembered, because a table look-up is dear."""
    width = _widths.get(char)
    if width is None:
        if len(_widths) >= MAX_WIDTHS:
            _widths.clear()
        width = _widths[char] = display_width(char)
    return width


class Screen:
    """A terminal's screen. Rows and columns count from 0; sizes are at least 1 by 2."""

    def __init__(self, rows: int = 24, cols: int = 80, modes: Modes | None = None) -> None:
        self.rows, self.cols = max(1, rows), max(2, cols)
        self.modes = modes or Modes()
        self.history: deque[Row] = deque(maxlen=HISTORY_LINES)
        self._parser = Parser()
        self._clear_all()

    def _clear_all(self) -> None:
        self.x = self.y = 0
        self._wraps = False
        self._last = ""
        self._main, self._other = Grid(self.rows, self.cols), Grid(self.rows, self.cols)
        self._places: dict[bool, tuple[int, int, bool]] = {}
        self._tabs = set(range(TAB, 1000, TAB))

    @property
    def pending(self) -> int:
        """How many of the last bytes fed belong to an unfinished sequence or character."""
        return self._parser.pending

    @property
    def is_between(self) -> bool:
        """Say whether the output fed so far, but for `pending`, ends between two sequences."""
        return self._parser.is_between

    @property
    def grid(self) -> Grid:
        """The screen that is shown."""
        return self._other if self.modes.is_alternate else self._main

    def lines(self) -> list[str]:
        """Return the screen's rows as text, without blanks at their ends."""
        return [row.text() for row in self.grid.rows]

    def feed(self, data: bytes) -> None:
        """Take the next bytes of output."""
        for token in self._parser.feed(data):
            self._apply(token)

    def _apply(self, token: Token) -> None:
        kind, raw = token
        if kind == TEXT:
            self._draw(raw.decode("utf-8", "replace"))
        elif kind == CONTROL:
            self._control(raw)
        elif kind == CSI:
            for control in embedded_controls(raw):
                self._control(bytes((control,)))
            was_alternate = self.modes.is_alternate
            csi = self.modes.apply(token)
            if csi is not None:
                self._apply_csi(csi, was_alternate)
        elif kind == ESCAPE:
            self.modes.apply(token)
            self._escape(raw[1:])
        elif kind == OSC:
            self.modes.apply(token)

    # Text

    def _draw(self, text: str) -> None:
        modes = self.modes
        if modes.charsets[modes.shift] == "0":
            text = text.translate(GRAPHICS)
        self._last = text[-1]
        if text.isascii():
            self._draw_narrow(text)
            return
        for char in text:
            width = _width(char)
            if width == 0:
                self._combine(char)
            elif width == 1:
                self._draw_narrow(char)
            else:
                self._draw_wide(char)

    def _draw_narrow(self, text: str) -> None:
        modes, style = self.modes, self.modes.style
        while text:
            if self._wraps:
                self._wrap()
            piece = text[: self.cols - self.x]
            text = text[len(piece) :]
            row = self.grid.rows[self.y]
            start, end = self.x, self.x + len(piece)
            if INSERT in modes.ansi:
                row.insert(start, len(piece), style)
            row.split(start)
            row.split(end)
            row.chars[start:end] = piece
            row.styles[start:end] = [style] * len(piece)
            if end < self.cols:
                self.x = end
                continue
            self.x = self.cols - 1
            if WRAP in modes.on:
                self._wraps = True
            elif text:
                # Without wrapping all that follows is written on the last cell.
                text = text[-1] if len(text) > 1 else text
                row.chars[-1], text = text, ""

    def _draw_wide(self, char: str) -> None:
        if self._wraps or self.x == self.cols - 1:
            if WRAP not in self.modes.on:
                return
            self._wrap()
        row, style = self.grid.rows[self.y], self.modes.style
        if INSERT in self.modes.ansi:
            row.insert(self.x, 2, style)
        row.split(self.x)
        row.split(self.x + 2)
        row.chars[self.x : self.x + 2] = [char, WIDE_TAIL]
        row.styles[self.x : self.x + 2] = [style, style]
        self.x += 2
        if self.x >= self.cols:
            self.x, self._wraps = self.cols - 1, WRAP in self.modes.on

    def _combine(self, char: str) -> None:
        """Add what takes no cell of its own to the character before the cursor."""
        row = self.grid.rows[self.y]
        at = self.x if self._wraps else self.x - 1
        if at > 0 and row.chars[at] == WIDE_TAIL:
            at -= 1
        if at >= 0 and len(row.chars[at]) < 16:
            row.chars[at] += char

    def _wrap(self) -> None:
        self.grid.rows[self.y].is_wrapped = True
        self.x, self._wraps = 0, False
        self._line_feed()

    # Controls

    def _control(self, raw: bytes) -> None:
        if raw == b"\r":
            self.x, self._wraps = 0, False
        elif raw in (b"\n", b"\x0b", b"\x0c"):
            if NEWLINE_MODE in self.modes.ansi:
                self.x = 0
            self._wraps = False
            self._line_feed()
        elif raw == b"\b":
            self.x, self._wraps = max(0, self.x - 1), False
        elif raw == b"\t":
            self._tab(1)
        elif raw in (b"\x0e", b"\x0f"):
            self.modes.apply((CONTROL, raw))

    def _tab(self, count: int) -> None:
        step = 1 if count > 0 else -1
        for _ in range(min(abs(count), self.cols)):
            self.x = min(max(self.x + step, 0), self.cols - 1)
            while 0 < self.x < self.cols - 1 and self.x not in self._tabs:
                self.x += step
        if count < 0:
            self._wraps = False

    def region(self) -> tuple[int, int]:
        """Return the first and last row of the scroll region."""
        top, bottom = self.modes.region
        top, bottom = max(0, top - 1), min(bottom or self.rows, self.rows) - 1
        return (top, bottom) if top < bottom else (0, self.rows - 1)

    def _blank(self) -> Style:
        """Return the style of cells that are erased: they keep the background."""
        background = self.modes.style.background
        return PLAIN._replace(background=background) if background else PLAIN

    def _line_feed(self) -> None:
        top, bottom = self.region()
        if self.y == bottom:
            self._scroll_up(top, bottom, 1)
        elif self.y < self.rows - 1:
            self.y += 1

    def _scroll_up(self, top: int, bottom: int, count: int) -> None:
        gone = self.grid.scroll_up(top, bottom, count, self._blank())
        if top == 0 and not self.modes.is_alternate:
            self.history.extend(gone)

    def _reverse_feed(self) -> None:
        top, bottom = self.region()
        if self.y == top:
            self.grid.scroll_down(top, bottom, 1, self._blank())
        elif self.y:
            self.y -= 1

    def _escape(self, body: bytes) -> None:
        if body == b"c":
            self.history.clear()
            self._clear_all()
        elif body == b"7":
            self._save()
        elif body == b"8":
            self._restore()
        elif body in (b"D", b"E"):
            self.x = 0 if body == b"E" else self.x
            self._wraps = False
            self._line_feed()
        elif body == b"M":
            self._wraps = False
            self._reverse_feed()
        elif body == b"H":
            self._tabs.add(self.x)
        elif body == b"#8":
            for row in self.grid.rows:
                row.chars[:] = "E" * self.cols
            self.x = self.y = 0

    def _save(self) -> None:
        self._places[self.modes.is_alternate] = (self.x, self.y, self._wraps)

    def _restore(self) -> None:
        x, y, self._wraps = self._places.get(self.modes.is_alternate, (0, 0, False))
        self.x, self.y = min(x, self.cols - 1), min(y, self.rows - 1)

    # Control sequences

    def _apply_csi(self, csi: Csi, was_alternate: bool) -> None:
        if csi.prefix == "?" and csi.final in "hlr" and not csi.intermediates:
            self._switched(csi, was_alternate)
        elif csi.prefix == "?" and csi.final in "JK":
            self._erase(csi.final, csi.params)
        elif csi.prefix or csi.intermediates:
            if csi.final == "p" and csi.intermediates == "!":
                self._places.clear()
        elif csi.final in _ACTIONS:
            number = csi.params[0] if csi.params else -1
            _ACTIONS[csi.final](self, max(1, number), csi.params)

    def _switched(self, csi: Csi, was_alternate: bool) -> None:
        """Follow what a DEC private mode does besides being on or off."""
        if ORIGIN in csi.params:
            self.x, self.y, self._wraps = 0, self.region()[0] if self._is_origin else 0, False
        if 1048 in csi.params:
            self._save() if csi.final == "h" else self._restore()
        if 3 in csi.params:
            self._erase("J", [2])
            self.x = self.y = 0
        now = self.modes.is_alternate
        if now == was_alternate:
            return
        if now:
            if 1049 in csi.params:
                self._places[False] = (self.x, self.y, self._wraps)
            if 47 not in csi.params:
                self._other = Grid(self.rows, self.cols)
        elif 1049 in csi.params:
            self._restore()
        self._wraps = False

    @property
    def _is_origin(self) -> bool:
        return ORIGIN in self.modes.on

    def _go(self, y: int, x: int) -> None:
        """Move the cursor; with origin mode rows count from the scroll region's first."""
        top, bottom = self.region() if self._is_origin else (0, self.rows - 1)
        self.y = min(max(y + top, top), bottom)
        self.x = min(max(x, 0), self.cols - 1)
        self._wraps = False

    def _move(self, dy: int, dx: int) -> None:
        """Move the cursor by so much; it does not leave a scroll region it is in."""
        top, bottom = self.region()
        low = top if self.y >= top else 0
        high = bottom if self.y <= bottom else self.rows - 1
        self.y = min(max(self.y + dy, low), high)
        self.x = min(max(self.x + dx, 0), self.cols - 1)
        self._wraps = False

    def _place(self, params: list[int]) -> None:
        y, x = ([max(1, p) for p in params] + [1, 1])[:2]
        self._go(y - 1, x - 1)

    def _to_row(self, row: int) -> None:
        self._go(row - 1, self.x)

    def _to_column(self, column: int) -> None:
        self.x, self._wraps = min(column, self.cols) - 1, False

    def _next_line(self, count: int) -> None:
        self._move(count, -self.cols)

    def _set_region(self) -> None:
        # modes has taken the parameters; the cursor goes home.
        self._go(0, 0)

    def _erase(self, final: str, params: list[int]) -> None:
        how, style, rows = max(0, params[0]) if params else 0, self._blank(), self.grid.rows
        self._wraps = False
        start = self.x if how == 0 else 0
        end = min(self.x + 1, self.cols) if how == 1 else self.cols
        if final == "K":
            if how < 3:
                rows[self.y].erase(start, end, style)
            return
        if how == 3:
            self.history.clear()
            return
        if how == 2 and not self.modes.is_alternate:
            self._keep_cleared()
        below = range(self.y + 1, self.rows) if how != 1 else range(0)
        above = range(self.y) if how else range(0)
        if how < 3:
            rows[self.y].erase(start, end, style)
        for y in (*above, *below):
            rows[y].erase(0, self.cols, style)
            rows[y].is_wrapped = False

    def _keep_cleared(self) -> None:
        """What a program clears from the main screen goes to the history, as in tmux."""
        used = [n for n, row in enumerate(self._main.rows) if row.text()]
        for row in self._main.rows[: used[-1] + 1 if used else 0]:
            copy = Row(0)
            copy.chars, copy.styles = list(row.chars), list(row.styles)
            copy.is_wrapped = row.is_wrapped
            self.history.append(copy)

    def _edit_lines(self, count: int, *, insert: bool) -> None:
        top, bottom = self.region()
        if top <= self.y <= bottom:
            if insert:
                self.grid.scroll_down(self.y, bottom, count, self._blank())
            else:
                self.grid.scroll_up(self.y, bottom, count, self._blank())
            self.x, self._wraps = 0, False

    def _edit_cells(self, count: int, action: str) -> None:
        row, style = self.grid.rows[self.y], self._blank()
        self._wraps = False
        if action == "@":
            row.insert(self.x, count, style)
        elif action == "P":
            row.delete(self.x, count, style)
        else:
            row.erase(self.x, min(self.x + count, self.cols), style)

    def _scroll(self, count: int) -> None:
        top, bottom = self.region()
        if count > 0:
            self._scroll_up(top, bottom, count)
        else:
            self.grid.scroll_down(top, bottom, -count, self._blank())

    def _clear_tabs(self, params: list[int]) -> None:
        if params and params[0] == 3:
            self._tabs.clear()
        elif not params or params[0] <= 0:
            self._tabs.discard(self.x)

    def _repeat(self, count: int) -> None:
        if self._last:
            self._draw(self._last * min(count, self.rows * self.cols))

    # Size

    def resize(self, rows: int, cols: int) -> None:
        """Take another size. Lines are cut or padded, not wrapped anew: programs redraw."""
        rows, cols = max(1, rows), max(2, cols)
        if (rows, cols) == (self.rows, self.cols):
            return
        for grid in (self._main, self._other):
            for row in grid.rows:
                row.resize(cols)
        if rows < self.rows:
            self._lose_rows(rows)
        else:
            self._gain_rows(rows - self.rows, cols)
        self.rows, self.cols = rows, cols
        self.modes.region = (0, 0)
        self.y, self.x, self._wraps = min(self.y, rows - 1), min(self.x, cols - 1), False

    def _lose_rows(self, rows: int) -> None:
        """Blank rows below the cursor go first, then those at the top, into the history."""
        del self._other.rows[rows:]
        main = self._main.rows
        cursor = self._places.get(False, (0, 0))[1] if self.modes.is_alternate else self.y
        while len(main) > rows and len(main) - 1 > cursor and not main[-1].text():
            main.pop()
        above = len(main) - rows
        if above > 0 and cursor < above:
            above = cursor
        self.history.extend(main[:above])
        del main[:above], main[rows:]
        self._shift_main(-above)

    def _gain_rows(self, count: int, cols: int) -> None:
        self._other.rows += [Row(cols) for _ in range(count)]
        back = [self.history.pop() for _ in range(min(count, len(self.history)))][::-1]
        for row in back:
            row.resize(cols)
        self._main.rows[:0] = back
        self._main.rows += [Row(cols) for _ in range(count - len(back))]
        self._shift_main(len(back))

    def _shift_main(self, count: int) -> None:
        if not self.modes.is_alternate:
            self.y = max(0, self.y + count)
        if False in self._places:
            x, y, wraps = self._places[False]
            self._places[False] = (x, max(0, y + count), wraps)

    # Showing it elsewhere

    def paint(self) -> bytes:
        """Return what shows this screen, modes and cursor included, on a terminal just reset."""
        out = []
        if self.modes.is_alternate:
            x, y, _ = self._places.get(False, (0, 0, False))
            out += [_painted(self._main), b"\x1b[%d;%dH\x1b[?1049h" % (y + 1, x + 1)]
        out += [_painted(self.grid), self.modes.enter(alternate=False)]
        top = self.region()[0] if self._is_origin else 0
        out.append(b"\x1b[%d;%dH" % (self.y - top + 1, self.x + 1))
        return b"".join(out)


def _painted(grid: Grid) -> bytes:
    rows = [row.ansi() for row in grid.rows]
    return b"\x1b[H\x1b[2J" + b"".join(
        b"\x1b[%d;1H%b" % (number, row) for number, row in enumerate(rows, 1) if row
    )


Action = Callable[[Screen, int, list[int]], None]

# Final byte -> what it does, given the screen, the first parameter (at least 1) and all of them.
_ACTIONS: dict[str, Action] = {
    "A": lambda s, n, p: s._move(-n, 0),
    "B": lambda s, n, p: s._move(n, 0),
    "e": lambda s, n, p: s._move(n, 0),
    "C": lambda s, n, p: s._move(0, n),
    "a": lambda s, n, p: s._move(0, n),
    "D": lambda s, n, p: s._move(0, -n),
    "E": lambda s, n, p: s._next_line(n),
    "F": lambda s, n, p: s._next_line(-n),
    "G": lambda s, n, p: s._to_column(n),
    "`": lambda s, n, p: s._to_column(n),
    "d": lambda s, n, p: s._to_row(n),
    "H": lambda s, n, p: s._place(p),
    "f": lambda s, n, p: s._place(p),
    "I": lambda s, n, p: s._tab(n),
    "Z": lambda s, n, p: s._tab(-n),
    "J": lambda s, n, p: s._erase("J", p),
    "K": lambda s, n, p: s._erase("K", p),
    "L": lambda s, n, p: s._edit_lines(n, insert=True),
    "M": lambda s, n, p: s._edit_lines(n, insert=False),
    "@": lambda s, n, p: s._edit_cells(n, "@"),
    "P": lambda s, n, p: s._edit_cells(n, "P"),
    "X": lambda s, n, p: s._edit_cells(n, "X"),
    "S": lambda s, n, p: s._scroll(n),
    "T": lambda s, n, p: s._scroll(-n),
    "g": lambda s, n, p: s._clear_tabs(p),
    "b": lambda s, n, p: s._repeat(n),
    "r": lambda s, n, p: s._set_region(),
    "s": lambda s, n, p: s._save(),
    "u": lambda s, n, p: s._restore(),
}
