"""What a person types into the overview: bytes of the terminal as names of keys. Pure.

Printable characters are themselves; of others those that the overview knows have a name.
"""

from __future__ import annotations

import codecs
import re

SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])")
# Beginnings of one that may go on.
BEGINNING = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
NAMES = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1b[1~": "home",
    b"\x1bOH": "home",
    b"\x1b[F": "end",
    b"\x1b[4~": "end",
    b"\x1bOF": "end",
}
CONTROLS = {
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x03": "interrupt",
    "\x0c": "redraw",
    "\x15": "clear",
    "\x1a": "suspend",
    "\x1b": "escape",
}


class Keyboard:
    """Turns what was read into keys, however it is cut."""

    def __init__(self) -> None:
        self._held = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def is_waiting(self) -> bool:
        """Say whether an ESC may be the beginning of more; `flush` makes it a key."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[str]:
        """Return the keys that are complete; sequences nobody knows are dropped."""
        data = self._held + data
        unfinished = BEGINNING.search(data)
        end = unfinished.start() if unfinished else len(data)
        self._held = data[end:]
        keys, start = [], 0
        for found in SEQUENCE.finditer(data, 0, end):
            keys += self._characters(data[start : found.start()])
            keys += [NAMES[found[0]]] if found[0] in NAMES else []
            start = found.end()
        return keys + self._characters(data[start:end])

    def flush(self) -> list[str]:
        """Return what was held back as the keys it is by itself."""
        held, self._held = self._held, b""
        return ["escape"] if held == b"\x1b" else []

    def _characters(self, data: bytes) -> list[str]:
        text = self._decoder.decode(data)
        named = [CONTROLS.get(char, char) for char in text]
        return [key for key in named if len(key) > 1 or key.isprintable()]
