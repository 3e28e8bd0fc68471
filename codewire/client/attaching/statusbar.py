"""The status bar of an attached terminal: one row below a scroll region, kept out of the way.

Pure: takes the session's output and sizes, returns bytes for the terminal. The bar is never drawn
inside an escape sequence, and the session has all rows while it uses the alternate screen.
"""

from __future__ import annotations

import re

from codewire.term.queries import STATUS_BEGINNING, STATUS_QUERY
from codewire.term.restore import bar_draw, bar_remove, bar_setup

MIN_ROWS = 5
# More rows than any terminal has: for a bar nobody wants.
NEVER = 1 << 20

# An escape sequence that has begun but not ended: it is held back until it has, so that what
# the terminal gets always ends between two sequences. Of a string only what tells its kind is held
# back: `OSC 11;?` asks for a colour, `OSC 11;red` sets one.
UNFINISHED = re.compile(
    rb"\x1b(?:[ -/]+|\[[^@-~\x18\x1a\x1b]*"
    rb"|\](?:[0-9]{1,4}(?:;[0-9]{0,3}){0,2}|7501;\?\x1b?)?)?\Z"
)
UNFINISHED_BYTES = 64

# What matters here: private modes, a scroll region reset to the whole screen, resets.
SPECIAL = re.compile(rb"\x1b(?:\[\?([0-9;]*)([hl])|\[[0;]*r|\[!p|c)")
ALTERNATE_SCREEN_MODES = frozenset((b"47", b"1047", b"1049"))

# DCS, SOS, PM, APC and OSC: text up to a terminator. ESC is one too, and begins what comes next.
STRING_ENDS = {
    **dict.fromkeys((b"P", b"X", b"^", b"_"), re.compile(rb"[\x18\x1a]")),
    b"]": re.compile(rb"[\x07\x18\x1a]"),
}
PARTIAL_CHARACTER = re.compile(
    rb"(?:[\xc2-\xf4]|[\xe0-\xf4][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{2})\Z"
)


class StatusBar:
    """Knows the terminal's size and, from the output, whether the bar may be on it.

    `is_dirty` says that output has passed since the bar was drawn.
    """

    def __init__(self, is_wanted: bool = True) -> None:
        self._min_rows = MIN_ROWS if is_wanted else NEVER
        self._rows = self._cols = 0
        self._alternate = False
        # What ends the string that the output so far has left open, None between strings.
        self._string_end: re.Pattern[bytes] | None = None
        self._held = b""
        self._end = b""
        self.is_dirty = False

    @property
    def is_shown(self) -> bool:
        return self._rows >= self._min_rows and not self._alternate

    @property
    def is_alternate(self) -> bool:
        """Say whether the session uses the alternate screen."""
        return self._alternate

    @property
    def session_size(self) -> tuple[int, int]:
        """Return (rows, cols) the session has."""
        return self._rows - 1 if self.is_shown else self._rows, self._cols

    @property
    def may_draw(self) -> bool:
        """Say whether the bar is shown and may be drawn now."""
        return self.is_shown and self.is_between

    @property
    def is_between(self) -> bool:
        """Say whether what is written now would fall between two sequences and two characters."""
        return self._string_end is None and not PARTIAL_CHARACTER.search(self._end)

    def resize(self, rows: int, cols: int) -> bytes:
        """Take the terminal's size and return what sets the scroll region for it."""
        was_shown = self.is_shown
        self._rows, self._cols = rows, cols
        self.is_dirty = True
        if self.is_shown:
            return _keep_cursor(bar_setup(rows))
        return bar_remove(rows) if was_shown else b""

    def draw(self, text: str) -> bytes:
        """Return what paints the bar; the cursor stays where it is."""
        self.is_dirty = False
        return bar_draw(self._rows, self._cols, text)

    def remove(self) -> bytes:
        """Return what gives the whole screen back; nothing when the bar is not on it."""
        return bar_remove(self._rows) if self._rows >= self._min_rows else b""

    def feed(self, data: bytes) -> bytes:
        """Take output of the session and return it for the terminal, the bar's needs added."""
        data = self._held + data
        self._held = b""
        if b"\x1b" in data:
            unfinished = UNFINISHED.search(data, max(0, len(data) - UNFINISHED_BYTES))
            if unfinished:
                self._held, data = unfinished[0], data[: unfinished.start()]
            if STATUS_BEGINNING in data:
                # The node has answered.
                data = STATUS_QUERY.sub(b"", data)
            self._note_string(data)
            data = SPECIAL.sub(self._answer, data)
        elif self._string_end is not None and self._string_end.search(data):
            self._string_end = None
        if data:
            self._end = data[-3:]
            self.is_dirty = True
        return data

    def _note_string(self, data: bytes) -> None:
        """Find out whether the data ends inside a string sequence (a title, say)."""
        start = data.rfind(b"\x1b")
        if start >= 0:
            # Any ESC ends a string, also one that another ESC follows (held back, so it is last).
            self._string_end = STRING_ENDS.get(data[start + 1 : start + 2])
        if self._string_end is not None and self._string_end.search(data, max(0, start)):
            self._string_end = None

    def _answer(self, match: re.Match[bytes]) -> bytes:
        """Return a sequence with what it makes necessary behind it."""
        sequence = match[0]
        if match[1] is not None:
            return sequence + self._switch_screen(match[1].split(b";"), match[2] == b"h")
        if sequence == b"\x1bc":
            self._alternate = False
        if not self.is_shown:
            return sequence
        # All but the soft reset (DECSTR) send the cursor home, and so does the set-up.
        setup = bar_setup(self._rows)
        return sequence + (_keep_cursor(setup) if sequence == b"\x1b[!p" else setup)

    def _switch_screen(self, modes: list[bytes], on: bool) -> bytes:
        if self._alternate == on or ALTERNATE_SCREEN_MODES.isdisjoint(modes):
            return b""
        self._alternate = on
        if self._rows < self._min_rows:
            return b""
        return bar_remove(self._rows) if on else _keep_cursor(bar_setup(self._rows))


def _keep_cursor(sequence: bytes) -> bytes:
    """Return a sequence that leaves the cursor where it is (DECSC, DECRC)."""
    return b"\x1b7" + sequence + b"\x1b8"
