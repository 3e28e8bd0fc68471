"""The emulator against what xterm and tmux do; recorded programs are in test_recordings.py."""

from __future__ import annotations

import pytest

from codewire.term.grid import PastRow
from codewire.term.screen import Screen


def shown(data: bytes, rows: int = 4, cols: int = 8) -> list[str]:
    screen, slow = Screen(rows, cols), Screen(rows, cols)
    screen.feed(data)
    for byte in data:
        slow.feed(bytes((byte,)))
    assert slow.lines() == screen.lines()
    return screen.lines()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"ab\r\ncd", ["ab", "cd", "", ""]),
        (b"abcdefghij", ["abcdefgh", "ij", "", ""]),
        (b"abcdefgh\r\nx", ["abcdefgh", "x", "", ""]),
        (b"abcdefgh\bX", ["abcdefXh", "", "", ""]),
        (b"\x1b[?7labcdefghij", ["abcdefgj", "", "", ""]),
        (b"a\tb\tc", ["a      b", "c", "", ""]),
        (b"1\n2\n3\n4\n5", [" 2", "  3", "   4", "    5"]),
        (b"1\r\n2\r\n3\r\n4\x1b[2;3r\x1b[3;1H\nX", ["1", "3", "X", "4"]),
        (b"1\r\n2\r\n3\x1b[H\x1bMX", ["X", "1", "2", "3"]),
        (b"1\r\n2\r\n3\x1b[1;1H\x1b[L", ["", "1", "2", "3"]),
        (b"1\r\n2\r\n3\x1b[1;1H\x1b[2M", ["3", "", "", ""]),
        (b"abcdef\x1b[1;3H\x1b[2@", ["ab  cdef", "", "", ""]),
        (b"abcdef\x1b[1;3H\x1b[2P", ["abef", "", "", ""]),
        (b"abcdef\x1b[1;3H\x1b[2X", ["ab  ef", "", "", ""]),
        (b"abcdef\x1b[1;3H\x1b[K", ["ab", "", "", ""]),
        (b"abcdef\x1b[1;3H\x1b[1K", ["   def", "", "", ""]),
        (b"a\r\nb\r\nc\x1b[2;1H\x1b[J", ["a", "", "", ""]),
        (b"a\r\nb\r\nc\x1b[2;1H\x1b[1J", ["", "", "c", ""]),
        (b"x\x1b[5b", ["xxxxxx", "", "", ""]),
        (b"\x1b[4habc\x1b[1GX", ["Xabc", "", "", ""]),
        (b"\x1b(0lqk\x1b(Bl", ["┌─┐l", "", "", ""]),
        (b"main\x1b[?1049halt\x1b[?1049l!", ["main!", "", "", ""]),
        (b"main\x1b[?1049hal\x1b[2;1Ht", ["    al", "t", "", ""]),
        ("日本日本日".encode(), ["日本日本", "日", "", ""]),
        ("a日本日本".encode(), ["a日本日", "本", "", ""]),
        ("日本\x1b[1;2HX".encode(), [" X本", "", "", ""]),
        ("日本\x1b[1;3HX".encode(), ["日X", "", "", ""]),
        ("e\u0301x".encode(), ["e\u0301x", "", "", ""]),
        (b"\x1b[2;3r\x1b[?6h\x1b[1;1HX\x1b[9;1HY", ["", "X", "Y", ""]),
        (b"a\x1b7\x1b[3;3Hb\x1b8c", ["ac", "", "  b", ""]),
        (b"\x1b]0;title\x07\x1bPq#0\x1b\\x", ["x", "", "", ""]),
        (b"abc\x1bcd", ["d", "", "", ""]),
        (b"1\r\n2\r\n3\r\n4\x1b[2S", ["3", "4", "", ""]),
        (b"1\r\n2\r\n3\r\n4\x1b[2T", ["", "", "1", "2"]),
    ],
)
def test_what_is_shown(data: bytes, lines: list[str]) -> None:
    assert shown(data) == lines


def test_lines_that_scroll_off_are_kept_but_not_those_of_the_alternate_screen() -> None:
    screen = Screen(3, 8)
    screen.feed(b"1\r\n2\r\n3\r\n4\r\n\x1b[?1049ha\r\nb\r\nc\r\nd\r\ne")
    assert [row.text() for row in screen.history] == ["1", "2"]


def test_a_smaller_screen_keeps_the_cursor_line_and_a_larger_one_brings_lines_back() -> None:
    screen = Screen(4, 8)
    screen.feed(b"1\r\n2\r\n3\r\n4")
    screen.resize(2, 8)
    assert screen.lines() == ["3", "4"]
    screen.resize(4, 8)
    assert screen.lines() == ["1", "2", "3", "4"]
    assert screen.y == 3


@pytest.mark.parametrize(
    "data",
    [
        b"plain\r\n\x1b[31mred\x1b[0m and \x1b[1;44mblue",
        b"main\x1b[2;3H\x1b[?1049h\x1b[3;2H\x1b[7mmenu\x1b[0m\x1b[?25l\x1b[?1h",
        "日本\x1b[2;5r\x1b[?6h\x1b[2;2Hx".encode(),
    ],
)
def test_a_painted_screen_looks_the_same(data: bytes) -> None:
    screen, copy = Screen(6, 20), Screen(6, 20)
    screen.feed(data)
    copy.feed(screen.paint())
    assert [row.ansi() for row in copy.grid.rows] == [row.ansi() for row in screen.grid.rows]
    assert (copy.y, copy.x) == (screen.y, screen.x)
    assert copy.modes.enter() == screen.modes.enter()
    screen.feed(b"\x1b[?6l\x1b[r\x1b[?1049l~")
    copy.feed(b"\x1b[?6l\x1b[r\x1b[?1049l~")
    assert copy.lines() == screen.lines()


def test_a_screen_is_painted_without_a_region_that_a_new_size_ends() -> None:
    screen, larger = Screen(6, 20), Screen(9, 20)
    screen.feed(b"\x1b[?1049h\x1b[1;6r\x1b[?6hone\r\ntwo")
    larger.feed(screen.paint(with_region=False))
    assert not larger.has_region
    assert larger.lines()[:2] == ["one", "two"]
    assert (larger.y, larger.x) == (1, 3)


def test_ansi_lines() -> None:
    screen = Screen(1, 10)
    screen.feed(b"a\x1b[31mb\x1b[0m c")
    assert screen.grid.rows[0].ansi() == b"a\x1b[0;31mb\x1b[0m c"


def test_what_has_left_the_screen_is_kept_as_it_was() -> None:
    """Packed it says the same, and comes back whole when the terminal grows."""
    lines = [
        "plain",
        "\x1b[31mred\x1b[0m and \x1b[1mbold",
        "日本 wide",
        "e\u0301 combined",
        "",
        "\x1b[44m  ",
    ]
    data = "\r\n".join(lines * 3).encode()
    whole, packed = Screen(4, 20), Screen(4, 20)
    for start in range(0, len(data), 7):
        for screen in (whole, packed):
            screen.feed(data[start : start + 7])
        packed.pack()
    for size in ((4, 20), (9, 20), (12, 9), (3, 30)):
        for screen in (whole, packed):
            screen.resize(*size)
        packed.pack()
        for way in ("text", "ansi"):
            both = [
                [getattr(row, way)() for row in (*screen.history, *screen.grid.rows)]
                for screen in (whole, packed)
            ]
            assert both[0] == both[1], size
    assert packed.history and all(isinstance(row, PastRow) for row in packed.history)


def test_tab_stops_of_one_screen_are_its_own() -> None:
    first, second = Screen(2, 40), Screen(2, 40)
    first.feed(b"\x1b[3g\x1b[5G\x1bH\r\ta")
    second.feed(b"\ta")
    third = Screen(2, 40)
    third.feed(b"\x1b[9G\x1b[0g\r\ta")
    assert [s.lines()[0].index("a") for s in (first, second, third)] == [4, 8, 16]
