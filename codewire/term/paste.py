"""Text typed on somebody's behalf: made harmless, and pasted in one where the program allows it.

Bracketed paste is DECSET 2004 (xterm's ctlseqs): a program that switches it on takes what stands
between START and END as text, not as keys.
"""

from __future__ import annotations

import re

START, END = "\x1b[200~", "\x1b[201~"

# DECSET and DECRST with 2004 among their numbers, and RIS, the full reset.
SWITCH = re.compile(rb"\x1b(?:c|\[\?([0-9;]{1,60})([hl]))")
# No switch is longer: what may still become one is held back this far.
HELD_BYTES = 64


class PasteMode:
    """Says whether the program that printed the bytes fed so far has bracketed paste on."""

    def __init__(self) -> None:
        self.is_on = False
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of output; a switch may be split over any number of them."""
        data = self._held + data
        if b"2004" in data or b"\x1bc" in data:
            for found in SWITCH.finditer(data):
                self._apply(found)
        # Looking at a whole switch twice does no harm: nothing came after it.
        last = data.rfind(b"\x1b", max(0, len(data) - HELD_BYTES))
        self._held = data[last:] if last >= 0 else b""

    def _apply(self, found: re.Match[bytes]) -> None:
        if found[0] == b"\x1bc":
            self.is_on = False
        elif b"2004" in found[1].split(b";"):
            self.is_on = found[2] == b"h"

    def skip(self) -> None:
        """Forget what was held: the bytes that follow are not the next ones."""
        self._held = b""


def _names() -> dict[int, str]:
    """Return how each control character but the line feed is shown: ESC as ^[, CSI as \\x9b."""
    names = {code: "^" + chr(code ^ 64) for code in (*range(32), 127)}
    names |= {code: f"\\x{code:02x}" for code in range(128, 160)}
    del names[ord("\n")]
    # A tab is a key too: many programs complete words on it.
    names[ord("\t")] = "    "
    return names


NAMES = _names()


def harmless(text: str) -> str:
    """Return `text` with line feeds as its only control characters; all others are spelt out."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(NAMES)


def bracketed(text: str) -> bytes:
    """Return harmless text as one paste; pressing Enter is not part of it."""
    return (START + harmless(text) + END).encode("utf-8", "replace")


def as_typed(data: bytes) -> bytes:
    """Return data as one paste, unchanged but for ends inside it, which would type the rest."""
    end = END.encode()
    *ended, rest = data.split(end[-1:])
    kept = bytearray()
    for piece in ended:
        kept += piece + end[-1:]
        # Looked for in what is kept: taking one out may put another together.
        if kept.endswith(end):
            del kept[-len(end) :]
    return START.encode() + kept + rest + end


def plain(text: str) -> bytes:
    """Return harmless text as bytes to type, for a program that knows no pastes."""
    return harmless(text).encode("utf-8", "replace")
