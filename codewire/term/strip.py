"""Strip escape sequences from terminal output (spec/wire.md 16), however it is cut.

What a sequence is follows ECMA-48 and xterm's ctlseqs: an ESC ends any unfinished sequence and
begins another (so ESC \\, which ends a string, is just one more sequence). 8-bit C1 controls are
text: output is UTF-8. Other control characters are kept.
"""

from __future__ import annotations

import re

# An unfinished sequence matches as far as it goes. Bytes past 0x7F belong to no short sequence:
# dropping one would cut a character.
SEQUENCE = re.compile(
    rb"""\x1b(?:
        \[ [^@-~\x1b]* [@-~]?        # CSI ... final
      | \] [^\x07\x1b]* \x07?        # OSC ... BEL, or up to the next ESC
      | [PX^_] [^\x1b]*              # DCS, SOS, PM, APC, up to the next ESC
      | [ -/]* [^ -/\x1b\x80-\xff]?  # ESC final, and ESC intermediates final
    )""",
    re.VERBOSE,
)

# A sequence that is unfinished at the end of the data; it has the last ESC. The group is what
# decides how it goes on.
UNFINISHED = re.compile(rb"\x1b(?:(\[)[^@-~]*|(\])[^\x07]*|([PX^_]).*|([ -/])[ -/]*)?\Z", re.DOTALL)


class AnsiStripper:
    """Bytes in, bytes without escape sequences out; the same bytes however they are cut.

    Remembers of an unfinished sequence only its kind: a string without an end costs no memory.
    """

    def __init__(self) -> None:
        # The shortest sequence of the unfinished one's kind, b"" between sequences.
        self._open = b""
        self._pending = 0

    @property
    def pending(self) -> int:
        """How many of the last bytes fed belong to an unfinished sequence.

        A new stripper that is fed from there on returns the same.
        """
        return self._pending

    def feed(self, data: bytes) -> bytes:
        """Return what is text."""
        if not data or (not self._open and b"\x1b" not in data):
            return data
        continued = self._open + data
        self._note_unfinished(continued, len(data))
        return SEQUENCE.sub(b"", continued)

    def _note_unfinished(self, continued: bytes, new_bytes: int) -> None:
        start = continued.rfind(b"\x1b")
        match = UNFINISHED.match(continued, start)
        if match is None:
            self._open, self._pending = b"", 0
            return
        is_new = start > 0 or not self._open
        self._pending = len(continued) - start if is_new else self._pending + new_bytes
        self._open = b"\x1b" + (match[match.lastindex] if match.lastindex else b"")


def strip_ansi(data: bytes) -> bytes:
    """Return `data` without escape sequences; an unfinished one is dropped to the end."""
    return SEQUENCE.sub(b"", data)
