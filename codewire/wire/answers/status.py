"""What a node says of one session in detail (spec/wire.md 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.wire.answers.reading import NOTHING_SENT
from codewire.wire.answers.sessions import SessionInfo


class SessionStatus(NamedTuple):
    """One session in detail. `output_size` is how many bytes it has printed, lost ones included."""

    info: SessionInfo
    output_size: int = 0
    sent: Mapping[str, Any] = NOTHING_SENT
