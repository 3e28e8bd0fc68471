"""Who sends: a session here, a session of another node, a person, or nobody.

Only a session of this node has an id and an inbox here; of all others only a name is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from codewire.session.session import Session

PERSON = "the user"


@dataclass(frozen=True, slots=True)
class Party:
    """One sender. `id` is 0 and `session` None where it is no session of this node.

    `groups` are those that another node's session is in; those of one here are looked up.
    """

    id: int = 0
    name: str = ""
    node: str = ""
    session: Session | None = None
    groups: frozenset[str] = frozenset()

    def shown(self) -> str:
        """Return the name others see, "" for none: `dev-1:planner` of a session elsewhere."""
        return f"{self.node}:{self.name}" if self.node else self.name

    def label(self) -> str:
        """Return what terminals call it; who is no session is the person at the machine."""
        return self.shown() or (f"session-{self.id}" if self.id else PERSON)

    def fields(self, kind: str) -> dict[str, Any]:
        """Return `from`, `from_name` (or `to`, `to_name`) as events carry them."""
        name = self.shown()
        return {kind: self.id, **({f"{kind}_name": name} if name else {})}


NOBODY = Party()


def here(session: Session) -> Party:
    """Return a session of this node."""
    return Party(session.id, session.record.name, session=session)


def elsewhere(node: str, name: str, groups: Iterable[str] = ()) -> Party:
    """Return a session of another node, by that node's name and its own (or its number)."""
    return Party(name=name, node=node, groups=frozenset(groups))


def person(name: str) -> Party:
    """Return somebody who writes from no session."""
    return Party(name=name)
