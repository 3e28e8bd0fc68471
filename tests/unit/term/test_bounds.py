"""Numbers from a program's output: none makes the emulator allocate or go on without a bound."""

from __future__ import annotations

import pytest

from codewire.term.canvas import (
    HISTORY_CELLS,
    HISTORY_LINES,
    MAX_EMULATED_CELLS,
    MAX_PICTURE_BYTES,
    SLICE_CELLS,
    is_emulated,
)
from codewire.term.modes import STORED, Modes
from codewire.term.screen import Screen

HUGE = b"65535"


@pytest.mark.parametrize("size", [(65535, 65535), (1, 65535), (65535, 1), (2000, 2000)])
def test_a_canvas_has_a_million_cells_at_most(size: tuple[int, int]) -> None:
    assert not is_emulated(*size)
    screen = Screen(*size)
    assert screen.rows * screen.cols <= MAX_EMULATED_CELLS
    small = Screen(5, 5)
    small.resize(*size)
    assert (small.rows, small.cols) == (screen.rows, screen.cols)
    assert len(small.grid.rows) == small.rows
    assert len(small.grid.rows[-1].chars) == small.cols


def test_a_thousand_by_a_thousand_is_emulated() -> None:
    assert is_emulated(1000, 1000)
    assert is_emulated(24, 80)
    screen = Screen(1000, 1000)
    screen.feed(b"\x1b[1000;996Hend!")
    assert screen.lines()[-1].endswith("end!")


def test_the_history_is_bounded_by_cells() -> None:
    screen = Screen(2, 10_000)
    screen.feed(b"x\r\n" * 3000)
    assert len(screen.history) == HISTORY_CELLS // 10_000
    screen.resize(2, 80)
    screen.feed(b"x\r\n" * 3000)
    assert len(screen.history) == HISTORY_LINES
    screen.resize(2, 10_000)
    assert len(screen.history) == HISTORY_CELLS // 10_000


def test_the_alternate_screen_is_made_when_it_is_shown() -> None:
    screen = Screen(10, 20)
    assert screen._other is None
    screen.feed(b"\x1b[?1049hthere")
    assert screen.lines()[0] == "there"
    screen.feed(b"\x1b[?1049l")
    assert screen.lines()[0] == ""
    screen.feed(b"\x1b[?47h")
    assert screen.lines()[0] == "there"


@pytest.mark.parametrize(
    "work",
    [
        b"\x1b[2J",
        b"\x1bc",
        b"\x1b#8",
        b"\x1b[H\x1b[%bL" % HUGE,
        b"\x1b[H\x1b[%bM" % HUGE,
        b"\x1b[%bS" % HUGE,
        b"\x1b[%bT" % HUGE,
        b"\xe7\x95\x8c\x1b[%bb" % HUGE,
        b"\x1b[?1049hx",
    ],
)
def test_work_on_a_large_screen_pauses(work: bytes) -> None:
    screen = Screen(400, 1000)
    screen.feed(b"x\r\n" * 400)
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1

    screen.pause = pause
    screen.feed(work)
    assert pauses >= 400 * 1000 // SLICE_CELLS // 2


def test_resizing_and_painting_pause() -> None:
    pauses: list[int] = []
    screen = Screen(10, 10, pause=lambda: pauses.append(1))
    screen.resize(1000, 1000)
    assert len(pauses) >= MAX_EMULATED_CELLS // SLICE_CELLS // 2
    pauses.clear()
    screen.paint()
    assert len(pauses) >= MAX_EMULATED_CELLS // SLICE_CELLS // 2
    screen.resize(10, 10)


@pytest.mark.parametrize(
    ("work", "first"),
    [
        (b"\x1b[3;1H\x1b[20L", ["0", "1"]),
        (b"\x1b[3;1H\x1b[20M", ["0", "1", "22"]),
        (b"\x1b[20S", ["20", "21"]),
        (b"\x1b[20T", [""] * 20 + ["0", "1"]),
        (b"\x1b[65535S", [""] * 30),
    ],
)
def test_slices_come_to_the_same(work: bytes, first: list[str]) -> None:
    """Rows so wide that a few are a slice."""
    screen = Screen(30, SLICE_CELLS // 3)
    assert screen.cols < SLICE_CELLS // 2
    screen.feed(b"\r\n".join(b"%d" % number for number in range(30)))
    screen.feed(work)
    assert screen.lines()[: len(first)] == first
    assert len(screen.grid.rows) == 30
    narrow = Screen(30, 80)
    narrow.feed(b"\r\n".join(b"%d" % number for number in range(30)))
    narrow.feed(work)
    assert narrow.lines() == screen.lines()
    assert [row.text() for row in narrow.history] == [row.text() for row in screen.history]


def test_repeating_is_cut_to_the_screen() -> None:
    screen = Screen(4, 10)
    screen.feed(b"ab\x1b[%bb" % HUGE)
    assert screen.lines() == ["b" * 10] * 3 + ["bb"]
    assert screen.lines()[0] == "b" * 10


def test_only_known_modes_are_remembered() -> None:
    modes = Modes()
    for number in range(0, 65536, 16):
        modes.feed(b"\x1b[?%bs" % b";".join(b"%d" % n for n in range(number, number + 16)))
    assert set(modes._stored) <= STORED


def test_other_stores_are_bounded() -> None:
    screen = Screen(4, 10)
    for number in range(1000):
        screen.feed(b"\x1b[>%du\x1bH\x1b]2;%b\x07\x1b[%d G" % (number, b"t" * 3000, number))
    assert len(screen.modes._keys[False]) <= 16
    assert len(screen.modes.title) == 256
    assert max(screen._tabs) < 10_000


@pytest.mark.parametrize("sgr", [b"4:3" + b":1" * 1500, b"38;5;" + b"0" * 3000 + b"7", b"58:2::1"])
def test_a_style_is_a_few_bytes(sgr: bytes) -> None:
    screen = Screen(4, 10)
    screen.feed(b"\x1b[" + sgr + b"mx")
    assert len(screen.grid.rows[0].ansi()) < 100


def test_a_picture_is_bounded() -> None:
    screen = Screen(1000, 1000)
    line = b"".join(b"\x1b[38;2;%d;255;255;48;2;255;255;255mx" % (n % 256) for n in range(1000))
    screen.feed(line)
    for row in screen.grid.rows[1:]:
        row.chars, row.styles = screen.grid.rows[0].chars, screen.grid.rows[0].styles
    assert len(screen.paint()) < MAX_PICTURE_BYTES
