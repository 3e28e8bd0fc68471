"""Text in cells, and what is written to a terminal around a session."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.term import restore
from codewire.term.width import clip, display_width, printable

FAMILY = "👩\u200d👧"


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", 0),
        ("plain", 5),
        ("é", 1),
        ("e\u0301", 1),
        ("日本", 4),
        ("ｗｉｄｅ", 8),
        ("ﾊﾝ", 2),
        ("한국", 4),
        ("\u1112\u1161\u11ab", 2),
        ("😀", 2),
        ("a\u200bb\u200db\ufeff", 3),
        ("\u20dd", 0),
        ("a\xadb", 3),
        (FAMILY, 2),
        ("👨‍👩‍👧‍👦x", 3),
        ("👍🏽!", 3),
        ("a\u200d😀", 3),
        ("🏽", 2),
        ("…→α", 3),
        ("\udce9", 1),
    ],
)
def test_display_width(text: str, cells: int) -> None:
    assert display_width(text) == cells


@pytest.mark.parametrize(
    ("text", "width", "clipped"),
    [
        ("short", 5, "short"),
        ("exactly", 6, "exa..."),
        ("planner-of-things", 14, "planner-of-..."),
        ("日本語テキスト", 14, "日本語テキスト"),
        ("日本語テキスト", 13, "日本語テキ..."),
        ("日本語テキスト", 12, "日本語テ..."),
        ("日本語", 5, "日..."),
        ("e\u0301" * 5, 4, "e\u0301..."),
        ("abcdef", 3, "..."),
        ("abcdef", 2, "ab"),
        ("abcdef", 0, ""),
        ("日本", 1, ""),
        ("", 0, ""),
    ],
)
def test_clip(text: str, width: int, clipped: str) -> None:
    assert clip(text, width) == clipped


def test_clip_with_another_ellipsis() -> None:
    assert clip("abcdef", 4, "…") == "abc…"
    assert clip("abcdef", 4, "") == "abcd"


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from("ab日本😀é\u0301\u200d")),
    st.integers(0, 12),
    st.sampled_from(["...", "…", ""]),
)
def test_clipped_text_fits_and_uses_the_room(text: str, width: int, ellipsis: str) -> None:
    clipped = clip(text, width, ellipsis)
    assert display_width(clipped) <= width
    if clipped != text:
        assert display_width(text) > width
        # A wide character that did not fit leaves at most one cell.
        assert display_width(clipped) >= width - 1
        assert text.startswith(clipped.removesuffix(ellipsis))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本", "plain é 日本"),
        ("a\nb\tc\rd\x1be\x7ff\x00g", "a b c d e f g"),
        ("a\x80b\x9bc", "a b c"),
        ("a\u2028b\u2029c", "a b c"),
        ("a\u202eb\u2066c\u2069d", "a b c d"),
        (FAMILY, FAMILY),
        ("a\xadb\ue000", "a\xadb\ue000"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_printable_text_moves_no_cursor(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f]", shown)
    assert len(shown.splitlines()) <= 1


def test_teardown_undoes_what_programs_switch_on() -> None:
    sequences = re.findall(rb"\x1b\[[ -?]*[@-~]", restore.TEARDOWN)
    assert b"".join(sequences) == restore.TEARDOWN
    assert set(sequences) == {
        # Always, as upstream; then what it forgot.
        *(b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1004l", b"\x1b[?1000l", b"\x1b[?1006l"),
        *(b"\x1b[?1002l", b"\x1b[?1003l", b"\x1b[?2004l", b"\x1b[0m"),
    }


def test_the_bar() -> None:
    assert restore.CLEAR == b"\x1b[H\x1b[2J"
    assert restore.bar_setup(24) == b"\x1b[1;23r\x1b[H"
    assert restore.bar_draw(24, 8, "[cw]") == b"\x1b7\x1b[24;1H\x1b[7m[cw]    \x1b[0m\x1b8"
    assert restore.bar_remove(24) == b"\x1b7\x1b[r\x1b[24;1H\x1b[2K\x1b8"


@pytest.mark.parametrize(
    ("text", "cols", "shown"),
    [
        ("longer than that", 6, "longer"),
        ("日本語", 5, "日本 "),
        ("a\x1b[2Jb\n", 10, "a [2Jb    "),
        ("caf\udce9", 6, "caf?  "),
    ],
)
def test_the_bar_fills_its_row_exactly(text: str, cols: int, shown: str) -> None:
    assert (
        restore.bar_draw(9, cols, text) == b"\x1b7\x1b[9;1H\x1b[7m%b\x1b[0m\x1b8" % shown.encode()
    )
