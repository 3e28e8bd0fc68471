"""The detach chord, Ctrl+B then d, found in a stream of keystrokes (spec/cli.md 6).

Terminals in the kitty keyboard protocol send both keys as CSI … u; both forms count. Ctrl+B twice
is one literal Ctrl+B. Whatever turns out not to be the chord is passed on as it was typed.
"""

from __future__ import annotations

import re

DETACH = object()
"""The event that says the chord is complete."""

# No key report is longer; what goes on like this is no key.
MAX_HELD = 64

# An old mouse report: CSI M and three bytes, which are no keys of their own. xterm's ctlseqs, X10.
MOUSE = rb"\[M[ -\xff]"

# One key, one report of the terminal, or a run of plain characters. An ESC always begins a token,
# and so does Ctrl+B, but for Alt+Ctrl+B. The class after the parameters also takes what is not a
# final byte: that sequence is malformed. ESC O is SS3, a function key.
TOKEN = re.compile(
    rb"\x1b%b{3}|\x1b\[[ -?]{0,%d}[^\x02\x1b]?|\x1bO[^\x02\x1b]?|\x1b[^\x1b\[]?|\x02|[^\x02\x1b]+"
    % (MOUSE, MAX_HELD - 3)
)
UNFINISHED = re.compile(rb"\x1b(?:%b{0,2}|\[[ -?]{0,%d}|O)?\Z" % (MOUSE, MAX_HELD - 3))

# CSI code[:alternates][;modifiers[:event][;text]] u
KITTY_KEY = re.compile(rb"\x1b\[(\d+)(?::[\d:]*)?(?:;(\d*)(?::(\d*))?(?:;[\d:;]*)?)?u")
REPORT = re.compile(rb"\x1b(?:%b{3}|\[[ -?]*[@-~])" % MOUSE)

# In the kitty protocol modifiers are 1 + a bit mask. Locks are no part of a key.
CTRL = 4
LOCKS = 64 | 128
RELEASE = 3
# Shift, Ctrl and the like, which may be reported as keys of their own.
MODIFIER_KEYS = range(57441, 57455)

# What a token is to the chord. A BYSTANDER may come between its two keys.
PREFIX, FINAL, OTHER, BYSTANDER = range(4)


class DetachChord:
    """Keystrokes in; bytes for the session, and DETACH, out.

    Two things are held back. The first key of the chord waits for the next key, however long the
    user takes. An unfinished sequence, perhaps just the ESC key, waits for `flush`.
    """

    def __init__(self, letter: str = "b") -> None:
        """`letter` is the one that Ctrl makes the chord's first key of."""
        self._letter = letter
        key = bytes((ord(letter) & 0x1F,))
        # Everything below speaks of Ctrl+B: another key changes places with it on both ways.
        self._swap = bytes.maketrans(b"\x02" + key, key + b"\x02") if letter != "b" else None
        # Ctrl+B as it was typed, b"" when the chord has not begun.
        self._prefix = b""
        self._unfinished = b""

    @property
    def holding(self) -> bool:
        """Say whether an unfinished sequence is held back; after about 50 ms call `flush`."""
        return bool(self._unfinished)

    def feed(self, data: bytes) -> list[bytes | object]:
        """Return what to forward, in order, and DETACH where the chord was completed."""
        if self._swap is None:
            return self._feed(data)
        swap = self._swap
        events = self._feed(data.translate(swap))
        return [e.translate(swap) if isinstance(e, bytes) else e for e in events]

    def _feed(self, data: bytes) -> list[bytes | object]:
        data = self._unfinished + data
        unfinished = UNFINISHED.search(data, max(0, len(data) - MAX_HELD))
        self._unfinished = unfinished[0] if unfinished else b""
        events: list[bytes | object] = []
        out = bytearray()
        for token in TOKEN.findall(data, 0, len(data) - len(self._unfinished)):
            rest = self._take(token, out)
            if rest is not None:
                if out:
                    events.append(bytes(out))
                events.append(DETACH)
                out = bytearray(rest)
        if out:
            events.append(bytes(out))
        return events

    def flush(self) -> bytes:
        """Return the unfinished sequence: nothing followed in time, so it was keys of its own.

        They end a chord that had begun; a chord's first key alone stays held.
        """
        if not self._unfinished:
            return b""
        keys = self._prefix + self._unfinished
        self._prefix = self._unfinished = b""
        return keys if self._swap is None else keys.translate(self._swap)

    def _take(self, token: bytes, out: bytearray) -> bytes | None:
        """Add what to forward to `out`. When the chord is complete, return what follows it."""
        meaning = _meaning(token, self._letter)
        if not self._prefix:
            if meaning == PREFIX:
                self._prefix = token
            else:
                out += token
            return None
        if meaning == BYSTANDER:
            out += token
            return None
        prefix, self._prefix = self._prefix, b""
        if meaning == FINAL:
            return b"" if token.startswith(b"\x1b") else token[1:]
        out += token if meaning == PREFIX else prefix + token
        return None


def _meaning(token: bytes, letter: str) -> int:
    if token == b"\x02":
        return PREFIX
    if not token.startswith(b"\x1b"):
        return FINAL if token.startswith(b"d") else OTHER
    if not token.startswith(b"\x1b["):
        # A function key, Alt with a key, or an ESC key right before a sequence.
        return BYSTANDER
    key = KITTY_KEY.fullmatch(token)
    if key:
        return _key_meaning(int(key[1]), int(key[2] or 1), int(key[3] or 1), letter)
    # Focus, cursor and mouse reports; anything else is malformed.
    return BYSTANDER if REPORT.fullmatch(token) else OTHER


def _key_meaning(code: int, modifiers: int, event: int, letter: str) -> int:
    if event == RELEASE or code in MODIFIER_KEYS:
        return BYSTANDER
    held = (modifiers - 1) & ~LOCKS
    if code == ord(letter) and held == CTRL:
        return PREFIX
    return FINAL if code == ord("d") and not held else OTHER
