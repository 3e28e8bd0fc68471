"""A terminal's screen and its cursor: drawing text, scrolling, another size, showing it elsewhere.

Pure. What a program's control sequences do with it is in screen.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from codewire.term.grid import WIDE_TAIL, Grid, PastRow, Row
from codewire.term.modes import INSERT, ORIGIN, WRAP, Modes
from codewire.term.parser import Parser
from codewire.term.sgr import PLAIN, Style
from codewire.term.width import continues, display_width

HISTORY_LINES = 2000
TAB = 8
# What is emulated: a cell costs some 30 bytes with its place on the other screen and in the
# history. Terminals of people have some ten thousand cells; beyond this nobody reads a screen.
MAX_EMULATED_CELLS = 1_000_000
MAX_EMULATED_SIDE = 10_000
# The history of very wide terminals has fewer lines: 2000 of 500 cells, 100 of 10,000.
HISTORY_CELLS = 1_000_000
# Work that a few bytes of output can ask for is cut into slices of so many cells: about 1 ms.
SLICE_CELLS = 20_000
# Of one that is no ASCII, drawing costs as much as erasing so many.
DRAWN_CELLS = 50
# A picture for another terminal is not drawn beyond this: it goes out in one frame (16 MiB).
MAX_PICTURE_BYTES = 8 << 20
TAB_STOPS = frozenset(range(TAB, MAX_EMULATED_SIDE, TAB))
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


def is_emulated(rows: int, cols: int) -> bool:
    """Say whether a terminal of this size has a screen here: up to 1,000,000 cells."""
    return rows * cols <= MAX_EMULATED_CELLS and max(rows, cols) <= MAX_EMULATED_SIDE


def _bounded(rows: int, cols: int) -> tuple[int, int]:
    """Return the size a canvas takes: at least 1 by 2, and one that is emulated."""
    rows, cols = max(1, rows), max(2, cols)
    cols = min(cols, MAX_EMULATED_SIDE)
    return min(rows, MAX_EMULATED_SIDE, MAX_EMULATED_CELLS // cols), cols


class Canvas:
    """Rows and columns count from 0; sizes are `_bounded`. `x`, `y` are the cursor.

    `pause` is called again and again in work that is out of proportion to the output that asks for
    it, so that whoever draws can give way to others; nobody else may look at the canvas meanwhile.
    """

    def __init__(
        self,
        rows: int = 24,
        cols: int = 80,
        modes: Modes | None = None,
        pause: Callable[[], None] | None = None,
    ) -> None:
        self.rows, self.cols = _bounded(rows, cols)
        self.modes = modes or Modes()
        self.pause = pause
        self._work = 0
        self.history: deque[Row | PastRow] = deque(maxlen=_history_lines(self.cols))
        self._parser = Parser()
        self._clear_all()

    def _clear_all(self) -> None:
        self.x = self.y = 0
        self._wraps = False
        self._last = ""
        self._main = self._new_grid()
        # Made when it is first shown: most programs never ask for it.
        self._other: Grid | None = None
        self._places: dict[bool, tuple[int, int, bool]] = {}
        # Shared by all screens until a program sets one of its own.
        self._tabs: frozenset[int] | set[int] = TAB_STOPS

    def _new_grid(self) -> Grid:
        return Grid(Row(self.cols) for _ in self.slices(self.rows))

    def slices(self, rows: int) -> Iterator[int]:
        """Count from 0 to `rows`, with a pause wherever a slice's worth of rows is done."""
        step = max(1, SLICE_CELLS // self.cols)
        if rows <= step:
            self._spend(rows * self.cols)
            yield from range(rows)
            return
        for number in range(rows):
            yield number
            if number % step == step - 1:
                self._spend(step * self.cols)

    def _spend(self, cells: int) -> None:
        """Count work on so many cells; pause when it has become a slice."""
        self._work += cells
        if self._work >= SLICE_CELLS:
            self._work = 0
            if self.pause is not None:
                self.pause()

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
        return self._alternate() if self.modes.is_alternate else self._main

    def _alternate(self) -> Grid:
        if self._other is None:
            self._other = self._new_grid()
        return self._other

    def lines(self) -> list[str]:
        """Return the screen's rows as text, without blanks at their ends."""
        return [row.text() for row in self.grid.rows]

    @property
    def _is_origin(self) -> bool:
        return ORIGIN in self.modes.on

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
        at = self._before()
        if at >= 0 and continues(self.grid.rows[self.y].chars[at], char):
            self._combine(char)
            return
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
        row, at = self.grid.rows[self.y], self._before()
        if at >= 0 and len(row.chars[at]) < 16:
            row.chars[at] += char

    def _before(self) -> int:
        """Return the column of the character before the cursor, -1 where there is none."""
        at = self.x if self._wraps else self.x - 1
        return at - 1 if at > 0 and self.grid.rows[self.y].chars[at] == WIDE_TAIL else at

    def _wrap(self) -> None:
        self.grid.rows[self.y].is_wrapped = True
        self.x, self._wraps = 0, False
        self._line_feed()

    # Moving

    def _tab(self, count: int) -> None:
        step = 1 if count > 0 else -1
        self._spend(min(abs(count) * TAB, self.cols))
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

    @property
    def has_region(self) -> bool:
        """Say whether a part of the screen is kept out of scrolling."""
        return self.region() != (0, self.rows - 1)

    def _blank(self) -> Style:
        """Return the style of cells that are erased: they keep the background."""
        background = self.modes.style.background
        return PLAIN._replace(background=background) if background else PLAIN

    def _line_feed(self) -> None:
        top, bottom = self.region()
        if self.y == bottom:
            # What nearly every line of output comes to.
            gone = self.grid.scroll_up(top, bottom, 1, self._blank())
            if top == 0 and not self.modes.is_alternate:
                self.history.extend(gone)
        elif self.y < self.rows - 1:
            self.y += 1

    def _scroll_up(self, top: int, bottom: int, count: int) -> None:
        for part in self._parts(top, bottom, count):
            gone = self.grid.scroll_up(top, bottom, part, self._blank())
            if top == 0 and not self.modes.is_alternate:
                self.history.extend(gone)

    def _parts(self, top: int, bottom: int, count: int) -> Iterator[int]:
        """Cut scrolling a region by `count` rows into steps that come to the same."""
        count = min(count, bottom - top + 1)
        step = max(1, SLICE_CELLS // self.cols)
        while count > step:
            yield step
            self._spend(step * self.cols)
            count -= step
        yield count
        if count > 1:
            self._spend(count * self.cols)

    def _reverse_feed(self) -> None:
        top, bottom = self.region()
        if self.y == top:
            self.grid.scroll_down(top, bottom, 1, self._blank())
        elif self.y:
            self.y -= 1

    def _save(self) -> None:
        self._places[self.modes.is_alternate] = (self.x, self.y, self._wraps)

    def _restore(self) -> None:
        x, y, self._wraps = self._places.get(self.modes.is_alternate, (0, 0, False))
        self.x, self.y = min(x, self.cols - 1), min(y, self.rows - 1)

    def pack(self) -> None:
        """Keep what has left the screen in less memory: for who has drawn all there is for now."""
        rows = list(self.history)
        fresh = next((n for n, r in enumerate(reversed(rows)) if isinstance(r, PastRow)), len(rows))
        for number in self.slices(fresh):
            row = rows[-1 - number]
            rows[-1 - number] = PastRow(row) if isinstance(row, Row) else row
        if fresh:
            self.history = deque(rows, self.history.maxlen)

    # Size

    def resize(self, rows: int, cols: int) -> None:
        """Take another size. Lines are cut or padded, not wrapped anew: programs redraw."""
        rows, cols = _bounded(rows, cols)
        if (rows, cols) == (self.rows, self.cols):
            return
        before, self.rows, self.cols = self.rows, rows, cols
        for grid in (self._main, self._other):
            if grid is not None:
                for number in self.slices(len(grid.rows)):
                    grid.rows[number].resize(cols)
        self.history = deque(self.history, _history_lines(cols))
        if rows < before:
            self._lose_rows(rows)
        else:
            self._gain_rows(rows - before, cols)
        self.modes.region = (0, 0)
        self.y, self.x, self._wraps = min(self.y, rows - 1), min(self.x, cols - 1), False

    def _lose_rows(self, rows: int) -> None:
        """Blank rows below the cursor go first, then those at the top, into the history."""
        if self._other is not None:
            del self._other.rows[rows:]
        main = self._main.rows
        cursor = self._places.get(False, (0, 0))[1] if self.modes.is_alternate else self.y
        for _ in self.slices(len(main) - rows):
            if len(main) - 1 <= cursor or main[-1].text():
                break
            main.pop()
        above = len(main) - rows
        if above > 0 and cursor < above:
            above = cursor
        self.history.extend(main[:above])
        del main[:above], main[rows:]
        self._shift_main(-above)

    def _gain_rows(self, count: int, cols: int) -> None:
        if self._other is not None:
            self._other.rows += [Row(cols) for _ in self.slices(count)]
        back: list[Row] = []
        for _ in range(min(count, len(self.history))):
            row = self.history.pop()
            back.insert(0, row.row() if isinstance(row, PastRow) else row)
            back[0].resize(cols)
        self._main.rows[:0] = back
        self._main.rows += [Row(cols) for _ in self.slices(count - len(back))]
        self._shift_main(len(back))

    def _shift_main(self, count: int) -> None:
        if not self.modes.is_alternate:
            self.y = max(0, self.y + count)
        if False in self._places:
            x, y, wraps = self._places[False]
            self._places[False] = (x, max(0, y + count), wraps)

    # Showing it elsewhere

    def paint(self, *, with_region: bool = True) -> bytes:
        """Return what shows this screen, modes and cursor included, on a terminal just reset.

        A picture of more than MAX_PICTURE_BYTES is cut at a row's end.
        Without its scroll region for a terminal whose program is told of a new size right away.
        """
        out = []
        if self.modes.is_alternate:
            x, y, _ = self._places.get(False, (0, 0, False))
            out += [self._painted(self._main), b"\x1b[%d;%dH\x1b[?1049h" % (y + 1, x + 1)]
        out += [self._painted(self.grid), self.modes.enter(alternate=False, region=with_region)]
        top = self.region()[0] if with_region and self._is_origin else 0
        out.append(b"\x1b[%d;%dH" % (self.y - top + 1, self.x + 1))
        return b"".join(out)

    def _painted(self, grid: Grid) -> bytes:
        out, size = [b"\x1b[H\x1b[2J"], 0
        for number in self.slices(len(grid.rows)):
            row = grid.rows[number].ansi()
            size += len(row)
            if size > MAX_PICTURE_BYTES // 2:
                break
            if row:
                out.append(b"\x1b[%d;1H%b" % (number + 1, row))
        return b"".join(out)


def _history_lines(cols: int) -> int:
    return min(HISTORY_LINES, HISTORY_CELLS // cols)
