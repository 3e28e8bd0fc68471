"""Keys by name and the bytes they are, by the modes the program set (spec/submit.md 3)."""

from __future__ import annotations

import pytest

from codewire.term.keys import Key, UnknownKey, encode_key, looks_like_key, parse_keys
from codewire.term.modes import Modes


def encoded(text: str, setup: bytes = b"") -> bytes:
    modes = Modes()
    modes.feed(setup)
    return b" ".join(encode_key(key, modes) for key in parse_keys(text))


DECCKM, KITTY, ALL, OTHER = b"\x1b[?1h", b"\x1b[>1u", b"\x1b[>9u", b"\x1b[>4;2m"

TABLE = [
    ("Enter", b"", b"\r"),
    ("Enter", KITTY, b"\r"),
    ("Enter", b"\x1b[>7u", b"\r"),
    ("Enter", ALL, b"\x1b[13u"),
    ("Esc", b"", b"\x1b"),
    ("escape", KITTY, b"\x1b[27u"),
    ("Up Down Right Left Home End", b"", b"\x1b[A \x1b[B \x1b[C \x1b[D \x1b[H \x1b[F"),
    ("Up", DECCKM, b"\x1bOA"),
    ("C-Up", DECCKM, b"\x1b[1;5A"),
    ("S-M-Left", b"", b"\x1b[1;4D"),
    ("Tab", KITTY, b"\t"),
    ("S-Tab", b"", b"\x1b[Z"),
    ("BTab", b"", b"\x1b[Z"),
    ("S-Tab", KITTY, b"\x1b[9;2u"),
    ("C-c", b"", b"\x03"),
    ("C-c", KITTY, b"\x1b[99;5u"),
    ("C-c", b"\x1b[>4;1m", b"\x03"),
    ("C-c", OTHER, b"\x1b[27;5;99~"),
    ("M-x", b"", b"\x1bx"),
    ("M-x", KITTY, b"\x1b[120;3u"),
    ("M-x", OTHER, b"\x1b[27;3;120~"),
    ("S-Enter", b"", b"\x1b\r"),
    ("S-Enter", KITTY, b"\x1b[13;2u"),
    ("S-Enter", OTHER, b"\x1b[27;2;13~"),
    ("BSpace Delete", b"", b"\x7f \x1b[3~"),
    ("F1 F4 F5 F12", b"", b"\x1bOP \x1bOS \x1b[15~ \x1b[24~"),
    ("C-F5", b"", b"\x1b[15;5~"),
    ("C-m C-i C-[", b"", b"\r \t \x1b"),
    ("C-Space C-/ C-?", b"", b"\0 \x1f \x7f"),
    ("a S-b é", b"", "a B é".encode()),
    ("y 'it''s'", b"", b"y it s"),
    ("'a b' Enter", b"", b"a b \r"),
    (r"'don\'t'", b"", b"don't"),
    ("Down x3", b"", b"\x1b[B \x1b[B \x1b[B"),
    ("PageUp npage Space", b"", b"\x1b[5~ \x1b[6~  "),
]


@pytest.mark.parametrize(("text", "setup", "data"), TABLE)
def test_keys(text: str, setup: bytes, data: bytes) -> None:
    assert encoded(text, setup) == data


@pytest.mark.parametrize("text", ["Foo", "C-Foo", "S-", "F13", "x3 y", "Enter x0"])
def test_no_such_key(text: str) -> None:
    with pytest.raises(UnknownKey):
        parse_keys(text)


def test_repeats_are_bounded() -> None:
    with pytest.raises(UnknownKey, match="more than 1000"):
        parse_keys("a x999 x999")


def test_an_escape_and_what_follows_are_two_keys() -> None:
    assert parse_keys("Esc f") == [Key("esc"), Key("f")]


@pytest.mark.parametrize(
    ("word", "is_key"), [("Esc", True), ("C-c", True), ("yes", False), ("y", False), ("F5", True)]
)
def test_words_that_were_meant_as_keys(word: str, is_key: bool) -> None:
    assert looks_like_key(word) is is_key
