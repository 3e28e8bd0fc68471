"""Messaging groups of one node: a tag `group:<name>` on a named session (spec/wire.md 14.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codewire.session.session import Session

PREFIX = "group:"


def groups_of(tags: Iterable[str]) -> frozenset[str]:
    """Return the names in `group:` tags, without the white space around them.

    >>> sorted(groups_of(["worker", " group: mesh ", "group:"]))
    ['mesh']
    """
    stripped = (tag.strip() for tag in tags)
    names = (tag[len(PREFIX) :].strip() for tag in stripped if tag.startswith(PREFIX))
    return frozenset(name for name in names if name)


def may_reach(recipient: Session, sender: Session | None) -> bool:
    """Say whether group policy lets `sender` (None: anonymous) write to `recipient`.

    Only a named session is a member of its groups, and members hear from members only; the
    sender's tags count whether it has a name or not.
    """
    if not recipient.record.name or not recipient.is_running():
        return True
    groups = groups_of(recipient.record.tags)
    if not groups:
        return True
    return sender is not None and not groups.isdisjoint(groups_of(sender.record.tags))
