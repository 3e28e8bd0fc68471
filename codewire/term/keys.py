"""Keys by name, as the bytes a terminal in these modes sends for them (xterm's ctlseqs, kitty).

Names are tmux's: `Esc`, `S-Tab`, `C-c`, `M-x`, `F5`, a single character stands for itself, 'text'
in quotes is typed as it is, `Up x3` repeats. Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from codewire.term.modes import Modes

MAX_KEYS = 1000
SHIFT, ALT, CONTROL = 1, 2, 4
PREFIXES = {"s": SHIFT, "m": ALT, "c": CONTROL}
APPLICATION_CURSOR = 1
# kitty's progressive enhancement: tell ambiguous keys apart, report all keys as sequences.
DISAMBIGUATE, ALL_KEYS = 1, 8

CURSOR = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
FUNCTION = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}
TILDE = {
    **{"insert": 2, "delete": 3, "pageup": 5, "pagedown": 6, "f5": 15, "f6": 17, "f7": 18},
    **{"f8": 19, "f9": 20, "f10": 21, "f11": 23, "f12": 24},
}
# What has a code of its own: legacy byte, and the number kitty and xterm report.
CODED = {"enter": 13, "tab": 9, "esc": 27, "bspace": 127, "space": 32}
ALIASES = {
    **{"escape": "esc", "return": "enter", "cr": "enter", "backspace": "bspace", "del": "delete"},
    **{"dc": "delete", "ic": "insert", "ins": "insert", "ppage": "pageup", "npage": "pagedown"},
    **{"pgup": "pageup", "pgdn": "pagedown"},
}
WORD = re.compile(r"'((?:[^'\\]|\\.)*)'|(\S+)")
REPEAT = re.compile(r"x([1-9][0-9]{0,2})\Z")


class Key(NamedTuple):
    """One key: a name of the tables above, one character, or (as text) several of them."""

    name: str
    modifiers: int = 0
    is_text: bool = False


class UnknownKey(ValueError):
    """No such key; the message says which."""


def parse_keys(text: str) -> list[Key]:
    """Return the keys a line of names means. Raises UnknownKey; at most MAX_KEYS of them."""
    keys: list[Key] = []
    for found in WORD.finditer(text):
        quoted, word = found.groups()
        repeat = REPEAT.match(word) if word and keys else None
        if quoted is not None:
            if quoted:
                keys.append(Key(re.sub(r"\\(.)", r"\1", quoted), is_text=True))
        elif repeat:
            keys += [keys[-1]] * (int(repeat[1]) - 1)
        else:
            keys.append(parse_key(word))
        if len(keys) > MAX_KEYS:
            raise UnknownKey(f"more than {MAX_KEYS} keys")
    return keys


def parse_key(word: str) -> Key:
    """Return the key one name means. Raises UnknownKey."""
    rest, modifiers = word, 0
    while len(rest) > 2 and rest[1] == "-" and rest[0].lower() in PREFIXES:
        modifiers |= PREFIXES[rest[0].lower()]
        rest = rest[2:]
    if len(rest) == 1:
        return _with_case(rest, modifiers)
    name = rest.lower()
    name = ALIASES.get(name, name)
    if name == "btab":
        return Key("tab", modifiers | SHIFT)
    if name in CODED or name in CURSOR or name in FUNCTION or name in TILDE:
        return Key(name, modifiers)
    raise UnknownKey(f"no key is called {word!r}; text goes in quotes: '{word}'")


def _with_case(char: str, modifiers: int) -> Key:
    """C-m is Enter, C-i Tab, C-[ Esc to every terminal, and C-A the same as C-a."""
    if modifiers & CONTROL:
        char = char.lower()
        same = {"m": "enter", "i": "tab", "[": "esc"}.get(char)
        if same:
            return Key(same, modifiers & ~CONTROL)
    if modifiers & SHIFT and char.isalpha():
        return Key(char.upper(), modifiers & ~SHIFT)
    return Key(char, modifiers)


def looks_like_key(word: str) -> bool:
    """Say whether a word, alone, is rather the name of a key than text: more than a character."""
    try:
        return len(word) > 1 and bool(parse_key(word))
    except UnknownKey:
        return False


def encode_key(key: Key, modes: Modes) -> bytes:
    """Return the bytes of one key, to be written in one piece."""
    if key.is_text:
        return key.name.encode("utf-8", "replace")
    flags, parameter = modes.key_flags, 1 + key.modifiers
    if key.name in CURSOR or key.name in FUNCTION:
        final = CURSOR.get(key.name) or FUNCTION[key.name]
        if key.modifiers:
            return f"\x1b[1;{parameter}{final}".encode()
        uses_ss3 = modes.is_set(APPLICATION_CURSOR) or key.name in FUNCTION
        return f"\x1b{'O' if uses_ss3 else '['}{final}".encode()
    if key.name in TILDE:
        more = f";{parameter}" if key.modifiers else ""
        return f"\x1b[{TILDE[key.name]}{more}~".encode()
    return _encode_coded(key, flags, parameter, modes.other_keys)


def _encode_coded(key: Key, flags: int, parameter: int, other_keys: int) -> bytes:
    """Encode what has a character of its own: letters, Enter, Tab, Esc, BSpace, Space."""
    code = CODED.get(key.name) or ord(key.name)
    is_told_apart = key.name == "esc" or (key.modifiers and _is_ambiguous(key))
    if flags & ALL_KEYS or (flags & DISAMBIGUATE and is_told_apart):
        more = f";{parameter}" if key.modifiers else ""
        return f"\x1b[{code}{more}u".encode()
    if key.name == "tab" and key.modifiers == SHIFT and other_keys < 2:
        return b"\x1b[Z"
    if other_keys >= 2 and key.modifiers and _is_ambiguous(key):
        return f"\x1b[27;{parameter};{code}~".encode()
    return _legacy(key, code)


def _is_ambiguous(key: Key) -> bool:
    """Say whether the legacy bytes of a modified key could be another key's."""
    return key.name in CODED or bool(key.modifiers & (ALT | CONTROL))


def _legacy(key: Key, code: int) -> bytes:
    data = chr(code).encode("utf-8", "replace")
    if key.modifiers & CONTROL:
        if 64 <= code < 128:
            data = bytes((code & 0x1F,))
        elif key.name in ("space", "2", "@"):
            data = b"\0"
        elif key.name in ("/", "7"):
            data = b"\x1f"
        elif key.name in ("8", "?"):
            data = b"\x7f"
    # Shift+Enter has no byte; ESC CR is what programs take for a newline.
    is_newline = key.name == "enter" and key.modifiers & SHIFT
    return b"\x1b" + data if key.modifiers & ALT or is_newline else data
