"""How a terminal is made to notify whoever sits at it."""

from __future__ import annotations

from codewire.client.attaching.link import Notice
from codewire.term.width import printable


def notification(notice: Notice) -> bytes:
    """Return what makes a terminal notify whoever sits at it: OSC 9 (iTerm2's) or 777 (urxvt's)."""
    title, body = (printable(text)[:200].replace(";", ",") for text in (notice.title, notice.body))
    if notice.form == "osc777":
        return f"\x1b]777;notify;{title};{body}\x07".encode("utf-8", "replace")
    # What begins with a digit would be ConEmu's.
    words = f"cw: {title}{': ' if body else ''}{body}"
    return f"\x1b]9;{words}\x07".encode("utf-8", "replace")
