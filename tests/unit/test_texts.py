"""Go's %q."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.wire.texts import go_quote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("bob", '"bob"'),
        ('a"b', r'"a\"b"'),
        ("a\\b", r'"a\\b"'),
        ("a\nb\r\t", r'"a\nb\r\t"'),
        ("\a\b\f\v", r'"\a\b\f\v"'),
        ("\x01\x1b\x7f\0", r'"\x01\x1b\x7f\x00"'),
        ("\x80\x9f", r'"\u0080\u009f"'),
        ("é漢😀", '"é漢😀"'),
        ("\xa0\xad", r'"\u00a0\u00ad"'),
        ("\u200b\u2028\ufeff", r'"\u200b\u2028\ufeff"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("\udcff\ufffd", '"\ufffd\ufffd"'),
        ("'`", "\"'`\""),
    ],
)
def test_go_quote(text: str, quoted: str) -> None:
    assert go_quote(text) == quoted


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_quoted_text_is_one_printable_line(text: str) -> None:
    assert go_quote(text).isprintable()
