"""Texts that clients rely on (spec/wire.md 10)."""

from __future__ import annotations

ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def go_quote(text: str) -> str:
    """Quote as Go's %q: printable characters stay, others are escaped."""
    return '"' + "".join(ESCAPES.get(c) or _escape(c) for c in text) + '"'


def _escape(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
