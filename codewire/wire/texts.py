"""Quoting in the texts that clients know (spec/wire.md 10): Go's %q.

The texts themselves stand where they are raised.
"""

from __future__ import annotations

ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}

# Bytes of arguments and file names that are no UTF-8, as os.fsdecode marks them (PEP 383).
FIRST_RAW, LAST_RAW = 0xDC80, 0xDCFF


def go_quote(text: str) -> str:
    """Quote as Go's %q: printable characters stay, all others are escaped."""
    return '"' + "".join(ESCAPES.get(char) or _escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if FIRST_RAW <= code <= LAST_RAW:
        return f"\\x{code - 0xDC00:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return "\\ufffd"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
