"""Messaging groups: who may write to whom (spec/network-auth.md 6.3, spec/wire.md 14.6).

A session belongs to a group by its tag `group:<name>`, or because a relay says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from codewire.network.answers import Binding

if TYPE_CHECKING:
    from codewire.session.session import Session

PREFIX = "group:"
# What a relay has where nobody said otherwise; without one there is nothing else.
INTERNAL_ONLY, OPEN = "internal-only", "open"
OBSERVE_ONLY = "observe-only"
# The policy that nobody may look, whatever grant they have.
NONE = "none"


def groups_of(tags: Iterable[str]) -> frozenset[str]:
    """Return the names in `group:` tags, without the white space around them.

    >>> sorted(groups_of(["worker", " group: mesh ", "group:"]))
    ['mesh']
    """
    stripped = (tag.strip() for tag in tags)
    names = (tag[len(PREFIX) :].strip() for tag in stripped if tag.startswith(PREFIX))
    return frozenset(name for name in names if name)


def is_member(session: Session) -> bool:
    """Say whether a session can be in a group at all: only one that runs and has a name."""
    return bool(session.record.name) and session.is_running()


def bindings_by_tags(session: Session) -> tuple[Binding, ...]:
    """Return what a session's own tags bind it to."""
    if not is_member(session):
        return ()
    groups = sorted(groups_of(session.record.tags))
    return tuple(Binding(group, INTERNAL_ONLY, OBSERVE_ONLY) for group in groups)


def may_reach(bindings: Sequence[Binding], groups: frozenset[str]) -> bool:
    """Say whether a sender who is in `groups` may write to a session with these bindings.

    Members hear from members only, unless one of their groups is open.
    """
    if not bindings or any(binding.messages_policy == OPEN for binding in bindings):
        return True
    return not groups.isdisjoint(binding.group_name for binding in bindings)
