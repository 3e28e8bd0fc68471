"""What a session's terminal shows, found out from its log when somebody asks: one more cursor.

Nothing here runs while output flows. The first look reads what is needed to know the modes, later
ones only what is new; a long way behind, the screen is drawn from the last stretch alone.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import TypeVar

from codewire.io.wait import give_way
from codewire.session.output.log import OutputLog
from codewire.term.modes import Modes
from codewire.term.queries import find_unfinished
from codewire.term.screen import Screen

# Modes are looked for in this much of the output at most, the picture is drawn from this much:
# drawing costs about 0.3 s a MiB, looking for modes a tenth of that.
MODES_BYTES = 16 << 20
SCREEN_BYTES = 1 << 20
READ_BYTES = 1 << 16

# A terminal not yet known (the session has ended) is taken for this.
DEFAULT_SIZE = (24, 80)

View = TypeVar("View")


class Display:
    """A session's screen. `offset` says up to where it has taken the log in."""

    def __init__(self, size: Callable[[], tuple[int, int]]) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._screen: Screen | None = None
        self.offset = 0

    def look(
        self, output: OutputLog, view: Callable[[Screen, int], View], until: int | None = None
    ) -> View:
        """Return what `view` makes of the screen and of the log offset that is drawn on it.

        That is `until`, or the log's end; one that has been passed already is not returned to.
        Blocks while it reads. The caller counts as a user of `output`; `view` must not block.
        """
        with self._lock:
            target = output.end if until is None else until
            screen = self._begin(output, target)
            while self.offset < target:
                chunk = output.read(self.offset, min(READ_BYTES, target - self.offset))
                if not chunk.data and not chunk.gap:
                    break
                screen.feed(chunk.data)
                self.offset = chunk.end
                if self.offset < target:
                    give_way()
            return view(screen, self.offset)

    def _begin(self, output: OutputLog, target: int) -> Screen:
        """Return the screen to go on with: the one there is, unless it is far behind."""
        screen = self._screen
        if screen is None:
            modes = Modes()
            start = max(output.first, target - MODES_BYTES)
        elif target - self.offset > SCREEN_BYTES:
            modes = screen.modes
            start = max(self.offset, output.first, target - MODES_BYTES)
        else:
            return screen
        draw_from = max(output.first, target - SCREEN_BYTES, start)
        if start < draw_from:
            draw_from = scan_modes(modes, output, start, draw_from)
        self._screen = Screen(*self._size(), modes)
        self.offset = draw_from
        return self._screen

    def resized(self, output: OutputLog, rows: int, cols: int) -> None:
        """The terminal has got another size: what is in the log was printed for the old one."""
        if self._screen is not None:
            self.look(output, lambda screen, _: screen.resize(rows, cols))


def scan_modes(modes: Modes, output: OutputLog, start: int, end: int) -> int:
    """Feed `modes` the log from `start` to about `end`; return the offset it reached.

    That is `end`, or a little before where a sequence is cut by it.
    """
    offset = start
    while offset < end:
        chunk = output.read(offset, min(READ_BYTES, end - offset))
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
    state = "\n".join([*screen.lines(), f"{screen.y},{screen.x}"])
    return hashlib.blake2b(state.encode("utf-8", "replace"), digest_size=8).hexdigest()
