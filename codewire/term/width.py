"""Text as a terminal shows it: how many cells it takes, cut to fit, made harmless.

Character properties come from unicodedata, which is loaded only when a text is not plain ASCII.
"""

from __future__ import annotations

import re

# Vowels and finals of decomposed Hangul: they join the cells of the syllable's first letter.
HANGUL_JOINERS = range(0x1160, 0x1200)

# Of category Cf, yet terminals draw it.
SOFT_HYPHEN = "\xad"

# Emoji are joined into one by the first, and coloured by the others: as wide as one, says every
# terminal that draws them so (kitty, foot, WezTerm, iTerm2, Windows Terminal, tmux).
JOINER = "\u200d"
SKIN_TONES = range(0x1F3FB, 0x1F400)

# Control characters, and the two line breaks that are not among them.
HARMFUL_CATEGORIES = ("Cc", "Zl", "Zp")
# These reorder everything behind them, other columns included.
DIRECTION_CONTROLS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def display_width(text: str) -> int:
    """Return the cells `text` takes: wide characters two, combining ones none, all others one.

    A family or a person with a skin tone is one emoji: two.
    """
    return len(text) if text.isascii() else sum(_cells(text))


def clip(text: str, width: int, ellipsis: str = "...") -> str:
    """Cut `text` to at most `width` cells, ending in `ellipsis` where something is missing.

    The result may be a cell short where a wide character did not fit. An ellipsis that is wider
    than `width` is left out.
    """
    if display_width(text) <= width:
        return text
    room = width - display_width(ellipsis)
    if room < 0:
        room, ellipsis = width, ""
    used = 0
    for index, cells in enumerate(_cells(text)):
        used += cells
        if used > room:
            return text[:index] + ellipsis
    return text + ellipsis


def printable(text: str) -> str:
    """Return `text` with each control character as a space, so it cannot break a line or a screen.

    Control characters are those of C0, C1, line and paragraph breaks, and writing direction.
    """
    if text.isprintable():
        return text
    from unicodedata import bidirectional, category

    return "".join(
        " "
        if category(char) in HARMFUL_CATEGORIES or bidirectional(char) in DIRECTION_CONTROLS
        else char
        for char in text
    )


# What a terminal acts on without drawing it: C0 but for tab and line ends, DEL, C1, and the
# characters that reorder what stands behind them. In JSON the last are legal, and as harmful.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_JSON_CONTROLS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Return lines of text without control characters and changes of writing direction."""
    return _CONTROLS.sub("", text)


def harmless_json(text: str) -> str:
    """Return JSON with the control characters spelt out that its strings may hold as they are.

    >>> harmless_json('"\x9b1m"')
    '"\\\\u009b1m"'
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return _JSON_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _cells(text: str) -> list[int]:
    """Return the cells of each character."""
    from unicodedata import category, east_asian_width

    def cells(char: str) -> int:
        if category(char) in ("Mn", "Me", "Cf") and char != SOFT_HYPHEN:
            return 0
        if ord(char) in HANGUL_JOINERS:
            return 0
        return 2 if east_asian_width(char) in ("W", "F") else 1

    found = [cells(char) for char in text]
    for at in range(1, len(text)):
        if found[at] == 2 and continues(text[max(0, at - 2) : at], text[at]):
            found[at] = 0
    return found


def continues(before: str, char: str) -> bool:
    """Say whether a wide character is part of the emoji that `before` ends in."""
    if before[-1:] == JOINER:
        return _is_emoji(before[-2:-1])
    return ord(char) in SKIN_TONES and _is_emoji(before[-1:])


def _is_emoji(char: str) -> bool:
    """Say so of pictures, symbols, and the selector that makes a symbol a picture."""
    return "\u2190" <= char <= "\u2bff" or char == "\ufe0f" or char >= "\U0001f000"
