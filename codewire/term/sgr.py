"""How characters look: SGR attributes parsed, kept as a tuple, written again (ctlseqs(ms))."""

from __future__ import annotations

import re
from typing import NamedTuple


class Style(NamedTuple):
    """How a cell looks. Colours and underline are parameters as SGR takes them, "" default."""

    flags: int = 0
    foreground: str = ""
    background: str = ""
    underline: str = ""
    underline_colour: str = ""


PLAIN = Style()
# The bit of `flags` for foreground and background exchanged.
REVERSED = 16

# SGR number that sets an attribute -> its bit; and the one that clears bits.
_SET = {1: 1, 2: 2, 3: 4, 5: 8, 6: 8, 7: REVERSED, 8: 32, 9: 64, 53: 128}
_CLEAR = {22: 1 | 2, 23: 4, 25: 8, 27: REVERSED, 28: 32, 29: 64, 55: 128}
_NUMBERS = {bit: number for number, bit in reversed(_SET.items())}
_EXTENDED = {38: "foreground", 48: "background", 58: "underline_colour"}
_DEFAULT = {39: "foreground", 49: "background", 59: "underline_colour", 24: "underline"}

# No number or colour is longer; what is kept stands beside every run of cells.
MAX_DIGITS = 5
MAX_COLOUR = 40

SGR = re.compile(rb"\x1b\[([0-9:;]*)m")


def apply_sgr(style: Style, body: bytes) -> Style:
    """Return a style after SGR with these parameters (the bytes between `CSI` and `m`)."""
    if not body or body == b"0":
        return PLAIN
    parts = body.decode("ascii", "replace").split(";")
    at = 0
    while at < len(parts):
        part = parts[at]
        at += 1
        head = part.partition(":")[0]
        number = int(head[:5]) if head else 0
        if number in _EXTENDED and part == head:
            length = {"5": 2, "2": 4}.get(parts[at] if at < len(parts) else "", 0)
            if not length or at + length > len(parts):
                return style
            value = ";".join([head, *(p[:MAX_DIGITS] or "0" for p in parts[at : at + length])])
            style = _replaced(style, _EXTENDED[number], value)
            at += length
        else:
            style = _apply_one(style, number, part)
    return style


def _apply_one(style: Style, number: int, part: str) -> Style:
    if number == 0:
        return PLAIN
    if number in _SET:
        return style._replace(flags=style.flags | _SET[number])
    if number in _CLEAR:
        return style._replace(flags=style.flags & ~_CLEAR[number])
    if number in (4, 21):
        return style._replace(underline="" if part == "4:0" else part[:MAX_DIGITS])
    if number in _DEFAULT:
        return _replaced(style, _DEFAULT[number], "")
    if number in _EXTENDED:
        return _replaced(style, _EXTENDED[number], part[:MAX_COLOUR])
    if 30 <= number <= 37 or 90 <= number <= 97:
        return style._replace(foreground=str(number))
    if 40 <= number <= 47 or 100 <= number <= 107:
        return style._replace(background=str(number))
    return style


def _replaced(style: Style, name: str, value: str) -> Style:
    changed = {**style._asdict(), name: value}
    return Style(**changed)


def sgr_bytes(style: Style) -> bytes:
    """Return what brings a terminal from any style to this one."""
    params = ["0", *(str(n) for bit, n in sorted(_NUMBERS.items()) if style.flags & bit)]
    params += [value for value in style[1:] if value]
    return f"\x1b[{';'.join(params)}m".encode()
