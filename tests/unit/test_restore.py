"""What is written to the user's own terminal."""

from __future__ import annotations

import pytest

from codewire.term.restore import CLEAR, TEARDOWN, bar_draw, bar_remove, bar_setup


def test_teardown_undoes_every_mode() -> None:
    modes = (1049, 1004, 1000, 1002, 1003, 1006, 2004, 1)
    for mode in modes:
        assert b"\x1b[?%dl" % mode in TEARDOWN
    for sequence in (b"\x1b[?25h", b"\x1b[<u", b"\x1b>"):
        assert sequence in TEARDOWN
    # Leaving the alternate screen restores the cursor and its attributes: colours go last.
    assert TEARDOWN.startswith(b"\x1b[?1049l")
    assert TEARDOWN.endswith(b"\x1b[0m")


def test_clear_homes_the_cursor() -> None:
    assert CLEAR == b"\x1b[H\x1b[2J"


def test_the_bar_is_below_the_scroll_region() -> None:
    assert bar_setup(24) == b"\x1b[1;23r\x1b[H"
    assert bar_remove(24) == b"\x1b7\x1b[r\x1b[24;1H\x1b[2K\x1b8"


@pytest.mark.parametrize(
    ("cols", "text", "line"),
    [
        (8, "[cw] 1", "[cw] 1  "),
        (4, "[cw] 1", "[cw]"),
        (0, "[cw]", ""),
        (5, "漢字x", "漢字x"),
        (4, "a漢字", "a漢 "),  # half a character does not fit
        (4, "a\x1b[m", "a [m"),
        (3, "\udcff", "   "),
    ],
)
def test_the_bar_fills_its_row_exactly(cols: int, text: str, line: str) -> None:
    drawn = b"\x1b7\x1b[24;1H\x1b[7m" + line.encode() + b"\x1b[0m\x1b8"
    assert bar_draw(24, cols, text) == drawn
