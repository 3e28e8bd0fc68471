"""Text made harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.term.paste import as_typed, bracketed, harmless, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain café 名\n", "plain café 名\n"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\x1b[201~", "^[[201~"),
        ("\x9b201~", "\\x9b201~"),
        ("\x00\x03\x7f", "^@^C^?"),
        ("a\tb", "a    b"),
    ],
)
def test_harmless(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text())
def test_nothing_but_line_feeds_reaches_the_terminal(text: str) -> None:
    for data in (plain(text), bracketed(text)[6:-6]):
        shown = data.decode()
        assert not any(ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160 for c in shown)
    assert bracketed(text).startswith(b"\x1b[200~") and bracketed(text).endswith(b"\x1b[201~")


def test_lone_surrogates_are_replaced() -> None:
    assert plain("a\udcff") == b"a?"


@pytest.mark.parametrize(
    "data", [b"a\x1b[201~b", b"a\x1b[20\x1b[201~1~b", b"a\x1b[2\x1b[20\x1b[201~1~01~b"]
)
def test_no_end_inside_a_typed_paste(data: bytes) -> None:
    assert as_typed(data) == b"\x1b[200~ab\x1b[201~"
