"""Colours that can be read on dark and on light, or none of them; and lines cut by cells.

The colours are of xterm's 256, each with a contrast of 3.5 or more against black and white both
(WCAG 2, relative luminance): what a theme makes of the first sixteen is often unreadable on one.
"""

from __future__ import annotations

from codewire.term.width import clip, display_width

COLOURS = {
    "red": 160,
    "orange": 166,
    "green": 28,
    "blue": 31,
    "grey": 244,
}
# To tell many apart by: neighbours are far from each other.
LABELS = (31, 130, 133, 28, 98, 161)
RESET = "\x1b[0m"


class Paint:
    """Colours text, or leaves it as it is where nobody sees colours."""

    def __init__(self, is_on: bool) -> None:
        self.is_on = is_on

    def __call__(self, text: str, colour: str, *, bold: bool = False) -> str:
        """Return text in a colour of COLOURS ("": the terminal's own)."""
        codes = ["1"] * bold + ([f"38;5;{COLOURS[colour]}"] if colour else [])
        return f"\x1b[{';'.join(codes)}m{text}{RESET}" if self.is_on and codes and text else text

    def label(self, text: str, number: int) -> str:
        """Return text in one of the colours that tell many apart."""
        code = LABELS[number % len(LABELS)]
        return f"\x1b[38;5;{code}m{text}{RESET}" if self.is_on else text


def pad(text: str, width: int) -> str:
    """Return text with blanks up to `width` cells; one that is wider stays as it is."""
    return text + " " * (width - display_width(text))


def wrap(text: str, width: int) -> list[str]:
    """Return text in lines of at most `width` cells, cut at blanks where there are any."""
    width = max(1, width)
    return [line for part in text.split("\n") for line in _wrapped(part, width)]


def hang(head: str, text: str, width: int, indent: int) -> list[str]:
    """Return `head` and text behind it, its further lines `indent` cells from the left.

    The head takes `indent` cells: it is padded before it is coloured.
    """
    lines = wrap(text, width - indent)
    blank = " " * indent
    return [head + lines[0], *(blank + line for line in lines[1:])]


def _wrapped(text: str, width: int) -> list[str]:
    found: list[str] = []
    at = 0
    while True:
        # Twice as many: some characters have no cell of their own.
        window = text[at : at + 2 * width + 1]
        if at + len(window) == len(text) and display_width(window) <= width:
            return [*found, window] if window or not found else found
        head = clip(window, width, "") or window[:1]
        cut = len(head)
        is_within_word = not head[-1:].isspace() and not window[cut : cut + 1].isspace()
        if is_within_word and (blank := head.rfind(" ")) > 0:
            cut = blank
        found.append(window[:cut].rstrip())
        at += cut
        while text[at : at + 1] == " ":
            at += 1
