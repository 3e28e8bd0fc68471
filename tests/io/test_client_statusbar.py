"""The status bar's view of the output: alternate screen, resets, sequences cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.client.attaching.attachment import short_age
from codewire.client.attaching.statusbar import StatusBar
from codewire.term.restore import bar_draw, bar_remove, bar_setup

SETUP_IN_PLACE = b"\x1b7" + bar_setup(24) + b"\x1b8"

PIECES = [
    b"text",
    b"\xc3\xa9",
    b"\r\n",
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[?25;1047h",
    b"\x1b[?47l",
    b"\x1b[?25l",
    b"\x1b[31;1m",
    b"\x1b[r",
    b"\x1b[;r",
    b"\x1b[0;0r",
    b"\x1b[2;9r",
    b"\x1bc",
    b"\x1b[!p",
    b"\x1b(B",
    b"\x1b]0;title\x07",
    b"\x1b]0;title\x1b\\",
    b"\x1bP+q\x1b\\",
    b"\x1b",
    b"\x1b[",
    b"\x07",
]


def bar(rows: int = 24) -> StatusBar:
    bar = StatusBar()
    bar.resize(rows, 80)
    return bar


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.data())
def test_where_the_output_is_cut_makes_no_difference(
    pieces: list[bytes], data: st.DataObject
) -> None:
    output = b"".join(pieces)
    whole, bytewise, cut = bar(), bar(), bar()
    expected = whole.feed(output)
    at = data.draw(st.integers(0, len(output)))
    assert b"".join(bytewise.feed(output[i : i + 1]) for i in range(len(output))) == expected
    assert cut.feed(output[:at]) + cut.feed(output[at:]) == expected
    assert bytewise.may_draw == whole.may_draw == cut.may_draw
    assert bytewise.session_size == whole.session_size == cut.session_size


@given(st.binary(max_size=200))
def test_without_a_bar_the_output_is_untouched(data: bytes) -> None:
    small = bar(rows=4)
    passed = small.feed(data)
    # All that may be missing is an unfinished sequence at the end.
    assert data.startswith(passed)
    assert data[len(passed) :][:1] in (b"", b"\x1b")
    assert small.session_size == (4, 80)


@pytest.mark.parametrize("mode", [b"1049", b"1047", b"47", b"25;1049"])
def test_the_alternate_screen_gets_every_row(mode: bytes) -> None:
    screen = bar()
    enter, leave = b"\x1b[?" + mode + b"h", b"\x1b[?" + mode + b"l"
    assert screen.session_size == (23, 80)
    assert screen.feed(b"a" + enter + b"b") == b"a" + enter + bar_remove(24) + b"b"
    assert (screen.session_size, screen.is_shown, screen.may_draw) == ((24, 80), False, False)
    assert screen.feed(enter) == enter
    assert screen.feed(leave) == leave + SETUP_IN_PLACE
    assert screen.session_size == (23, 80)


def test_a_reset_scroll_region_is_set_again() -> None:
    screen = bar()
    assert screen.feed(b"\x1b[r") == b"\x1b[r" + bar_setup(24)
    assert screen.feed(b"\x1bc") == b"\x1bc" + bar_setup(24)
    assert screen.feed(b"\x1b[!p") == b"\x1b[!p" + SETUP_IN_PLACE
    # A region of the program's own is its business.
    assert screen.feed(b"\x1b[2;9r") == b"\x1b[2;9r"
    screen.feed(b"\x1b[?1049h")
    assert screen.feed(b"\x1b[r") == b"\x1b[r"


@pytest.mark.parametrize(
    ("output", "may_draw"),
    [
        (b"text", True),
        (b"\x1b]0;half a title", False),
        (b"\x1b]0;title\x07", True),
        (b"\x1b]0;title\x1b\\", True),
        (b"\x1bPdata", False),
        (b"half a character \xe2\x82", False),
        (b"a character \xe2\x82\xac", True),
        (b"\xf0\x9f\x98", False),
        (b"\x1b[31", True),  # held back: the terminal has not seen it begin
    ],
)
def test_the_bar_never_splits_what_belongs_together(output: bytes, may_draw: bool) -> None:
    screen = bar()
    screen.feed(output)
    assert screen.may_draw is may_draw


def test_a_string_that_was_cut_is_ended_by_any_escape() -> None:
    screen = bar()
    for part in (b"\x1b]", b"0;title\x07\x1b\x1b"):
        screen.feed(part)
    assert screen.may_draw


def test_a_title_may_come_in_many_parts() -> None:
    screen = bar()
    for part in (b"\x1b]0;a", b"bc", b"d\x1b"):
        screen.feed(part)
        assert not screen.may_draw
    screen.feed(b"\\")
    assert screen.may_draw


def test_resizing_sets_and_drops_the_bar() -> None:
    screen = StatusBar()
    assert screen.remove() == b""
    assert screen.resize(24, 80) == SETUP_IN_PLACE
    assert screen.draw("hi") == bar_draw(24, 80, "hi")
    assert screen.resize(4, 80) == bar_remove(4)
    assert (screen.is_shown, screen.remove(), screen.session_size) == (False, b"", (4, 80))
    assert screen.resize(3, 80) == b""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h0m"), (90061, "25h1m")],
)
def test_ages(seconds: float, text: str) -> None:
    assert short_age(seconds) == text
