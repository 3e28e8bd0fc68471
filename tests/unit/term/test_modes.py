"""Modes: what output switched on, how another terminal gets there, and how it is undone."""

from __future__ import annotations

import pytest

from codewire.term.modes import Modes
from codewire.term.sgr import PLAIN, apply_sgr, sgr_bytes


def after(data: bytes) -> Modes:
    modes = Modes()
    modes.feed(data)
    return modes


@pytest.mark.parametrize(
    ("output", "enter", "leave"),
    [
        (b"", b"", b""),
        (b"\x1b[?1049h", b"\x1b[?1049h", b"\x1b[?1049l"),
        (b"\x1b[?1049h\x1b[?1049l", b"", b""),
        (b"\x1b[?25l", b"\x1b[?25l", b"\x1b[?25h"),
        (b"\x1b[?7l", b"\x1b[?7l", b"\x1b[?7h"),
        (b"\x1b[?2004;1004h", b"\x1b[?1004h\x1b[?2004h", b"\x1b[?1004l\x1b[?2004l"),
        (b"\x1b[?1000h\x1b[?1003h", b"\x1b[?1003h", b"\x1b[?1003l"),
        (b"\x1b[?1h\x1b=", b"\x1b[?1h\x1b=", b"\x1b[?1l\x1b>"),
        (b"\x1b[5 q", b"\x1b[5 q", b"\x1b[0 q"),
        (b"\x1b[>1u\x1b[>5u", b"\x1b[>1u\x1b[>5u", b"\x1b[<2u"),
        (b"\x1b[>1u\x1b[<u", b"", b""),
        (b"\x1b[=7u", b"\x1b[=7u", b"\x1b[=0u"),
        (b"\x1b[>4;2m", b"\x1b[>4;2m", b"\x1b[>4m"),
        (b"\x1b[2;10r", b"\x1b[2;10r", b"\x1b7\x1b[r\x1b8"),
        (b"\x1b[2;10r\x1b[r", b"", b""),
        (b"\x1b(0\x0e", b"\x1b(0\x0e", b"\x1b(B\x0f"),
        (b"\x1b[4h", b"\x1b[4h", b"\x1b[4l"),
        (b"\x1b[1;31m", b"\x1b[0;1;31m", b"\x1b[0m"),
        (b"\x1b]2;name\x07", b"\x1b]2;name\x07", b""),
        (b"\x1b[?1006h\x1b[4 q\x1b[31m\x1bc", b"", b""),
        (b"\x1b[?6h\x1b[?25l\x1b[4h\x1b[3m\x1b[!p", b"", b""),
        (b"\x1b7\x1b[31m\x1b8", b"", b""),
        (b"\x1b[?2004h\x1b[?2004s\x1b[?2004l\x1b[?2004r", b"\x1b[?2004h", b"\x1b[?2004l"),
    ],
)
def test_enter_and_leave(output: bytes, enter: bytes, leave: bytes) -> None:
    for pieces in ([output], [output[i : i + 1] for i in range(len(output))]):
        modes = Modes()
        for piece in pieces:
            modes.feed(piece)
        assert modes.enter() == enter
        assert modes.leave() == leave


def test_each_screen_has_its_own_keyboard_flags() -> None:
    modes = after(b"\x1b[>1u\x1b[?1049h\x1b[>5u")
    assert modes.key_flags == 5
    modes.feed(b"\x1b[?1049l")
    assert modes.key_flags == 1


def test_noting_is_as_good_as_reading_but_for_colours_and_titles() -> None:
    output = (
        b"\x1b]0;t\x07\x1b[?1049h\x1b[31mtext\x1b[H\x1b[?25l\x1b[>1u\x1b(0\x1b[5 q\x1b[2;9r\x1b="
        b"\x1b[?1002;1006h\x1b[4h\x0e\x1b[!p\x1b[?2004h"
    )
    noted = Modes()
    noted.note(output)
    assert noted.leave() == after(output + b"\x1b[m").leave()


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (b"", b"\x1b[0m"),
        (b"1;4;7", b"\x1b[0;1;7;4m"),
        (b"38;5;200;48;2;1;2;3", b"\x1b[0;38;5;200;48;2;1;2;3m"),
        (b"4:3;58:2::1:2:3", b"\x1b[0;4:3;58:2::1:2:3m"),
        (b"1;22;31;39", b"\x1b[0m"),
        (b"97;100", b"\x1b[0;97;100m"),
        (b"38;5", b"\x1b[0m"),
        (b";1", b"\x1b[0;1m"),
    ],
)
def test_styles(body: bytes, written: bytes) -> None:
    style = apply_sgr(PLAIN, body)
    assert sgr_bytes(style) == written
    assert apply_sgr(PLAIN, written[2:-1]) == style
