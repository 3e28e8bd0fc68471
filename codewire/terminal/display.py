"""What a session's terminal shows, found out from its log when somebody asks: one more cursor.

Nothing here runs while output flows. The first look reads what is needed to know the modes, later
ones only what is new; a long way behind, the screen is drawn from the last stretch alone. Drawing
is done in slices (turns.py) and has a time of its own; what it does not reach, the next look does.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from codewire.io.wait import give_way
from codewire.output.log import OutputLog
from codewire.term.canvas import is_emulated
from codewire.term.modes import Modes
from codewire.term.queries import find_unfinished
from codewire.term.screen import Screen
from codewire.terminal.turns import Drawing, Pen, ScreenUnknown

# Modes are looked for in this much of the output at most, the picture is drawn from this much:
# drawing costs about 0.3 s a MiB, looking for modes a tenth of that.
MODES_BYTES = 16 << 20
SCREEN_BYTES = 1 << 20
READ_BYTES = 1 << 16
# A look takes no longer. Programs that erase huge screens all the time need more for a MiB.
LOOK_SECONDS = 8.0
# When this share of the time is over, the picture is begun anew, from so much of the output.
HURRIES = ((0.4, 1 << 16), (0.7, 1 << 12))
# Drawn or scanned between two looks at the clock: a byte costs up to 10 µs, on a large screen more.
PIECE_BYTES = 2048
SCAN_PIECE_BYTES = 8192
LARGE_CELLS = 20_000
MIN_PIECE_BYTES = 64
# Changes of size that a screen not looked at remembers, the newest.
MAX_SIZES = 64
# The end of a question for the cursor (DSR, DECXCPR); what else ends so does no harm. Of so many,
# the newest, the place is kept.
CURSOR_QUERY = b"6n"
MAX_ASKED = 64

# A terminal not yet known (the session has ended) is taken for this, and so is one too large.
DEFAULT_SIZE = (24, 80)

View = TypeVar("View")


def check_size(rows: int, cols: int) -> None:
    """Raise ScreenUnknown for a terminal that is not emulated."""
    if not is_emulated(rows, cols):
        raise ScreenUnknown(
            f"the terminal has {cols} columns and {rows} rows: screens are emulated "
            "up to 1000000 cells and 10000 columns or rows"
        )


class Display:
    """A session's screen. `offset` says up to where it has taken the log in.

    Of a terminal too large to be emulated it still knows the modes; its screen is a stand-in.
    """

    def __init__(self, size: Callable[[], tuple[int, int]], pen: Pen | None = None) -> None:
        """`size` returns the terminal's (rows, columns); `pen` is the node's."""
        self.size = size
        self._pen = pen or Pen()
        # Held by whoever reads and draws this screen, with pauses: others wait, but only so long.
        self._lock = threading.Lock()
        self._screen: Screen | None = None
        # While there is no screen yet, or no more: what is known from before `offset`.
        self._modes: Modes | None = None
        # Sizes still to be taken, by the log's end when they were set.
        self._sizes: deque[tuple[int, int, int]] = deque(maxlen=MAX_SIZES)
        self.offset = 0
        # Where the cursor was at questions for it, by the log's offset behind them: a look at what
        # came later may be quicker than who answers.
        self._asked: dict[int, tuple[int, int]] = {}

    def cursor_at(self, end: int, screen: Screen) -> tuple[int, int]:
        """Return the row and column at a question that ends at `end`; for views of a look."""
        return self._asked.get(end, (screen.y, screen.x))

    def look(
        self,
        output: OutputLog,
        view: Callable[[Screen, int], View],
        until: int | None = None,
        *,
        seconds: float = LOOK_SECONDS,
        hurries: Sequence[tuple[float, int]] = HURRIES,
        has_left: Callable[[], bool] = lambda: False,
    ) -> View:
        """Return what `view` makes of the screen and of the log offset that is drawn on it.

        That is `until`, or the log's end; one that has been passed already is not returned to.
        Blocks while it reads, for about `seconds` at most. When time runs short, the picture is
        drawn from a shorter stretch (as `hurries` say), and in the end this raises ScreenUnknown;
        the next look goes on from there. Raises ConnectionLost when `has_left` says so. The caller
        counts as a user of `output`; `view` must not block, but for the screen's `pause`.
        """
        drawing = Drawing(self._pen, seconds, has_left)
        with self._holding(drawing):
            target = output.end if until is None else until
            self._reach(output, target, SCREEN_BYTES, drawing, hurries)
            screen = self._screen
            assert screen is not None
            with drawing, _pausing(screen, drawing):
                self._fit(screen)
                screen.pack()
                return view(screen, self.offset)

    def _reach(
        self,
        output: OutputLog,
        target: int,
        size: int,
        drawing: Drawing,
        hurries: Sequence[tuple[float, int]],
    ) -> None:
        """Draw the log up to `target`, from its last `size` bytes if that is quicker."""
        if self._screen is None or target - self.offset > size:
            self._begin(output, target, size, drawing)
        share = hurries[0][0] if hurries else 1.0
        assert self._screen is not None
        with _pausing(self._screen, drawing):
            if self._draw(self._screen, output, target, drawing, share):
                return
        self._reach(output, target, hurries[0][1], drawing, hurries[1:])

    @contextlib.contextmanager
    def _holding(self, drawing: Drawing) -> Iterator[None]:
        """Hold the screen; a look of somebody else may take a while, but the client may leave."""
        while not self._lock.acquire(timeout=min(0.1, max(0.001, drawing.left()))):
            drawing.check()
        try:
            yield
        finally:
            self._lock.release()

    def _begin(self, output: OutputLog, target: int, size: int, drawing: Drawing) -> None:
        """Begin the picture anew `size` bytes before `target`, with the modes from before that."""
        if self._screen is not None:
            self._modes, self._screen = self._screen.modes, None
        modes = self._modes = self._modes or Modes()
        start = max(self.offset, output.first, target - MODES_BYTES)
        draw_from = max(output.first, target - size, start)
        if start != self.offset:
            modes.forget_pending()
        self.offset = start
        while self.offset < draw_from:
            chunk = output.read(self.offset, min(READ_BYTES, draw_from - self.offset))
            if not chunk.data and not chunk.gap:
                break
            with drawing:
                for piece, end in _pieces(chunk.data, chunk.offset, SCAN_PIECE_BYTES):
                    modes.feed(piece)
                    self.offset = end
                    drawing.pause()
            self.offset = chunk.end
            drawing.check()
        self.offset -= modes.forget_pending()
        # Nobody knows which size came before them.
        self._sizes.clear()
        with drawing:
            self._screen = Screen(*self._emulated_size(), modes, drawing.pause)
        self._modes = None

    def _draw(
        self, screen: Screen, output: OutputLog, target: int, drawing: Drawing, share: float
    ) -> bool:
        """Draw the log up to `target`, each part at the size the terminal had.

        Returns False when `share` of the time is over before that.
        """
        while True:
            stop = target
            while self._sizes:
                at, rows, cols = self._sizes[0]
                if at > self.offset:
                    stop = min(target, at)
                    break
                with drawing:
                    screen.resize(rows, cols)
                self._sizes.popleft()
            if self.offset >= stop:
                return True
            chunk = output.read(self.offset, min(READ_BYTES, stop - self.offset))
            if not chunk.data and not chunk.gap:
                return True
            self.offset = chunk.offset
            cells = screen.rows * screen.cols
            size = max(MIN_PIECE_BYTES, PIECE_BYTES * LARGE_CELLS // (LARGE_CELLS + cells))
            with drawing:
                for piece, end in _pieces(chunk.data, chunk.offset, size, CURSOR_QUERY):
                    screen.feed(piece)
                    self.offset = end
                    if piece.endswith(CURSOR_QUERY):
                        self._note_asked(end, screen)
                    drawing.pause()
                    drawing.check()
                    if share < 1 and drawing.is_past(share):
                        return False

    def _note_asked(self, end: int, screen: Screen) -> None:
        self._asked[end] = (screen.y, screen.x)
        if len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]

    def _fit(self, screen: Screen) -> None:
        """Take the size that the program has set itself."""
        if not self._sizes:
            screen.resize(*self._emulated_size())

    def _emulated_size(self) -> tuple[int, int]:
        size = self.size()
        return size if is_emulated(*size) else DEFAULT_SIZE

    def resized(self, end: int, rows: int, cols: int) -> None:
        """The terminal has got another size: what is in the log up to `end` was for the old one.

        Never blocks: the next look draws what came before at the old size.
        """
        if self._screen is not None:
            size = (rows, cols) if is_emulated(rows, cols) else DEFAULT_SIZE
            self._sizes.append((end, *size))


@contextlib.contextmanager
def _pausing(screen: Screen, drawing: Drawing) -> Iterator[None]:
    screen.pause = drawing.pause
    try:
        yield
    finally:
        screen.pause = None


def _pieces(data: bytes, offset: int, size: int, mark: bytes = b"") -> Iterator[tuple[bytes, int]]:
    """Cut what stands in the log at `offset` into pieces, each with the offset of its end.

    With `mark` each ends behind the first of them; none is longer than `size` but for its end.
    """
    start = 0
    while start < len(data):
        end = start + size
        if mark:
            found = data.find(mark, start, end + len(mark) - 1)
            end = end if found < 0 else found + len(mark)
        piece = data[start:end]
        start += len(piece)
        yield piece, offset + start


def scan_modes(modes: Modes, output: OutputLog, start: int, end: int) -> int:
    """Feed `modes` the log from `start` to about `end`; return the offset it reached.

    That is `end`, or a little before where a sequence is cut by it.
    """
    offset = start
    while offset < end:
        chunk = output.read(offset, min(SCAN_PIECE_BYTES, end - offset))
        if not chunk.data and not chunk.gap:
            break
        modes.feed(chunk.data)
        offset = chunk.end
        give_way()
    return offset - modes.forget_pending()


def between_sequences(output: OutputLog, offset: int) -> int:
    """Return `offset`, or the start of the sequence that the byte before it may belong to."""
    start = max(output.first, offset - 1024)
    chunk = output.read(start, offset - start)
    return chunk.offset + find_unfinished(chunk.data) if chunk.end == offset else offset


def screen_hash(screen: Screen) -> str:
    """Return 16 hexadecimal digits that change with the text on the screen and the cursor."""
    return lines_hash(screen, screen.lines())


def lines_hash(screen: Screen, lines: list[str]) -> str:
    """As `screen_hash` for who has the screen's lines already."""
    state = "\n".join([*lines, f"{screen.y},{screen.x}"])
    return hashlib.blake2b(state.encode("utf-8", "replace"), digest_size=8).hexdigest()
