"""Waiting for what a session's screen shows, shows no longer, or shows differently.

A screen is made when somebody asks for it, so this asks now and then. Full-screen programs move
text about without printing it again: their screen is what people wait for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.client.expect import LOOK_SECONDS, Match, find_shown
from codewire.errors import RequestError, WaitTimedOut
from codewire.wire.codes import NOT_RUNNING

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from codewire.io.deadline import Deadline

    Look = Callable[[], dict[str, Any]]


def wait_until_shown(look: Look, pattern: re.Pattern[str], ends: Deadline) -> Match:
    """Block until the screen shows what matches. Raises RequestError."""
    while True:
        screen = look()
        match = find_shown(screen, pattern)
        if match is not None:
            return match
        if _has_ended(screen):
            raise RequestError(f"session {screen.get('id')} ended without showing it", NOT_RUNNING)
        pause(ends)


def wait_until_gone(look: Look, pattern: re.Pattern[str], ends: Deadline) -> None:
    """Block until the screen shows nothing that matches. Raises RequestError."""
    while True:
        screen = look()
        if find_shown(screen, pattern) is None:
            return
        if _has_ended(screen):
            raise RequestError(f"session {screen.get('id')} ended and still shows it", NOT_RUNNING)
        pause(ends)


def wait_until_changed(look: Look, ends: Deadline) -> None:
    """Block until the screen is another than now. Raises RequestError."""
    first = look().get("screen_hash")
    while True:
        screen = look()
        if screen.get("screen_hash") != first:
            return
        if _has_ended(screen):
            raise RequestError(
                f"session {screen.get('id')} ended, its screen has not changed", NOT_RUNNING
            )
        pause(ends)


def _has_ended(screen: dict[str, Any]) -> bool:
    return screen.get("status") != "running"


def pause(ends: Deadline) -> None:
    """Wait until the next look. Raises RequestError when there is no time for one."""
    left = ends.left()
    if left is not None and left <= 0:
        raise WaitTimedOut("wait timed out")
    time.sleep(LOOK_SECONDS if left is None else min(LOOK_SECONDS, left))
