"""What a node says of sessions that are started again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.wire.answers.reading import NOTHING_SENT


class Relaunched(NamedTuple):
    """A run that was started anew: its id, the run it goes on from, and what it runs."""

    id: int = 0
    relaunched_from: int = 0
    command: tuple[str, ...] = ()
    sent: Mapping[str, Any] = NOTHING_SENT


class Restorable(NamedTuple):
    """A session that ended with its node, and how it would come back.

    `command` as it was; `resume` with its conversation, named by `resume_by` (hook, argv, or
    printed: its program said so); `printed`, a command line that its program printed; `problem`,
    why it cannot come back.
    """

    id: int = 0
    name: str = ""
    working_dir: str = ""
    command: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()
    resume_by: str = ""
    printed: tuple[str, ...] = ()
    problem: str = ""
    sent: Mapping[str, Any] = NOTHING_SENT

    @property
    def label(self) -> str:
        """Return its id, with its name if it has one."""
        return f"{self.id} ({self.name})" if self.name else str(self.id)
