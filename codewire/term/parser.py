"""Cuts terminal output into text, control characters and escape sequences (ECMA-48, ctlseqs(ms)).

Bytes in, tokens out, however the bytes are cut; the tokens joined are the bytes that came. Output
is UTF-8, so 8-bit C1 controls are text. An ESC ends an unfinished sequence and begins another, CAN
and SUB end one. What a sequence means is for modes, queries and screen to say.
"""

from __future__ import annotations

import re

# Kinds of tokens: the numbers are the groups of the expressions below.
# STRING is SOS, PM or APC; BROKEN is no sequence: cancelled, cut short by an ESC, or over-long.
TEXT, CONTROL, CSI, OSC, DCS, STRING, ESCAPE, BROKEN = range(1, 9)

Token = tuple[int, bytes]

# No sequence that matters here is longer; what goes on is passed as BROKEN, unread.
MAX_SEQUENCE = 4096
# A stray beginning of a string does not swallow output for ever. Pictures are that long.
MAX_STRING = 1 << 20

_SEQUENCES = rb"""
      (\x1b\[[^@-~\x18\x1a\x1b]*[@-~])                      # CSI ... final
    | (\x1b\][^\x07\x18\x1a\x1b]*(?:\x07|\x1b\\))           # OSC ... BEL or ST
    | (\x1bP[^\x18\x1a\x1b]*\x1b\\)                         # DCS ... ST
    | (\x1b[X^_][^\x18\x1a\x1b]*\x1b\\)                     # SOS, PM, APC ... ST
    | (\x1b(?:[ -/]+[0-~]|[0-OQ-WYZ\\`-~]))                 # ESC intermediates final
    | (\x1b(?:\[[^@-~\x18\x1a\x1b]*|\][^\x07\x18\x1a\x1b]*
           |[PX^_][^\x18\x1a\x1b]*|[ -/]*)[\x18\x1a]?)        # what is none of them
"""
EVERYTHING = re.compile(
    rb"([^\x00-\x1f\x7f]+)|([\x00-\x1a\x1c-\x1f\x7f])|" + _SEQUENCES, re.VERBOSE
)
# The same without text and controls, but for the two that switch character sets.
SEQUENCES_ONLY = re.compile(rb"(?!)()|([\x0e\x0f])|" + _SEQUENCES, re.VERBOSE)

PARTIAL_CHARACTER = re.compile(
    rb"(?:[\xc2-\xf4]|[\xe0-\xef][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{1,2})\Z"
)
CANCELS = (0x18, 0x1A)
STRING_STARTS = frozenset((b"]", b"P", b"X", b"^", b"_"))
# What ends an over-long sequence, by its second byte; an ESC that is no ST begins the next one.
STRING_END = re.compile(rb"[\x18\x1a]|\x1b\\?")
OSC_END = re.compile(rb"[\x07\x18\x1a]|\x1b\\?")
CSI_END = re.compile(rb"[@-~\x18\x1a]|\x1b")


class Parser:
    """One stream of output. `pending` bytes at its end are not in any token yet."""

    def __init__(self, *, sequences_only: bool = False) -> None:
        """With `sequences_only`, text and controls but SO and SI are dropped: a faster scan."""
        self._expression = SEQUENCES_ONLY if sequences_only else EVERYTHING
        self._keeps_text = not sequences_only
        self._held = b""
        # Of an over-long sequence: its second byte, and how many bytes it has.
        self._skipping = b""
        self._skipped = 0

    @property
    def pending(self) -> int:
        """How many of the last bytes fed are held back: at most MAX_SEQUENCE."""
        return len(self._held)

    @property
    def is_between(self) -> bool:
        """Say whether what was fed ends between two sequences."""
        return not self._skipping

    def feed(self, data: bytes) -> list[Token]:
        """Return the tokens that are complete."""
        if self._held:
            data, self._held = self._held + data, b""
        tokens: list[Token] = []
        start = 0
        if self._skipping:
            start = self._skip(data, 0, tokens)
        size = len(data)
        if self._keeps_text or data.find(b"\x1b", start) >= 0 or b"\x0e" in data or b"\x0f" in data:
            # A match that reaches the end may be the beginning of more.
            for found in self._expression.finditer(data, start):
                kind = found.lastindex or BROKEN
                if found.end() == size and self._is_unfinished(kind, found[0]):
                    self._hold(found[0], tokens)
                    break
                if kind == BROKEN and found.end() == size - 1 and _is_half_ended(found[0], data):
                    self._hold(data[found.start() :], tokens)
                    break
                if kind != TEXT and len(found[0]) > MAX_SEQUENCE:
                    kind = BROKEN
                tokens.append((kind, found[0]))
        return tokens

    def finish(self) -> list[Token]:
        """Return what is held back as it is: nothing follows."""
        held, self._held = self._held, b""
        if not held:
            return []
        return [(BROKEN if held[0] == 0x1B else TEXT, held)]

    def _is_unfinished(self, kind: int, raw: bytes) -> bool:
        if kind == TEXT:
            return PARTIAL_CHARACTER.search(raw, max(0, len(raw) - 3)) is not None
        return kind == BROKEN and raw[-1] not in CANCELS

    def _hold(self, raw: bytes, tokens: list[Token]) -> None:
        if raw[0] != 0x1B:
            partial = PARTIAL_CHARACTER.search(raw, max(0, len(raw) - 3))
            assert partial is not None
            if partial.start():
                tokens.append((TEXT, raw[: partial.start()]))
            self._held = partial[0]
        elif len(raw) <= MAX_SEQUENCE:
            self._held = raw
        else:
            end = len(raw) - 1 if raw.endswith(b"\x1b") else len(raw)
            self._held = raw[end:]
            self._skipping, self._skipped = raw[1:2], end
            tokens.append((BROKEN, raw[:end]))

    def _skip(self, data: bytes, start: int, tokens: list[Token]) -> int:
        """Go on with an over-long sequence; return where it ends in `data`."""
        ends = {b"[": CSI_END, b"]": OSC_END}.get(self._skipping, STRING_END)
        room = MAX_STRING - self._skipped
        found = ends.search(data, start)
        end = len(data) if found is None else found.end()
        if found is not None and found[0] == b"\x1b":
            # Half of an ST perhaps, else the beginning of the next sequence.
            end = found.start()
            if found.end() == len(data) and end < room and self._skipping != b"[":
                self._held, self._skipped = b"\x1b", self._skipped + end
                if end:
                    tokens.append((BROKEN, data[:end]))
                return len(data)
        if end > room:
            end, found = room, STRING_END.match(b"\x18")
        if end:
            tokens.append((BROKEN, data[:end]))
        self._skipped += end
        if found is not None:
            self._skipping, self._skipped = b"", 0
        return end


def _is_half_ended(raw: bytes, data: bytes) -> bool:
    """Say whether the ESC at the end of `data` may be half of the ST of the string `raw`."""
    return data[-1] == 0x1B and raw[1:2] in STRING_STARTS and raw[-1] not in CANCELS


class Csi:
    """A control sequence taken apart. Absent parameters are None, sub-parameters lists' tails."""

    __slots__ = ("prefix", "params", "intermediates", "final")

    def __init__(self, prefix: str, params: list[int], intermediates: str, final: str) -> None:
        self.prefix = prefix
        self.params = params
        self.intermediates = intermediates
        self.final = final


CSI_PARTS = re.compile(rb"\x1b\[([<-?]*)([0-9:;]*)([ -/]*)([@-~])")
NOT_PARAMETERS = re.compile(rb"[\x00-\x1f\x7f-\xff]")
# Larger numbers mean nothing to any terminal.
MAX_PARAMETER = 65535


def embedded_controls(raw: bytes) -> bytes:
    """Return the control characters inside a control sequence: terminals act on them first."""
    return b"".join(NOT_PARAMETERS.findall(raw, 1)) if NOT_PARAMETERS.search(raw, 1) else b""


def split_csi(raw: bytes) -> Csi | None:
    """Take a CSI token apart; None when it is malformed, which terminals ignore.

    Missing parameters are -1. Sub-parameters (after colons) count as parameters; SGR, where they
    matter, looks at the raw bytes.
    """
    found = CSI_PARTS.fullmatch(raw) or CSI_PARTS.fullmatch(
        raw[:2] + NOT_PARAMETERS.sub(b"", raw[2:])
    )
    if found is None:
        return None
    numbers = found[2].replace(b":", b";").split(b";") if found[2] else []
    params = [min(int(n[:6]), MAX_PARAMETER) if n else -1 for n in numbers]
    return Csi(found[1].decode(), params, found[3].decode(), found[4].decode())


def split_osc(raw: bytes) -> tuple[int, bytes]:
    """Return an OSC token's number (-1 without one) and what follows its semicolon."""
    body = raw[2:-1] if raw.endswith(b"\x07") else raw[2:-2]
    number, _, text = body.partition(b";")
    return (int(number) if number.isdigit() and len(number) < 6 else -1), text
