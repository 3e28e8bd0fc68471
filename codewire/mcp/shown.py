"""What a program that redraws its screen shows, and how to tell such a program.

Its log is no text to read: a spinner alone prints a page a second.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codewire.errors import OutOfTime, RequestError, UsageError
from codewire.wire.features import SCREEN

if TYPE_CHECKING:
    from codewire.mcp.calls import CallClient

# The end of the log is looked at for what moves the cursor about; a shell does so now and then.
SAMPLE_BYTES = 1 << 14
FEW_MOVES = 8
MOVES = re.compile(r"\x1b\[(?:\d*[AF]|\d*(?:;\d*)?[Hf])")
# Text that a carriage return has the next text written over.
OVERWRITTEN = re.compile(r"[^\r\n]*\r(?=[^\r\n])")
FACTS = ("rows", "cols", "cursor", "title", "alternate", "screen_hash", "status")


def look(client: CallClient, session_id: int, history_lines: int = 0) -> dict[str, Any] | None:
    """Return the screen of a session, None where there is none to be had (an older node)."""
    try:
        if not client.knows(SCREEN):
            return None
        return dict(client.screen(session_id, history_lines=history_lines or None).sent)
    except OutOfTime:
        raise
    except (RequestError, UsageError):
        return None


def redraws(client: CallClient, session_id: int, screen: dict[str, Any]) -> bool:
    """Say whether a program draws its screen anew again and again, instead of printing lines."""
    if screen.get("alternate"):
        return True
    end = screen.get("offset")
    if not isinstance(end, int):
        return False
    start = max(0, end - SAMPLE_BYTES)
    try:
        chunks = client.logs(
            session_id, from_offset=start, max_bytes=SAMPLE_BYTES, strip_ansi=False
        )
        text = "".join(chunk.text for chunk in chunks)
    except OutOfTime:
        raise
    except (RequestError, UsageError):
        return False
    return len(MOVES.findall(text)) >= FEW_MOVES


def without_redraws(text: str) -> str:
    """Return printed text without what was written over in the same line (a progress bar)."""
    return OVERWRITTEN.sub("", text) if "\r" in text else text


def facts_of(screen: dict[str, Any]) -> dict[str, Any]:
    """Return what else is known of a screen; `next_offset` is the log offset it is made of."""
    facts = {key: screen[key] for key in FACTS if screen.get(key) is not None}
    if screen.get("offset") is not None:
        facts["offset"] = facts["next_offset"] = screen["offset"]
    return facts
