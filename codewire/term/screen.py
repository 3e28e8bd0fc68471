"""A terminal emulator without a terminal: output in, the screen as text out (xterm's ctlseqs(ms)).

Pure. Fed the bytes of a session's log it knows what a person attached would see. Modes are kept by
modes.Modes; here is what moves the cursor and changes cells.
"""

from __future__ import annotations

from collections.abc import Callable

from codewire.term.canvas import DRAWN_CELLS, SLICE_CELLS, Canvas
from codewire.term.grid import PastRow
from codewire.term.modes import ORIGIN
from codewire.term.parser import (
    CONTROL,
    CSI,
    ESCAPE,
    OSC,
    TEXT,
    Csi,
    Token,
    embedded_controls,
)

NEWLINE_MODE = 20


class Screen(Canvas):
    """A terminal's screen, fed the output of a program."""

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
            self._own_tabs().add(self.x)
        elif body == b"#8":
            for number in self.slices(self.rows):
                self.grid.rows[number].chars[:] = "E" * self.cols
            self.x = self.y = 0

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
                # Blank, and made when something is drawn on it.
                self._other = None
        elif 1049 in csi.params:
            self._restore()
        self._wraps = False

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
        first = 0 if how else self.y + 1
        last = self.y if how == 1 else self.rows
        if how < 3:
            rows[self.y].erase(start, end, style)
        for number in self.slices(last - first):
            row = rows[first + number]
            if first + number != self.y:
                row.erase(0, self.cols, style)
                row.is_wrapped = False

    def _keep_cleared(self) -> None:
        """What a program clears from the main screen goes to the history, as in tmux."""
        rows = self._main.rows
        blank = 0
        for number in self.slices(len(rows)):
            if rows[-1 - number].text():
                break
            blank += 1
        for number in self.slices(len(rows) - blank):
            self.history.append(PastRow(rows[number]))

    def _edit_lines(self, count: int, *, insert: bool) -> None:
        top, bottom = self.region()
        if top <= self.y <= bottom:
            scroll = self.grid.scroll_down if insert else self.grid.scroll_up
            for part in self._parts(self.y, bottom, count):
                scroll(self.y, bottom, part, self._blank())
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
            for part in self._parts(top, bottom, -count):
                self.grid.scroll_down(top, bottom, part, self._blank())

    def _clear_tabs(self, params: list[int]) -> None:
        if params and params[0] == 3:
            self._tabs = set()
        elif not params or params[0] <= 0:
            self._own_tabs().discard(self.x)

    def _own_tabs(self) -> set[int]:
        if isinstance(self._tabs, frozenset):
            self._tabs = set(self._tabs)
        return self._tabs

    def _repeat(self, count: int) -> None:
        left = min(count, self.rows * self.cols) if self._last else 0
        while left:
            part = min(left, SLICE_CELLS // DRAWN_CELLS)
            self._draw(self._last * part)
            self._spend(part * DRAWN_CELLS)
            left -= part


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
