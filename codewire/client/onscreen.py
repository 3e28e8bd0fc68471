"""Waiting for what a session's screen shows, shows no longer, or shows differently.

A screen is made when somebody asks for it, so this asks now and then. Full-screen programs move
text about without printing it again: their screen is what people wait for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.client.expect import Match, Matcher
from codewire.client.reach.connection import field
from codewire.errors import RequestError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable

    from codewire.io.deadline import Deadline

    Look = Callable[[], dict[str, Any]]

# How often a screen is looked at.
LOOK_SECONDS = 0.25


def shown_lines(screen: dict[str, Any]) -> list[str]:
    """Return the lines on a screen, from a Screen answer."""
    empty: list[Any] = []
    return [line for line in field(screen, "lines", empty) if isinstance(line, str)]


def find_shown(
    screen: dict[str, Any], pattern: re.Pattern[str], typed: Iterable[str] = ()
) -> Match | None:
    """Return the line of a screen that matches and is no echo of a line that was typed."""
    matcher = Matcher(pattern, include_echo=False)
    for number, line in enumerate(typed):
        matcher.add_typed(number, line)
    # The newline ends what might yet become an echo.
    found = matcher.feed("\n".join(shown_lines(screen)) + "\n")
    return None if found is None else Match(found, screen.get("offset"))


def wait_until_shown(look: Look, pattern: re.Pattern[str], ends: Deadline) -> Match:
    """Block until the screen shows what matches. Raises RequestError."""
    while True:
        screen = look()
        match = find_shown(screen, pattern)
        if match is not None:
            return match
        if _has_ended(screen):
            raise RequestError(f"session {screen.get('id')} ended without showing it")
        pause(ends)


def wait_until_gone(look: Look, pattern: re.Pattern[str], ends: Deadline) -> None:
    """Block until the screen shows nothing that matches. Raises RequestError."""
    while True:
        screen = look()
        if find_shown(screen, pattern) is None:
            return
        if _has_ended(screen):
            raise RequestError(f"session {screen.get('id')} ended and still shows it")
        pause(ends)


def wait_until_changed(look: Look, ends: Deadline) -> None:
    """Block until the screen is another than now. Raises RequestError."""
    first = look().get("screen_hash")
    while True:
        screen = look()
        if screen.get("screen_hash") != first:
            return
        if _has_ended(screen):
            raise RequestError(f"session {screen.get('id')} ended, its screen has not changed")
        pause(ends)


def _has_ended(screen: dict[str, Any]) -> bool:
    return screen.get("status") != "running"


def pause(ends: Deadline) -> None:
    """Wait until the next look. Raises RequestError when there is no time for one."""
    left = ends.left()
    if left is not None and left <= 0:
        raise RequestError("wait timed out")
    time.sleep(LOOK_SECONDS if left is None else min(LOOK_SECONDS, left))
