"""What a program sets with OSC sequences and leaves behind: colours, pointer, progress, a link.

Pure. Part of modes.Modes: what is not a mode but must be undone and restored all the same. See
xterm's ctlseqs(ms) for OSC 4, 10 to 19, 22 and 104 to 119, ConEmu's OSC 9;4, and OSC 8 links.
"""

from __future__ import annotations

import re

# What a terminal is told to be as it was, by the number that changed it: the one table.
UNDO: dict[int, bytes] = {
    4: b"\x1b]104\x07",
    5: b"\x1b]105\x07",
    8: b"\x1b]8;;\x1b\\",
    9: b"\x1b]9;4;0\x07",
    22: b"\x1b]22;\x07",
    **{number: b"\x1b]%d\x07" % (number + 100) for number in range(10, 20)},
}
# Colours given back: 104 undoes 4, 110 undoes 10, and so on.
RESETS = {number + 100: number for number in UNDO if number in (4, 5) or 10 <= number < 20}
# A sequence's beginning that tells what it sets; a colour `?` is a question.
SETTING = re.compile(
    rb"\x1b\](?:([45]);[0-9]{1,3};[^?\x00-\x1f]|(1[0-9]|22);[^?\x00-\x1f]|(8);|(9);4;[0-9])"
)
# No value is longer, nor has any terminal more colours.
MAX_VALUE = 64
MAX_LINK = 2083
MAX_COLOURS = 256
VALUE = re.compile(rb"[ -~]{1,%d}" % MAX_VALUE)
LINK = re.compile(rb"[!-~]{1,%d}" % MAX_LINK)


class Looks:
    """What is set after everything applied so far, and what must be undone."""

    def __init__(self) -> None:
        # Numbers of UNDO that were set, however often since.
        self._touched: dict[int, None] = {}
        self._palette: dict[tuple[int, bytes], bytes] = {}
        self._values: dict[int, bytes] = {}

    def reset(self) -> None:
        """Take a full reset: nothing is set; terminals differ in what they undo themselves."""
        self._palette.clear()
        self._values.clear()

    def note(self, beginning: re.Match[bytes]) -> None:
        """Take the beginning of a sequence (SETTING): only that something is to be undone."""
        self._touched[int(beginning[beginning.lastindex or 0])] = None

    def apply(self, number: int, text: bytes) -> None:
        """Take an OSC sequence taken apart."""
        if number in (4, 5):
            self._set_palette(number, text)
        elif 10 <= number < 20:
            self._set_colours(number, text)
        elif number == 22 and text[:1] not in (b"?", b"<", b">"):
            self._set(22, text if VALUE.fullmatch(text) else b"")
        elif number == 8:
            parameters, _, link = text.partition(b";")
            whole = b"%b;%b" % (parameters[:MAX_VALUE], link)
            self._set(8, whole if LINK.fullmatch(link) and LINK.fullmatch(whole) else b"")
        elif number == 9 and text.startswith(b"4;") and VALUE.fullmatch(text):
            self._set(9, text if text[2:3] != b"0" else b"")
        elif number in RESETS:
            self._forget(RESETS[number], text)

    def _set(self, number: int, value: bytes) -> None:
        if value:
            self._touched[number] = None
            self._values[number] = value
        else:
            self._touched.pop(number, None)
            self._values.pop(number, None)

    def _set_palette(self, number: int, text: bytes) -> None:
        parts = text.split(b";", 2 * MAX_COLOURS)
        for index, value in zip(parts[::2], parts[1::2], strict=False):
            if not (index.isdigit() and len(index) < 4 and VALUE.fullmatch(value)):
                continue
            if value != b"?" and len(self._palette) < 2 * MAX_COLOURS:
                self._palette[number, index] = value
                self._touched[number] = None

    def _set_colours(self, first: int, text: bytes) -> None:
        """More than one value in a row sets the following numbers: 10;a;b is 10 and 11."""
        for number, value in enumerate(text.split(b";", 10)[:10], first):
            if number < 20 and value != b"?" and VALUE.fullmatch(value):
                self._set(number, value)

    def _forget(self, number: int, text: bytes) -> None:
        if number not in (4, 5):
            self._set(number, b"")
            return
        gone = set(text.split(b";")) if text else None
        kept = {
            key: value
            for key, value in self._palette.items()
            if key[0] != number or (gone is not None and key[1] not in gone)
        }
        self._palette = kept
        if not any(key[0] == number for key in kept):
            self._touched.pop(number, None)

    def enter(self) -> bytes:
        """Return what sets all of it in a terminal that has its defaults."""
        colours = [b"\x1b]%d;%b;%b\x07" % (*key, value) for key, value in self._palette.items()]
        values = [b"\x1b]%d;%b\x1b\\" % item for item in self._values.items()]
        return b"".join(colours + values)

    def leave(self) -> bytes:
        """Return what undoes it."""
        return b"".join(UNDO[number] for number in self._touched)
