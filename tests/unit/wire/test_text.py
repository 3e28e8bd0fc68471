"""Text on the wire: Go's quoting, and UTF-8 that arrives in pieces."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.wire.texts import go_quote
from codewire.wire.utf8 import Utf8Stream

PIECES = "a é 日本 😀 z".encode() + b"\xff\xe6\x97\xc3(\xf0\x9f\x98" + "ü".encode()


# The right column is what Go's fmt.Sprintf("%q", …) prints.
@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", r'""'),
        ("no-such cmd", r'"no-such cmd"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\x00\x01\x1b\x7f", r'"\x00\x01\x1b\x7f"'),
        ("日本 é 😀", '"日本 é 😀"'),
        ("\x80\xa0\xad\u200b\u2028", r'"\u0080\u00a0\u00ad\u200b\u2028"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("'`$", '"\'`$"'),
        (os.fsdecode(b"caf\xe9"), r'"caf\xe9"'),
        ("\ud800", r'"\ufffd"'),
    ],
)
def test_go_quote(text: str, quoted: str) -> None:
    assert go_quote(text) == quoted


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_quoted_text_is_one_printable_line(text: str) -> None:
    assert go_quote(text).isprintable()


def pieces(*chunks: bytes) -> str:
    stream = Utf8Stream()
    return "".join(stream.feed(chunk) for chunk in chunks) + stream.feed(b"", final=True)


def test_text_in_single_bytes() -> None:
    assert pieces(*(PIECES[i : i + 1] for i in range(len(PIECES)))) == PIECES.decode(
        "utf-8", "replace"
    )


@pytest.mark.parametrize("split", range(len(PIECES) + 1))
def test_text_at_every_split(split: int) -> None:
    assert pieces(PIECES[:split], PIECES[split:]) == PIECES.decode("utf-8", "replace")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=6), max_size=8))
def test_any_bytes_in_any_pieces(chunks: list[bytes]) -> None:
    assert pieces(*chunks) == b"".join(chunks).decode("utf-8", "replace")


def test_what_is_held_back() -> None:
    stream = Utf8Stream()
    held = [(stream.feed(bytes([byte])), stream.pending) for byte in "a😀".encode()]
    assert held == [("a", 0), ("", 1), ("", 2), ("", 3), ("😀", 0)]
    assert stream.feed("é".encode()[:1]) == ""
    assert (stream.feed(b"", final=True), stream.pending) == ("\ufffd", 0)
