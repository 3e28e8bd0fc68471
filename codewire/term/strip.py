"""Strip escape sequences from terminal output (spec/wire.md 16), however it is cut.

What a sequence is follows ECMA-48 and xterm's ctlseqs: an ESC ends any unfinished sequence and
begins another (so ESC \\, which ends a string, is just one more sequence); CAN and SUB end one and
vanish with it. 8-bit C1 controls are text: output is UTF-8. Of other control characters only tab,
newline and carriage return are kept: those of a full-screen program would garble any terminal.
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
      | [ -/] [ -/]{0,MOST} ([^ -/\x1b\x80-\xff])?         # ESC intermediates final
      | ([^\x1b\x80-\xff])?                                # ESC final
    )""".replace(b"MOST", b"%d" % (MAX_SEQUENCE - 3)),
    re.VERBOSE,
)

# As many of the first bytes as tell the kinds of sequences apart.
KIND_BYTES = 2

CONTROLS = bytes({*range(32), 127} - {*b"\t\n\r\x1b"})


class AnsiStripper:
    """Bytes in, bytes without escape sequences out; the same bytes however they are cut.

    Remembers of an unfinished sequence only its kind and its length.
    """

    def __init__(self) -> None:
        # The first bytes of the unfinished sequence, b"" between sequences.
        self._open = b""
        self._pending = 0

    @property
    def pending(self) -> int:
        """How many of the last bytes fed belong to an unfinished sequence: below MAX_SEQUENCE.

        A new stripper that is fed from there on returns the same.
        """
        return self._pending

    def feed(self, data: bytes) -> bytes:
        """Return what is text."""
        if not data or (not self._open and b"\x1b" not in data):
            return data.translate(None, CONTROLS)
        start = self._continue(data) if self._open else 0
        last = data.rfind(b"\x1b", start)
        if last >= 0:
            match = SEQUENCE.match(data, last)
            if match and match.end() == len(data) and not match.lastindex:
                self._open, self._pending = match[0][:KIND_BYTES], len(match[0])
        return SEQUENCE.sub(b"", data[start:]).translate(None, CONTROLS)

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
    return SEQUENCE.sub(b"", data).translate(None, CONTROLS)
