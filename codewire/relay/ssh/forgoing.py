"""What a Go node is typed: it has a login shell on a terminal and no more (spec/relay.md 6).

A command is typed into that shell, between two marks that its output alone can show: what comes
before the first is the shell's, the second tells the exit code. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import re

from codewire.errors import CodewireError

# RS, which no program prints by itself; the nonce makes sure.
MARK = b"\x1e"
EOF_KEY = b"\x04"
# Interrupt, quit, end of input: as near to a hang-up as a terminal's keys come.
HANG_UP = b"\x03\x03\x1c\x04"
# A terminal takes 4096 bytes a line before the shell has it in its own mode (termios(3)).
MAX_TYPED = 4000
MAX_DIGITS = 3
NO_SUBSYSTEM = "this node has no subsystems: it runs codewire in Go; its shell is all there is"
SAFE = frozenset(range(0x20, 0x7F)) - frozenset(b"'\\!")
# Without a terminal at the client's end, bytes should come as they are.
AS_BYTES = "stty -echo -opost -ixon -icrnl -iexten"


class Fence:
    """A command on its way through a shell; `nonce` is a word nobody can guess."""

    def __init__(self, command: str, nonce: str, *, has_terminal: bool) -> None:
        """Raises CodewireError for a command too long to be typed."""
        self._first = MARK + nonce.encode() + MARK
        self._last = MARK + nonce.encode() + b":"
        setting = "stty -echo" if has_terminal else AS_BYTES
        again = "stty echo; " if has_terminal else ""
        script = (
            f"{again}printf '\\036%s\\036' {nonce}; sh -c {_quote(command)}; "
            f"printf '\\036%s:%d\\036' {nonce} $?"
        )
        # The blank keeps it out of the shell's history.
        typed = f""" {setting}; exec sh -c "$(printf %b '{_escape(script)}')"\n"""
        self.typed = typed.encode()
        if len(self.typed) > MAX_TYPED:
            raise CodewireError("the command is too long for this node: it runs codewire in Go")
        self._rest = b""
        self.is_open = False
        self.code: int | None = None

    def feed(self, data: bytes) -> bytes:
        """Return what of the shell's output is the command's. Sets `is_open`, in the end `code`."""
        self._rest += data
        if not self.is_open:
            _, found, rest = self._rest.partition(self._first)
            if not found:
                self._rest = self._rest[-len(self._first) :]
                return b""
            self.is_open, self._rest = True, rest
        if self.code is not None:
            return b""
        return self._until_last()

    def _until_last(self) -> bytes:
        rest = self._rest
        found = re.search(re.escape(self._last) + b"([0-9]{1,3})" + MARK, rest)
        if found:
            self.code, self._rest = int(found[1]), b""
            return rest[: found.start()]
        at = self._cut_mark(rest)
        self._rest = rest[at:]
        return rest[:at]

    def _cut_mark(self, data: bytes) -> int:
        """Return where the last mark may begin whose end has not come yet."""
        at = max(0, len(data) - len(self._last) - MAX_DIGITS)
        while (at := data.find(MARK, at)) >= 0:
            tail = data[at:]
            digits = tail[len(self._last) :]
            if self._last.startswith(tail):
                return at
            if tail.startswith(self._last) and (not digits or digits.isdigit()):
                return at
            at += 1
        return len(data)


def end_input(last: bytes) -> bytes:
    """Return what ends a terminal's input after `last` was typed: twice within a line."""
    return EOF_KEY if not last or last.endswith((b"\n", EOF_KEY)) else EOF_KEY * 2


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _escape(text: str) -> str:
    """Return printable ASCII that `printf %b` makes `text` of, and no shell takes for its own."""
    data = text.encode("utf-8", "replace")
    return "".join(chr(byte) if byte in SAFE else f"\\0{byte:03o}" for byte in data)
