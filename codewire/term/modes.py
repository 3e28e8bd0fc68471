"""What a terminal was switched to by a program's output, and the bytes that bring another there.

Pure and small: one object a session. Follows xterm's ctlseqs(ms) and kitty's keyboard protocol.
"""

from __future__ import annotations

import re

from codewire.term.looks import SETTING, Looks
from codewire.term.parser import (
    CONTROL,
    CSI,
    ESCAPE,
    OSC,
    Csi,
    Parser,
    Token,
    split_csi,
    split_osc,
)
from codewire.term.sgr import PLAIN, SGR, Style, apply_sgr, sgr_bytes

# DEC private modes that matter to whoever takes the terminal over; on by default are only these:
ON_BY_DEFAULT = frozenset((7, 25))
# Mouse reports come first: switching one kind on switches the others off in some terminals.
MOUSE = (9, 1000, 1001, 1002, 1003)
# Those a node can speak for while no terminal is attached: what they promise, it does.
ANSWERED = (1, 5, 6, 7, 12, 25, 45, 66, *MOUSE, 1004, 1005, 1006, 1007, 1015, 2004)
# And those that only a terminal can keep: pixel positions, margins, reports of its colours, its
# size and of pastes. 40 allows 3 (132 columns), so it is entered first and left last.
TERMINALS = (1016, 2026, 2027, 2031, 2048, 5522, 9001)
PRIVATE = (40, 3, 67, 69, *ANSWERED, *TERMINALS)
# A picture half drawn is not waited for: whoever attaches sees the rest as it comes.
NOT_ENTERED = frozenset((2026,))
ALTERNATE = frozenset((47, 1047, 1049))
# What XTSAVE remembers; 1048 is the cursor.
STORED = frozenset((*PRIVATE, *ALTERNATE, 1048))
ANSI = (4, 20)
ORIGIN, WRAP, CURSOR, INSERT = 6, 7, 25, 4

MAX_TITLE = 256
# kitty keeps at most this many entries a screen.
MAX_STACK = 16
# What leaves something behind when its program is gone, but for colours and titles.
SWITCHES = re.compile(
    rb"\x1b(?:\[(?:[?<=>!][0-9;]*[hlsrunmp]|[0-9;]* q|[0-9;]*[rhl])|[=>c78no]|[()*+][ -/]*[0-~])"
    rb"|[\x0e\x0f]"
)
GROUPS = {"(": 0, ")": 1, "*": 2, "+": 3}


class Modes:
    """The modes after everything fed so far; a new one is a terminal after a full reset."""

    def __init__(self) -> None:
        self._parser = Parser(sequences_only=True)
        self.title = ""
        self.looks = Looks()
        self._reset()

    def _reset(self) -> None:
        self.on: set[int] = set(ON_BY_DEFAULT)
        self.ansi: set[int] = set()
        self.is_alternate = False
        self.keypad = False
        self.cursor_shape = 0
        self.other_keys = 0
        # The scroll region's first and last row from 1, (0, 0) for the whole screen.
        self.region = (0, 0)
        self.charsets = ["B", "B", "B", "B"]
        self.shift = 0
        self.style: Style = PLAIN
        # kitty keyboard flags: of the main and of the alternate screen, the last one current.
        self._keys: tuple[list[int], list[int]] = ([0], [0])
        self._saved: dict[bool, tuple[Style, list[str], int, bool]] = {}
        self._stored: dict[int, bool] = {}

    @property
    def key_flags(self) -> int:
        """kitty keyboard flags that are in force."""
        return self._keys[self.is_alternate][-1]

    def forget_pending(self) -> int:
        """Drop an unfinished sequence at the end of what was fed; return how long it is."""
        pending = self._parser.pending
        self._parser = Parser(sequences_only=True)
        return pending

    def feed(self, data: bytes) -> None:
        """Take the next bytes of output."""
        for token in self._parser.feed(data):
            self.apply(token)

    def note(self, data: bytes) -> None:
        """As `feed` for data that ends between two sequences; styles and titles are not noted.

        Fast: for whoever passes output on and must undo in the end what it did.
        """
        if b"\x1b]" in data:
            for beginning in SETTING.finditer(data):
                self.looks.note(beginning)
        for found in SWITCHES.finditer(data):
            raw = found[0]
            kind = CONTROL if len(raw) == 1 else CSI if raw[1:2] == b"[" else ESCAPE
            self.apply((kind, raw))

    def is_set(self, number: int) -> bool:
        """Say whether a DEC private mode is on."""
        return self.is_alternate if number in ALTERNATE else number in self.on

    def apply(self, token: Token) -> Csi | None:
        """Take one token; a control sequence is returned taken apart."""
        kind, raw = token
        if kind == CSI:
            if raw[-1] == 0x6D:
                found = SGR.fullmatch(raw)
                if found:
                    self.style = apply_sgr(self.style, found[1])
                    return None
            sequence = split_csi(raw)
            if sequence is not None:
                self._apply_csi(sequence)
            return sequence
        if kind == ESCAPE:
            self._apply_escape(raw)
        elif kind == CONTROL and raw in (b"\x0e", b"\x0f"):
            self.shift = int(raw == b"\x0e")
        elif kind == OSC:
            number, text = split_osc(raw)
            if number in (0, 2):
                self.title = text.decode("utf-8", "replace")[:MAX_TITLE]
            else:
                self.looks.apply(number, text)
        return None

    def _apply_csi(self, csi: Csi) -> None:
        final, params = csi.final, csi.params
        if csi.prefix == "?" and not csi.intermediates:
            if final in "hl":
                for number in params:
                    self._switch(number, final == "h")
            elif final == "s":
                # Those alone that can be restored: what is not known is not remembered either.
                self._stored |= {n: self.is_set(n) for n in params[:32] if n in STORED}
            elif final == "r":
                for number in params:
                    if number in self._stored:
                        self._switch(number, self._stored[number])
        elif final == "u" and csi.prefix:
            self._apply_keys(csi.prefix, params)
        elif csi.prefix == ">":
            if final == "m" and params[:1] == [4]:
                self.other_keys = max(0, params[1]) if len(params) > 1 else 0
            elif final == "n" and params[:1] == [4]:
                self.other_keys = 0
        elif csi.prefix:
            return
        elif csi.intermediates == " " and final == "q":
            self.cursor_shape = max(0, params[0]) if params else 0
        elif csi.intermediates == "!" and final == "p":
            self._soft_reset()
        elif not csi.intermediates:
            self._apply_plain(final, params)

    def _apply_plain(self, final: str, params: list[int]) -> None:
        if final in "hl":
            change = self.ansi.add if final == "h" else self.ansi.discard
            for number in params:
                if number in ANSI:
                    change(number)
        elif final == "r":
            top, bottom = (*[max(0, p) for p in params[:2]], 0, 0)[:2]
            if not bottom or max(1, top) < bottom:
                self.region = (top if top > 1 else 0, bottom)
        elif final == "s" and not params:
            self._save()
        elif final == "u" and not params:
            self._restore()

    def _switch(self, number: int, on: bool) -> None:
        if number in ALTERNATE:
            if number == 1049 and on and not self.is_alternate:
                self._save()
            was, self.is_alternate = self.is_alternate, on
            if number == 1049 and was and not on:
                self._restore()
        elif number == 1048:
            self._save() if on else self._restore()
        elif number in PRIVATE:
            if number in MOUSE:
                self.on.difference_update(MOUSE)
            if on:
                self.on.add(number)
            else:
                self.on.discard(number)

    def _apply_keys(self, prefix: str, params: list[int]) -> None:
        stack = self._keys[self.is_alternate]
        first = max(0, params[0]) if params else 0
        if prefix == ">":
            stack.append(first)
            del stack[:-MAX_STACK]
        elif prefix == "<":
            del stack[max(0, len(stack) - max(1, first)) :]
            if not stack:
                stack.append(0)
        elif prefix == "=":
            how = params[1] if len(params) > 1 else 1
            stack[-1] = {2: stack[-1] | first, 3: stack[-1] & ~first}.get(how, first)

    def _apply_escape(self, raw: bytes) -> None:
        body = raw[1:].decode("latin-1")
        if body == "c":
            self.title = ""
            self.looks.reset()
            self._reset()
        elif body in "=>":
            self.keypad = body == "="
        elif body == "7":
            self._save()
        elif body == "8":
            self._restore()
        elif body in "no":
            self.shift = 2 if body == "n" else 3
        elif body[0] in GROUPS and len(body) < 4:
            self.charsets[GROUPS[body[0]]] = body[1:]

    def _soft_reset(self) -> None:
        """DECSTR, as xterm has it."""
        self.on.difference_update((1, ORIGIN, 66))
        self.on.update((WRAP, CURSOR))
        self.ansi.discard(INSERT)
        self.keypad, self.region, self.style, self.shift = False, (0, 0), PLAIN, 0
        self.charsets = ["B"] * 4
        self._saved.clear()

    def _save(self) -> None:
        self._saved[self.is_alternate] = (
            self.style,
            list(self.charsets),
            self.shift,
            ORIGIN in self.on,
        )

    def _restore(self) -> None:
        plain = (PLAIN, ["B"] * 4, 0, False)
        self.style, charsets, self.shift, origin = self._saved.get(self.is_alternate, plain)
        self.charsets = list(charsets)
        (self.on.add if origin else self.on.discard)(ORIGIN)

    def enter(self, *, alternate: bool = True, region: bool = True) -> bytes:
        """Return what brings a terminal from its defaults to these modes; the cursor moves."""
        out = [b"\x1b]2;%b\x07" % self.title.encode("utf-8", "replace")] if self.title else []
        if alternate and self.is_alternate:
            out.append(b"\x1b[?1049h")
        if region and any(self.region):
            bottom = b"%d" % self.region[1] if self.region[1] else b""
            out.append(b"\x1b[%d;%br" % (self.region[0] or 1, bottom))
        for number in PRIVATE:
            if (number in self.on) != (number in ON_BY_DEFAULT) and number not in NOT_ENTERED:
                out.append(b"\x1b[?%d%b" % (number, b"h" if number in self.on else b"l"))
        out += [b"\x1b[%dh" % number for number in ANSI if number in self.ansi]
        if self.keypad:
            out.append(b"\x1b=")
        if self.cursor_shape:
            out.append(b"\x1b[%d q" % self.cursor_shape)
        if self.other_keys:
            out.append(b"\x1b[>4;%dm" % self.other_keys)
        stack = self._keys[self.is_alternate]
        out += [b"\x1b[=%du" % stack[0]] if stack[0] else []
        out += [b"\x1b[>%du" % flags for flags in stack[1:]]
        for letter, group in GROUPS.items():
            if self.charsets[group] != "B":
                out.append(b"\x1b%b%b" % (letter.encode(), self.charsets[group].encode("latin-1")))
        out.append((b"", b"\x0e", b"\x1bn", b"\x1bo")[self.shift])
        out.append(sgr_bytes(self.style) if self.style != PLAIN else b"")
        out.append(self.looks.enter())
        return b"".join(out)

    def leave(self) -> bytes:
        """Return what brings a terminal in these modes back to its defaults."""
        # Each screen has key flags of its own.
        out = [_forget_keys(self._keys[self.is_alternate])]
        if self.is_alternate:
            out += [b"\x1b[?1049l", _forget_keys(self._keys[False])]
        for number in (3, *PRIVATE[2:], 40):
            if (number in self.on) != (number in ON_BY_DEFAULT):
                out.append(b"\x1b[?%d%b" % (number, b"l" if number in self.on else b"h"))
        out += [b"\x1b[%dl" % number for number in ANSI if number in self.ansi]
        out.append(b"\x1b>" if self.keypad else b"")
        out.append(b"\x1b[0 q" if self.cursor_shape else b"")
        out.append(b"\x1b[>4m" if self.other_keys else b"")
        for letter, group in GROUPS.items():
            if self.charsets[group] != "B":
                out.append(b"\x1b%bB" % letter.encode())
        out.append(b"\x0f" if self.shift else b"")
        # Resetting the region moves the cursor.
        out.append(b"\x1b7\x1b[r\x1b8" if any(self.region) else b"")
        out.append(b"\x1b[0m" if self.style != PLAIN else b"")
        out.append(self.looks.leave())
        return b"".join(out)


def _forget_keys(stack: list[int]) -> bytes:
    """Return what undoes a screen's key flags."""
    popped = b"\x1b[<%du" % (len(stack) - 1) if len(stack) > 1 else b""
    return popped + (b"\x1b[=0u" if stack[0] else b"")
