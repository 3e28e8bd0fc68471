"""What one look at a terminal says about where text goes."""

from __future__ import annotations

import pytest

from codewire.term.screen import Screen
from codewire.terminal.scene import BLANK, Scene, is_shown, view

FAMILY = "👩‍👩‍👧 日本語 ab 🎉"
HIDE, DRAWN = "\x1b[?25l", "\x1b[7m \x1b[27m"


def seen(output: str) -> Scene:
    screen = Screen(5, 40)
    screen.feed(output.encode())
    return view(screen, 0)


def test_a_drawn_cursor_counts_where_the_terminals_is_hidden() -> None:
    """Gemini CLI leaves its own left of the text's end behind emoji of several characters."""
    scene = seen(f"{HIDE} > {FAMILY}{DRAWN}   \x1b[15G")
    assert scene.left == f" > {FAMILY}" and is_shown(BLANK, scene, FAMILY)


def test_a_drawn_cursor_is_found_in_another_row() -> None:
    """Qwen Code, as all that Ink draws: the terminal's own is below the frame."""
    scene = seen(f"{HIDE}\r\n > {FAMILY}{DRAWN}\u200b\r\n\x1b[2m? for shortcuts\r\n")
    assert (scene.row, scene.left) == (1, f" > {FAMILY}") and is_shown(BLANK, scene, FAMILY)


@pytest.mark.parametrize(
    ("output", "left"),
    [
        (f" > ab{DRAWN} c\x1b[5G", " > a"),  # the terminal's own is seen
        (f"{HIDE} > ab c\x1b[5G", " > a"),  # none is drawn
        (f"{HIDE} > \x1b[7mchosen\x1b[27m c\x1b[5G", " > c"),  # what is chosen, not a cursor
        (f"{HIDE} > a\x1b[7m日\x1b[27m c\x1b[2G", " > a"),  # on a wide character
        (f"{HIDE} > {DRAWN}a\x1b[6G", " >  a"),  # behind what is drawn
        (f"{HIDE}{DRAWN} > {DRAWN}a\x1b[2G", " "),  # which of them?
        (f"{HIDE} > {DRAWN}a\r\n > {DRAWN}a\r\nb", "b"),  # which of the rows?
        (f" > a{DRAWN}\r\nb", "b"),  # the terminal's own is seen
    ],
)
def test_what_is_no_drawn_cursor(output: str, left: str) -> None:
    assert seen(output).left == left
