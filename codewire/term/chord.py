"""The detach chord, Ctrl+B then d, found in a stream of keystrokes (spec/cli.md 6).

Terminals in the kitty keyboard protocol send both keys as CSI … u, with xterm's modifyOtherKeys as
CSI 27 ; … ~, in the Win32 input mode as CSI … _; all forms count. Ctrl+B twice is one literal
Ctrl+B. What is pasted (xterm's bracketed paste) is text: no chord is in it. Whatever turns out not
to be the chord is passed on as it was typed.
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
# xterm's modifyOtherKeys: CSI 27;modifiers;code ~
OTHER_KEY = re.compile(rb"\x1b\[27;(\d{1,5});(\d{1,7})~")
# Win32 input mode (DECSET 9001): CSI key;scan code;character;is down;controls;repeats _
WIN32_KEY = re.compile(rb"\x1b\[\d*;\d*;(\d*);(\d*)(?:;[\d;]*)?_")
PASTE_START, PASTE_END = b"\x1b[200~", b"\x1b[201~"
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
        # What has been passed on of a marker of a paste that a slow line has cut.
        self._begun = b""
        self._is_pasting = False

    @property
    def is_pasting(self) -> bool:
        """Say whether a paste has begun and not ended."""
        return self._is_pasting

    def end_paste(self) -> None:
        """Take what follows for keys: the end of a paste has got lost."""
        self._is_pasting, self._begun = False, b""

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
        events: list[bytes | object] = []
        data = self._go_on(data, events)
        while data:
            start = -1 if self._is_pasting else (self._unfinished + data).find(PASTE_START)
            if self._is_pasting:
                data = self._paste(data, events)
            elif start < 0:
                self._keys(data, events)
                break
            else:
                whole, self._unfinished = self._unfinished + data, b""
                self._keys(whole[:start], events)
                self._begin_paste(events)
                data = whole[start + len(PASTE_START) :]
                events.append(PASTE_START)
        return _joined(events) if len(events) > 1 else events

    def _go_on(self, data: bytes, events: list[bytes | object]) -> bytes:
        """Take the rest of a start marker whose first bytes `flush` has let go."""
        if self._is_pasting or not self._begun:
            return data
        rest = PASTE_START[len(self._begun) :]
        if data.startswith(rest):
            self._begin_paste(events)
            events.append(rest)
            return data[len(rest) :]
        if rest.startswith(data):
            self._begun += data
            events.append(data)
            return b""
        self._begun = b""
        return data

    def _begin_paste(self, events: list[bytes | object]) -> None:
        """A paste is no key of the chord: what is held is passed on before it."""
        held = self._prefix + self._unfinished
        if held:
            events.append(held)
        self._prefix = self._unfinished = self._begun = b""
        self._is_pasting = True

    def _paste(self, data: bytes, events: list[bytes | object]) -> bytes:
        """Pass on pasted text; return what comes after its end."""
        seen = self._begun + data
        end = seen.find(PASTE_END)
        if end < 0:
            self._begun = seen[-(len(PASTE_END) - 1) :]
            events.append(data)
            return b""
        size = end + len(PASTE_END) - len(self._begun)
        self.end_paste()
        events.append(data[:size])
        return data[size:]

    def _keys(self, data: bytes, events: list[bytes | object]) -> None:
        data = self._unfinished + data
        unfinished = UNFINISHED.search(data, max(0, len(data) - MAX_HELD))
        self._unfinished = unfinished[0] if unfinished else b""
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

    def flush(self) -> bytes:
        """Return the unfinished sequence: nothing followed in time, so it was keys of its own.

        They end a chord that had begun; a chord's first key alone stays held.
        """
        if not self._unfinished:
            return b""
        keys = self._prefix + self._unfinished
        self._begun = self._unfinished if PASTE_START.startswith(self._unfinished) else b""
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


def _joined(events: list[bytes | object]) -> list[bytes | object]:
    """Join neighbouring bytes: one piece is sent as one."""
    joined: list[bytes | object] = []
    for event in events:
        if joined and isinstance(event, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += event
        else:
            joined.append(event)
    return joined


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
    key = OTHER_KEY.fullmatch(token)
    if key:
        return _key_meaning(int(key[2]), int(key[1]), 1, letter)
    key = WIN32_KEY.fullmatch(token)
    if key:
        return _win32_meaning(int(key[1] or 0), int(key[2] or 0), letter)
    # Focus, cursor and mouse reports; anything else is malformed.
    return BYSTANDER if REPORT.fullmatch(token) else OTHER


def _key_meaning(code: int, modifiers: int, event: int, letter: str) -> int:
    if event == RELEASE or code in MODIFIER_KEYS:
        return BYSTANDER
    held = (modifiers - 1) & ~LOCKS
    if code == ord(letter) and held == CTRL:
        return PREFIX
    return FINAL if code == ord("d") and not held else OTHER


def _win32_meaning(character: int, is_down: int, letter: str) -> int:
    if not is_down or not character:
        # Released, or a key without a character: Shift, Ctrl, an arrow.
        return BYSTANDER
    if character == ord(letter) & 0x1F:
        return PREFIX
    return FINAL if character == ord("d") else OTHER
