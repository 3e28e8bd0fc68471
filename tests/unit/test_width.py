"""Cells, not characters."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.term.width import clip, display_width, printable


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", 0),
        ("abc", 3),
        ("é", 1),
        ("e\u0301", 1),
        ("漢字", 4),
        ("😀", 2),
        ("ｱ", 1),  # half width
        ("Ａ", 2),  # full width
        ("a\u200bb\u200d", 2),
        ("\u1112\u1161\u11ab", 2),  # one Hangul syllable in three parts
        ("co\xadop", 5),
        ("\u2588\u2500", 2),  # ambiguous counts as narrow
    ],
)
def test_display_width(text: str, cells: int) -> None:
    assert display_width(text) == cells


@pytest.mark.parametrize(
    ("text", "width", "clipped"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("a" * 33, 32, "a" * 29 + "..."),
        ("漢字漢字", 7, "漢字..."),
        ("漢字漢字", 6, "漢..."),
        ("e\u0301e\u0301e\u0301e\u0301e\u0301", 4, "e\u0301..."),
        ("abc", 2, ".."),
        ("abc", 0, ""),
        ("", 0, ""),
    ],
)
def test_clip(text: str, width: int, clipped: str) -> None:
    assert clip(text, width) == clipped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é漢😀", "plain é漢😀"),
        ("a\nb\tc\x1b[31m", "a b c [31m"),
        ("\0\x7f\x80\x9f", "    "),
        ("a\u2028b\u202ec", "a b c"),
        ("\udcff", " "),
        ("👨\u200d👩", "👨\u200d👩"),  # joined emoji stay joined
        ("a\u00a0b\ue0b0", "a\u00a0b\ue0b0"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.integers(0, 20), st.sampled_from(["...", "…", ""]))
def test_clipped_text_fits(text: str, width: int, ellipsis: str) -> None:
    clipped = clip(text, width, ellipsis)
    assert display_width(clipped) <= width
    assert clipped == text or display_width(text) > width


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_printable_text_is_one_line_of_unicode(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert len(shown.splitlines()) <= 1
    assert shown.isascii() or shown.encode()
