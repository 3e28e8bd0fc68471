"""Questions programs put to their terminal, and the answers a node gives when none is attached.

Pure. What xterm's ctlseqs(ms) calls DA, DSR, DECRQM, XTVERSION and so on, and kitty's `CSI ? u`.
The same expression finds what must not reach a terminal again when a log is replayed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from codewire.term.modes import ANSI, ANSWERED, Modes
from codewire.term.parser import split_csi

# Everything a terminal would answer. Alternatives begin differently, so it is one quick scan.
QUERY = re.compile(
    rb"""\x1b(?:
        \[ (?: [>=]?0?c                              # DA1, DA2, DA3
             | \??[0-9]{1,3}n                        # DSR, DECDSR
             | >0?q                                  # XTVERSION
             | \?u                                   # kitty keyboard flags
             | \??[0-9]{1,5}\$p                      # DECRQM
             | [01]?x                                # DECREQTPARM
             | (?:1[1345689]|2[01])(?:;[0-9]{1,3})?t # window reports
             | \?[0-9;]{1,20}S                       # XTSMGRAPHICS
             | \?[0-9]m                              # XTQMODKEYS
           )
      | \] (?: (?:4|5|1[0-9]|5[02]|2[12]) (?:;[^\x07\x18\x1a\x1b;]{0,64}){0,16};\?
             (?:;[^\x07\x18\x1a\x1b]{0,256})? (?:\x07|\x1b\\)     # colours, clipboard, ...
             | 7501;\? (?:\x07|\x1b\\) )                # is a program's status read?
      | P (?: \+q[0-9A-Fa-f;]{0,512} | \$q[^\x18\x1a\x1b]{0,8} ) \x1b\\   # XTGETTCAP, DECRQSS
      | _ G [^\x18\x1a\x1b]{0,128} a=q [^\x18\x1a\x1b]{0,512} \x1b\\              # kitty pictures
    )""",
    re.VERBOSE,
)
# The one that the node always answers itself: who says so must read the reports (OSC 7501).
STATUS_QUERY = re.compile(rb"\x1b\]7501;\?(?:\x07|\x1b\\)")
STATUS_BEGINNING = b"\x1b]7501;?"
STATUS_BYTES = len(STATUS_BEGINNING) + 2
# No query above is longer; what goes on unfinished past this is none.
MAX_QUERY = 1024
# What may still become a query.
UNFINISHED = re.compile(
    rb"\x1b(?:\[[0-9;?>=$]{0,24}|\](?:[0-9][^\x07\x18\x1a\x1b]*\x1b?)?"
    rb"|[P_][^\x18\x1a\x1b]*\x1b?)?\Z"
)
# What says which screen is in use, and a scroll region on it.
REGION = re.compile(rb"\x1b\[(?:\?(?:47|1047|1049)([hl])|[0-9]{1,5}(?:;[0-9]{0,5})?r)")

# As upstream says (spec/wire.md 17.5): a VT102, which promises nothing.
DEVICE = b"\x1b[?6c"
SECONDARY = b"\x1b[>0;0;0c"
FOREGROUND, BACKGROUND = b"c0c0/c0c0/c0c0", b"0000/0000/0000"

# The sixteen colours of xterm as 8-bit levels; 16 to 255 are computed.
BASIC = [
    *("000000", "cd0000", "00cd00", "cdcd00", "0000ee", "cd00cd", "00cdcd", "e5e5e5"),
    *("7f7f7f", "ff0000", "00ff00", "ffff00", "5c5cff", "ff00ff", "00ffff", "ffffff"),
]
CAPABILITIES = {b"TN": b"xterm-256color", b"Co": b"256", b"colors": b"256", b"RGB": b"8/8/8"}


class State:
    """What answers depend on, asked only when a query needs it: modes and the cursor's place."""

    def __init__(self, look: Callable[[], tuple[Modes, int, int, int, int]]) -> None:
        """`look` returns (modes, cursor row, cursor column, rows, columns); rows count from 0."""
        self._look = look

    def modes(self) -> Modes:
        return self._look()[0]

    def cursor(self) -> tuple[int, int]:
        """Return the cursor's (row, column), counted from 1."""
        _, y, x, _, _ = self._look()
        return y + 1, x + 1

    def size(self) -> tuple[int, int]:
        return self._look()[3:]


def find_unfinished(data: bytes) -> int:
    """Return where a query may have begun that the end of `data` cuts, len(data) if nowhere."""
    start = max(0, len(data) - MAX_QUERY)
    at = data.rfind(b"\x1b", start)
    if at < 0:
        return len(data)
    if data.endswith(b"\x1b") and at > start:
        # Half of the ST that ends a string, perhaps.
        before = data.rfind(b"\x1b", start, at)
        if before >= 0 and data[before + 1 : before + 2] in (b"]", b"P", b"_"):
            at = before
    return at if UNFINISHED.match(data, at) else len(data)


def mask_queries(data: bytes) -> bytes:
    """Return data of the same length with NULs, which terminals ignore, where queries were."""
    if b"\x1b" not in data:
        return data
    return QUERY.sub(lambda found: b"\0" * len(found[0]), data)


class Replay:
    """Makes old output fit to be shown again, byte for byte as long as it was.

    It asks nothing any more. And a full-screen program that is gone sets no scroll region: it was
    for the size of that time, and terminals forget it when they are resized.
    """

    def __init__(self, is_alternate: bool) -> None:
        """`is_alternate` says on which screen the output begins."""
        self._is_alternate = is_alternate

    def feed(self, data: bytes) -> bytes:
        """Return the next bytes, which end between two queries (`find_unfinished`)."""
        return REGION.sub(self._replace, mask_queries(data))

    def _replace(self, found: re.Match[bytes]) -> bytes:
        if found[1]:
            self._is_alternate = found[1] == b"h"
        elif self._is_alternate:
            # Setting a region also sends the cursor home; this only does that.
            return b"\x1b[" + b"0" * (len(found[0]) - 3) + b"H"
        return found[0]


def answer(query: bytes, state: State) -> bytes:
    """Return what a terminal answers to one query, b"" where ours stays silent."""
    kind = query[1:2]
    if kind == b"[":
        return _answer_csi(query, state)
    if kind == b"]":
        return _answer_osc(query)
    if query.startswith(b"\x1bP+q"):
        return _answer_capabilities(query[4:-2])
    if query.startswith(b"\x1bP$q"):
        return _answer_setting(query[4:-2], state)
    return b""


def _answer_csi(query: bytes, state: State) -> bytes:
    csi = split_csi(query)
    if csi is None:
        return b""
    number = csi.params[0] if csi.params else 0
    if csi.final == "c":
        return {"": DEVICE, ">": SECONDARY, "=": b"\x1bP!|00000000\x1b\\"}.get(csi.prefix, b"")
    if csi.final == "n":
        return _answer_status(csi.prefix, number, state)
    if csi.final == "q":
        return b"\x1bP>|cw\x1b\\"
    if csi.final == "u":
        return b"\x1b[?%du" % state.modes().key_flags
    if csi.final == "p":
        known = _mode_state(csi.prefix, number, state.modes())
        return b"\x1b[%b%d;%d$y" % (csi.prefix.encode(), number, known)
    if csi.final == "t" and number == 18:
        return b"\x1b[8;%d;%dt" % state.size()
    return b""


def _answer_status(prefix: str, number: int, state: State) -> bytes:
    if number == 5 and not prefix:
        return b"\x1b[0n"
    if number == 6:
        return b"\x1b[%b%d;%dR" % (prefix.encode(), *state.cursor())
    # 996: dark or light colours? Dark, as OSC 11 says.
    return b"\x1b[?997;1n" if prefix == "?" and number == 996 else b""


def _mode_state(prefix: str, number: int, modes: Modes) -> int:
    """Return DECRPM's word: 0 unknown, 1 set, 2 reset.

    What nobody keeps while no terminal is attached is unknown: a program told that sizes are
    reported in-band (2048) would heed nothing else.
    """
    if prefix == "?":
        if number in ANSWERED or number in (47, 1047, 1049):
            return 1 if modes.is_set(number) else 2
        return 0
    if number in ANSI:
        return 1 if number in modes.ansi else 2
    return 0


def _answer_osc(query: bytes) -> bytes:
    if query.startswith(STATUS_BEGINNING):
        return query
    end = b"\x07" if query.endswith(b"\x07") else b"\x1b\\"
    parts = query[2 : -len(end)].split(b";")
    if parts[0] == b"4":
        pairs = zip(parts[1::2], parts[2::2], strict=False)
        asked = [int(n) for n, value in pairs if value == b"?" and n.isdigit() and len(n) < 4]
        return b"".join(b"\x1b]4;%d;rgb:%b%b" % (n, _colour(n), end) for n in asked if n < 256)
    # More than one question in a row asks for the following numbers: 10;?;? is 10 and 11.
    first = int(parts[0])
    colours = {10: FOREGROUND, 11: BACKGROUND, 12: FOREGROUND}
    return b"".join(
        b"\x1b]%d;rgb:%b%b" % (number, colours[number], end)
        for number, value in enumerate(parts[1:], first)
        if value == b"?" and number in colours
    )


def _colour(number: int) -> bytes:
    """Return one of xterm's 256 colours as OSC 4 has it."""
    if number < 16:
        text = BASIC[number]
        levels = [text[i : i + 2] for i in (0, 2, 4)]
    elif number < 232:
        cube = number - 16
        steps = (cube // 36, cube // 6 % 6, cube % 6)
        levels = [f"{55 + 40 * n if n else 0:02x}" for n in steps]
    else:
        levels = [f"{8 + 10 * (number - 232):02x}"] * 3
    return "/".join(level * 2 for level in levels).encode()


def _answer_capabilities(body: bytes) -> bytes:
    """Answer XTGETTCAP: names and values are hexadecimal."""
    out = b""
    for name in body.split(b";")[:32]:
        try:
            value = CAPABILITIES.get(bytes.fromhex(name.decode()))
        except ValueError:
            value = None
        if value is None:
            out += b"\x1bP0+r%b\x1b\\" % name
        else:
            out += b"\x1bP1+r%b=%b\x1b\\" % (name, value.hex().upper().encode())
    return out


def _answer_setting(name: bytes, state: State) -> bytes:
    """Answer DECRQSS for the cursor's shape and SGR; all else is not known."""
    if name == b" q":
        return b"\x1bP1$r%d q\x1b\\" % state.modes().cursor_shape
    if name == b"m":
        from codewire.term.sgr import sgr_bytes

        return b"\x1bP1$r%b\x1b\\" % sgr_bytes(state.modes().style)[2:]
    return b"\x1bP0$r\x1b\\"
