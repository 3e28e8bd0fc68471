"""Colours, pointer, progress and links: what is restored, and what is undone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.client.attaching.statusbar import StatusBar
from codewire.term.looks import MAX_LINK, UNDO
from codewire.term.modes import Modes
from codewire.term.restore import RESET


def after(data: bytes) -> Modes:
    modes = Modes()
    modes.feed(data)
    return modes


@pytest.mark.parametrize(
    ("output", "enter", "leave"),
    [
        (b"\x1b]11;#102030\x07", b"\x1b]11;#102030\x1b\\", b"\x1b]111\x07"),
        (
            b"\x1b]10;red;blue\x07",
            b"\x1b]10;red\x1b\\\x1b]11;blue\x1b\\",
            b"\x1b]110\x07\x1b]111\x07",
        ),
        (b"\x1b]12;red\x07\x1b]112\x07", b"", b""),
        (b"\x1b]4;1;red;2;blue\x1b\\", b"\x1b]4;1;red\x07\x1b]4;2;blue\x07", b"\x1b]104\x07"),
        (b"\x1b]4;1;red\x07\x1b]104;1\x07", b"", b""),
        (b"\x1b]4;1;red;2;blue\x07\x1b]104;1\x07", b"\x1b]4;2;blue\x07", b"\x1b]104\x07"),
        (b"\x1b]4;1;?\x07\x1b]11;?\x07", b"", b""),
        (b"\x1b]22;text\x07", b"\x1b]22;text\x1b\\", b"\x1b]22;\x07"),
        (b"\x1b]9;4;1;40\x07", b"\x1b]9;4;1;40\x1b\\", b"\x1b]9;4;0\x07"),
        (b"\x1b]9;4;3\x07\x1b]9;4;0\x07", b"", b""),
        (b"\x1b]9;hello\x07", b"", b""),
        (b"\x1b]8;id=1;http://x/\x07", b"\x1b]8;id=1;http://x/\x1b\\", b"\x1b]8;;\x1b\\"),
        (b"\x1b]8;;http://x/\x07link\x1b]8;;\x07", b"", b""),
        (b"\x1b[?2027h\x1b[?69h", b"\x1b[?69h\x1b[?2027h", b"\x1b[?69l\x1b[?2027l"),
        (b"\x1b[?40h\x1b[?3h", b"\x1b[?40h\x1b[?3h", b"\x1b[?3l\x1b[?40l"),
        (b"\x1b[?2026h", b"", b"\x1b[?2026l"),
        (
            b"\x1b[?2031;9001;5522;67h",
            b"\x1b[?67h\x1b[?2031h\x1b[?5522h\x1b[?9001h",
            b"\x1b[?67l\x1b[?2031l\x1b[?5522l\x1b[?9001l",
        ),
    ],
)
def test_enter_and_leave(output: bytes, enter: bytes, leave: bytes) -> None:
    modes = after(output)
    assert modes.enter() == enter
    assert modes.leave() == leave
    assert after(output + leave).enter() == b""


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_who_passes_output_on_undoes_as_much(size: int) -> None:
    output = (
        b"\x1b]11;?\x07\x1b]4;1;?\x07\x1b]10;red\x07\x1b]4;200;#fff\x07\x1b]22;wait\x07"
        b"\x1b]8;;http://x/\x1b\\\x1b]9;4;1;5\x07\x1b[?2026h"
    )
    bar, modes = StatusBar(), Modes()
    for start in range(0, len(output), size):
        modes.note(bar.feed(output[start : start + size]))
    left = modes.leave()
    assert sorted(left) == sorted(after(output).leave())
    assert b"\x1b]111\x07" not in left


@given(st.integers(0, 200), st.binary(max_size=100))
def test_what_is_restored_is_bounded_and_harmless(number: int, text: bytes) -> None:
    modes = Modes()
    modes.looks.apply(number, text * 50)
    assert len(modes.looks.enter()) < MAX_LINK + 200
    assert after(modes.looks.enter()).looks.enter() == modes.looks.enter()


def test_a_reset_undoes_everything_in_the_table() -> None:
    assert all(undo in RESET for undo in UNDO.values())


@pytest.mark.parametrize("end", [b"\x07", b"\x1b\\"])
def test_the_terminal_is_not_asked_what_the_node_has_answered(end: bytes) -> None:
    output = b"a\x1b]7501;?" + end + b"b\x1b]7501;state=idle\x07c\x1b[c"
    for size in (1, 2, 3, 7, 100):
        bar = StatusBar()
        pieces = [output[start : start + size] for start in range(0, len(output), size)]
        seen = b"".join(bar.feed(piece) for piece in pieces)
        assert seen == b"ab\x1b]7501;state=idle\x07c\x1b[c"
