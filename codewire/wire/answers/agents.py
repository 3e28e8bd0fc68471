"""What a node says of agents: what they wait for, what was decided, how their state is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.wire.answers.reading import NOTHING_SENT, read, read_each


class Choice(NamedTuple):
    """One that a dialog offers."""

    number: int = 0
    label: str = ""
    sent: Mapping[str, Any] = NOTHING_SENT


class Approval(NamedTuple):
    """What an agent waits for; `choices` is empty where they are not recognised.

    `marked` is the number of the choice that Enter would take.
    """

    choices: tuple[Choice, ...] = ()
    id: str = ""
    session_id: int = 0
    session_name: str = ""
    kind: str = ""
    reason: str = ""
    text: str = ""
    since: str = ""
    marked: int | None = None
    sent: Mapping[str, Any] = NOTHING_SENT


def read_approvals(sent: Any) -> list[Approval]:
    """Return the approvals of a list. Raises ProtocolError."""
    return [
        read(Approval, one, choices=tuple(read_each(Choice, one.get("choices"))))
        for one in sent or ()
        if isinstance(one, dict)
    ]


class Approved(NamedTuple):
    """What was chosen in session `id`; `confirmed` if the dialog has been seen to go."""

    id: int = 0
    choice: int = 0
    label: str = ""
    confirmed: bool = False
    sent: Mapping[str, Any] = NOTHING_SENT


class Rule(NamedTuple):
    """What one rule says of a session, all "" where it does not apply."""

    rule: str = ""
    state: str = ""
    kind: str = ""
    text: str = ""
    sent: Mapping[str, Any] = NOTHING_SENT


class Explanation(NamedTuple):
    """A session's state and how it came to be: `rules` in their order, `report` by its agent."""

    rules: tuple[Rule, ...] = ()
    id: int = 0
    state: str = ""
    kind: str = ""
    since: str = ""
    reason: str = ""
    source: str = ""
    rule: str = ""
    program: str = ""
    report: Mapping[str, Any] = NOTHING_SENT
    title: str = ""
    quiet_seconds: float = 0.0
    bottom: tuple[str, ...] = ()
    sent: Mapping[str, Any] = NOTHING_SENT
