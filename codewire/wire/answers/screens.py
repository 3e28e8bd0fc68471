"""What a session's terminal shows, and what became of a text that was submitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.wire.answers.reading import NOTHING_SENT


class Cursor(NamedTuple):
    """Where the cursor is, from 0, and whether it is shown."""

    row: int = 0
    col: int = 0
    visible: bool = True
    sent: Mapping[str, Any] = NOTHING_SENT


class Screen(NamedTuple):
    """A screen: its lines, and up to as many that have scrolled off as were asked for.

    `offset` is the log offset it is made of, `screen_hash` changes when what is shown does; `state`
    is what its program does by that look: working, blocked or idle.
    """

    cursor: Cursor = Cursor()
    id: int = 0
    rows: int = 0
    cols: int = 0
    lines: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    title: str = ""
    alternate: bool = False
    screen_hash: str = ""
    offset: int | None = None
    status: str = ""
    state: str = ""
    sent: Mapping[str, Any] = NOTHING_SENT


class Submitted(NamedTuple):
    """What became of a text: `verdict` is submitted, typed (it is not known) or refused.

    `reason` says why it was refused, `screen_text` what stands there, `bytes` how many were typed.
    `repeated`: an earlier attempt had typed it. `uncertain`: some of it may be missing.
    """

    verdict: str = ""
    bytes: int = 0
    reason: str = ""
    screen_text: str = ""
    repeated: bool = False
    uncertain: bool = False
    continued: bool = False
    sent: Mapping[str, Any] = NOTHING_SENT
