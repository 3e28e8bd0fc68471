"""What a kill came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.wire.answers.reading import NOTHING_SENT


class Survivor(NamedTuple):
    """A process that outlives its session; `daemon` if it left the session by itself."""

    session_id: int = 0
    pid: int = 0
    command: str = ""
    daemon: bool = False
    sent: Mapping[str, Any] = NOTHING_SENT


class Killed(NamedTuple):
    """What a kill came to: of one session (`id`), or of `count`.

    `finished`: it had ended before. `tree`: daemons were ended, too.
    """

    survivors: tuple[Survivor, ...] = ()
    id: int = 0
    count: int = 0  # type: ignore[assignment]
    finished: bool = False
    tree: bool = False
    sent: Mapping[str, Any] = NOTHING_SENT
