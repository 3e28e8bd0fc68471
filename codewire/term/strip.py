"""Strip escape sequences from terminal output (spec/wire.md 16), however it is cut.

What a sequence is follows ECMA-48 and xterm's ctlseqs: an ESC ends any unfinished sequence and
begins another (so ESC \\, which ends a string, is just one more sequence); CAN and SUB end one and
vanish with it. 8-bit C1 controls are text: output is UTF-8. Of other control characters only tab,
newline and carriage return are kept: those of a full-screen program would garble any terminal.

Programs move the cursor where blanks and line ends belong. So a move forward becomes blanks, and
one to another row a newline: text reads as it stands on the screen, as far as that can be told
without drawing it. A program that moves no cursor loses and gains nothing.
"""

from __future__ import annotations

import re

# No sequence is longer, so a stray beginning does not swallow text for ever. Pictures come as
# strings of many KiB; tmux draws the line at 1 MiB too.
MAX_SEQUENCE = 1 << 20

# An unfinished sequence matches as far as it goes. A group is the byte that ends its sequence: none
# has matched in one that goes on, or that ESC or the limit has ended. Bytes past 0x7F belong to no
# short sequence: dropping one would cut a character.
SEQUENCE = re.compile(
    rb"""\x1b(?:
        \[ [^@-~\x18\x1a\x1b]{0,MOST} ([@-~\x18\x1a])?     # CSI ... final
      | \] [^\x07\x18\x1a\x1b]{0,MOST} ([\x07\x18\x1a])?   # OSC ... BEL, or up to the next ESC
      | [PX^_] [^\x18\x1a\x1b]{0,MOST} ([\x18\x1a])?       # DCS, SOS, PM, APC, up to the next ESC
      | [ -/] [ -/]{0,MOST} ([0-~\x18\x1a])?               # ESC intermediates final
      | ([0-~\x18\x1a])?                                   # ESC final
    )""".replace(b"MOST", b"%d" % (MAX_SEQUENCE - 3)),
    re.VERBOSE,
)

# As many of the first bytes as tell the kinds of sequences apart.
KIND_BYTES = 2
# An unfinished sequence is kept whole up to here: no move of the cursor is longer.
KEPT_BYTES = 64

CONTROLS = bytes({*range(32), 127} - {*b"\t\n\r\x1b"})

# What moves the cursor: CUU to CUP, CHT, HPA, HPR, VPA, VPR, HVP; IND, NEL and RI. An ESC begins a
# sequence wherever it stands, so these are found without looking at what is around them.
MOVE = re.compile(rb"\x1b(?:\[([0-9;]{0,16})([ABCEFGHI`adef])|[DEM])")
# Every other sequence, as SEQUENCE has them: colours, which most are, come first, and there are no
# groups, which take time.
OTHER = re.compile(
    rb"""\x1b(?:
        \[ [0-9;:]* m
      | (?! \[ [0-9;]{0,16} [ABCEFGHI`adef] | [DEM] ) (?:
            \[ [^@-~\x18\x1a\x1b]{0,MOST} [@-~\x18\x1a]?
          | \] [^\x07\x18\x1a\x1b]{0,MOST} [\x07\x18\x1a]?
          | [PX^_] [^\x18\x1a\x1b]{0,MOST} [\x18\x1a]?
          | [ -/] [ -/]{0,MOST} [0-~\x18\x1a]?
          | [0-~\x18\x1a]?
        )
    )""".replace(b"MOST", b"%d" % (MAX_SEQUENCE - 3)),
    re.VERBOSE,
)
# More blanks than any row has columns come from no program that means them.
MAX_BLANKS = 256

# To count the columns that UTF-8 takes: bytes that go on with a character, and the first ones of
# what is two columns wide, nearly always (East Asian scripts, pictures).
CONTINUATIONS = bytes(range(0x80, 0xC0))
WIDE = bytes((*range(0xE3, 0xEE), 0xF0))


class AnsiStripper:
    """Bytes in, bytes without escape sequences out; the same bytes however they are cut.

    Remembers of an unfinished sequence its beginning and its length, and where the cursor is.
    """

    def __init__(self, *, is_continued: bool = False) -> None:
        """`is_continued`: text came before, which is not known."""
        # The first bytes of the unfinished sequence, b"" between sequences.
        self._open = b""
        self._pending = 0
        # The last byte that was returned, b"" when it is not known.
        self._last = b"" if is_continued else b"\n"
        # Counted from 1; no row before a program has named one.
        self._row: int | None = None
        self._column: int | None = None if is_continued else 1

    @property
    def pending(self) -> int:
        """How many of the last bytes fed belong to an unfinished sequence: below MAX_SEQUENCE.

        A new stripper that is fed from there on returns the same, but for white space where the
        cursor is moved from a place it does not know.
        """
        return self._pending

    def feed(self, data: bytes) -> bytes:
        """Return what is text."""
        if not data or (not self._open and b"\x1b" not in data):
            return self._text(data.translate(None, CONTROLS))
        start = 0
        if self._open and self._pending <= KEPT_BYTES:
            data, self._open, self._pending = self._open + data, b"", 0
        elif self._open:
            start = self._continue(data)
        last = data.rfind(b"\x1b", start)
        if last >= 0:
            match = SEQUENCE.match(data, last)
            if match and match.end() == len(data) and not match.lastindex:
                kept = len(data) - last <= KEPT_BYTES
                self._open = match[0] if kept else match[0][:KIND_BYTES]
                self._pending = len(match[0])
        return self._strip(data, start)

    def _strip(self, data: bytes, start: int) -> bytes:
        # Every ESC that is left begins a move.
        data, start = OTHER.sub(b"", data[start:] if start else data).translate(None, CONTROLS), 0
        if b"\x1b" not in data:
            return self._text(data)
        parts = []
        for move in MOVE.finditer(data):
            parts.append(self._text(data[start : move.start()]))
            parts.append(self._text(self._blanks(move)))
            start = move.end()
        parts.append(self._text(data[start:]))
        return b"".join(parts)

    def _text(self, text: bytes) -> bytes:
        """Note where `text` leaves the cursor."""
        if not text:
            return text
        self._last = text[-1:]
        if self._row is not None:
            self._row += text.count(b"\n")
        if self._column is None and b"\n" not in text and b"\r" not in text:
            return text
        line = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if line:
            self._column = 1
        if self._column is not None:
            tail = text[line:]
            if tail.isascii():
                self._column += len(tail)
                return text
            wide = len(tail) - len(tail.translate(None, WIDE))
            self._column += len(tail.translate(None, CONTINUATIONS)) + wide
        return text

    def _blanks(self, move: re.Match[bytes]) -> bytes:
        """Return what stands for a move of the cursor in text."""
        numbers = [int(n[:5] or 0) for n in move[1].split(b";")] if move[1] else [0]
        number = max(1, numbers[0])
        kind = move[2]
        if kind in (b"C", b"a"):
            return b" " * min(number, MAX_BLANKS)
        if kind == b"I":
            return b"\t"
        if kind in (b"G", b"`"):
            return self._to_column(number)
        if kind == b"d":
            return b"" if number == self._row else self._to_row(number)
        if kind in (b"H", b"f"):
            column = max(1, numbers[1]) if len(numbers) > 1 else 1
            return self._to_column(column) if number == self._row else self._to_row(number)
        if self._row is None:
            return self._to_row(None)
        up = kind in (b"A", b"F") or move[0] == b"\x1bM"
        return self._to_row(max(1, self._row - number if up else self._row + number))

    def _to_row(self, row: int | None) -> bytes:
        has_ended = self._last == b"\n"
        # The newline that is returned counts as one row.
        self._row = row if row is None or has_ended else row - 1
        return b"" if has_ended else b"\n"

    def _to_column(self, column: int) -> bytes:
        if self._column is None:
            return b"\r" if column == 1 else b"" if self._last.isspace() else b" "
        if column >= self._column:
            return b" " * min(column - self._column, MAX_BLANKS)
        # Back to the left, where other text stands.
        return b"\r" + b" " * min(column - 1, MAX_BLANKS)

    def _continue(self, data: bytes) -> int:
        """Go on with the unfinished sequence; return how many bytes of `data` belong to it."""
        match = SEQUENCE.match(self._open + data)
        taken = match.end() - len(self._open) if match else 0
        has_ended = bool(match and match.lastindex)
        # The limit for all but the last byte: the expression has counted from the kind only.
        room = MAX_SEQUENCE - 1 - self._pending
        if taken - has_ended > room:
            taken, has_ended = room, True
        if taken == len(data) and not has_ended:
            self._open = (self._open + data)[:KIND_BYTES]
            self._pending += taken
        else:
            self._open, self._pending = b"", 0
        return taken


def strip_ansi(data: bytes) -> bytes:
    """Return `data` without escape sequences; an unfinished one is dropped to the end."""
    return AnsiStripper().feed(data)
