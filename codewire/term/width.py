"""Text as a terminal shows it: how many cells it takes, cut to fit, made harmless."""

from __future__ import annotations


def display_width(text: str) -> int:
    """Return the cells `text` takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    import unicodedata

    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(text: str, width: int, ellipsis: str = "...") -> str:
    """Cut `text` to at most `width` cells, ending in `ellipsis` where something is missing."""
    if display_width(text) <= width:
        return text
    room = width - display_width(ellipsis)
    kept, used = [], 0
    for char in text:
        used += _cells(char) if not char.isascii() else 1
        if used > room:
            break
        kept.append(char)
    return "".join(kept) + ellipsis


def printable(text: str) -> str:
    """Return `text` with each control character as a space, so it cannot break a line or a screen."""
    if text.isprintable():
        return text
    return "".join(" " if ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 else c for c in text)
