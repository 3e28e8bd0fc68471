"""Drawing a screen from a log: in slices, in time, at the sizes the terminal had."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.errors import ConnectionLost
from codewire.output.log import OutputLog
from codewire.output.opening import open_log
from codewire.term.screen import Screen
from codewire.terminal.display import MAX_ASKED, MAX_SIZES, SCREEN_BYTES, Display, check_size
from codewire.terminal.turns import SLICE_SECONDS, Drawing, Pen, ScreenUnknown, rest

# Erasing a large screen again and again: hours of work in a MiB.
STORM = b"x\x1b[2J" * (SCREEN_BYTES // 5)


@pytest.fixture
def output(tmp_path: Path) -> Iterator[OutputLog]:
    log = open_log(str(tmp_path / "output.log"))
    yield log
    log.release()


def lines(screen: Screen, _: int) -> list[str]:
    return screen.lines()


def test_what_was_printed_is_drawn_at_the_size_of_its_time(output: OutputLog) -> None:
    size = (4, 20)
    display = Display(lambda: size)
    output.take_bytes(b"first\r\n")
    assert display.look(output, lines)[0] == "first"
    output.take_bytes(b"a" * 30 + b"\r\n")
    display.resized(output.end, 4, 40)
    size = (4, 40)
    output.take_bytes(b"b" * 30)
    assert display.look(output, lines) == ["first", "a" * 20, "a" * 10, "b" * 30]


@pytest.mark.parametrize("padding", [0, 2041, 2042, 2043, 2044, 5000])
def test_the_cursor_is_known_where_it_was_asked_for(output: OutputLog, padding: int) -> None:
    """A look at the end, for states or `screen`, may come before whoever answers."""
    display = Display(lambda: (4, 20))
    output.take_bytes(b"x" * padding + b"\x1b[2J\x1b[2;5H\x1b[6n")
    first = output.end
    output.take_bytes(b"ab\x1b[3;7H\x1b[?6n")
    second = output.end
    output.take_bytes(b"\x1b[4;1Hc")
    assert display.look(output, lambda s, _: (s.y, s.x)) == (3, 1)
    for end, place in ((first, (1, 4)), (second, (2, 6)), (output.end, (3, 1))):
        assert display.look(output, lambda s, _, e=end: display.cursor_at(e, s), end) == place


def test_questions_nobody_answers_are_not_kept_for_ever(output: OutputLog) -> None:
    display = Display(lambda: (4, 20))
    output.take_bytes(b"\x1b[6n" * 1000)
    display.look(output, lines)
    assert len(display._asked) == MAX_ASKED


def test_sizes_nobody_looks_at_are_not_kept_for_ever(output: OutputLog) -> None:
    display = Display(lambda: (9, 9))
    display.look(output, lines)
    for number in range(100 * MAX_SIZES):
        display.resized(0, 1 + number % 50, 80)
    assert len(display._sizes) == MAX_SIZES


def test_a_size_the_program_set_is_taken(output: OutputLog) -> None:
    size = (4, 20)
    display = Display(lambda: size)
    output.take_bytes(b"hello")
    display.look(output, lines)
    size = (6, 30)
    assert display.look(output, lambda s, _: (s.rows, s.cols)) == (6, 30)
    size = (65535, 65535)
    assert display.look(output, lambda s, _: s.rows * s.cols) < 10_000
    with pytest.raises(ScreenUnknown, match="65535 columns and 65535 rows"):
        check_size(*size)
    size = (6, 30)
    assert display.look(output, lambda s, _: (s.rows, s.cols)) == (6, 30)


def test_a_screen_that_costs_too_much_is_given_up_in_time(output: OutputLog) -> None:
    output.take_bytes(STORM)
    display = Display(lambda: (1000, 1000))
    started = time.monotonic()
    with pytest.raises(ScreenUnknown):
        display.look(output, lines, seconds=0.5)
    reached = display.offset
    with pytest.raises(ScreenUnknown):
        display.look(output, lines, seconds=0.5)
    # Hours less than it would take; the machine may be busy.
    assert time.monotonic() - started < 40
    assert reached < display.offset <= output.end


def test_a_picture_in_a_hurry_is_drawn_from_less(output: OutputLog) -> None:
    output.take_bytes(b"\x1b[?2004h" + STORM[: 1 << 17] + b"\r\n" * 5000 + b"the end")
    display = Display(lambda: (1000, 1000))
    modes, shown = display.look(
        output,
        lambda s, _: (s.modes.is_set(2004), [t for t in s.lines() if t]),
        seconds=50,
        hurries=((0.01, 1 << 16), (0.02, 1 << 12)),
    )
    assert modes
    assert shown == ["the end"]


def test_who_leaves_is_not_drawn_for(output: OutputLog) -> None:
    output.take_bytes(STORM)
    display = Display(lambda: (1000, 1000))
    with pytest.raises(ConnectionLost):
        display.look(output, lines, seconds=60, has_left=lambda: True)


def test_who_waits_for_anothers_look_may_leave(output: OutputLog) -> None:
    output.take_bytes(b"x")
    display = Display(lambda: (10, 10))
    entered, done = threading.Event(), threading.Event()

    def view(screen: Screen, _: int) -> None:
        entered.set()
        done.wait(30)

    first = threading.Thread(target=lambda: display.look(output, view))
    first.start()
    assert entered.wait(30)
    with pytest.raises(ConnectionLost):
        display.look(output, lines, seconds=60, has_left=lambda: True)
    with pytest.raises(ScreenUnknown):
        display.look(output, lines, seconds=0.01)
    done.set()
    first.join(30)
    assert display.look(output, lines)[0] == "x"


def test_drawers_take_turns_and_others_run_between(output: OutputLog) -> None:
    """Two draw what costs seconds; a third is not held up, nor is who draws nothing."""
    output.take_bytes(STORM)
    pen, stop = Pen(), threading.Event()

    def draw() -> None:
        display = Display(lambda: (500, 1000), pen)
        while not stop.is_set():
            with pytest.raises((ScreenUnknown, ConnectionLost)):
                display.look(output, lines, seconds=60, has_left=stop.is_set)

    drawers = [threading.Thread(target=draw) for _ in range(2)]
    for drawer in drawers:
        drawer.start()
    waits = []
    for _ in range(30):
        started = time.monotonic()
        time.sleep(0.001)
        with Drawing(pen, 10):
            waits.append(time.monotonic() - started)
    stop.set()
    for drawer in drawers:
        drawer.join(30)
    # Not the minute that drawing would take; the machine may be busy.
    assert sorted(waits)[15] < 1


def test_a_pause_gives_the_pen_away() -> None:
    pen = Pen()
    drawing, taken = Drawing(pen, 10), threading.Event()

    def take() -> None:
        with Drawing(pen, 10):
            taken.set()

    with drawing:
        other = threading.Thread(target=take)
        other.start()
        deadline = time.monotonic() + 30
        while not taken.is_set() and time.monotonic() < deadline:
            time.sleep(SLICE_SECONDS)
            drawing.pause()
            rest()
        assert taken.is_set()
    other.join(30)
