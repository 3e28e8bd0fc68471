"""Groups of sessions that may message each other, their members and policies."""

from __future__ import annotations

from dataclasses import dataclass

from codewire.relay.store import networks
from codewire.relay.store.tx import Row, Tx

DEFAULT_MESSAGES = "internal-only"
DEFAULT_DEBUG = "observe-only"
GROUP_COLUMNS = (
    "network_id, name, created_at, created_by, messages_policy, debug_policy, updated_at"
)
MEMBER_COLUMNS = "network_id, group_name, node_name, session_name, created_at"


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may message the group's sessions, and who may look."""

    network_id: str
    group_name: str
    messages_policy: str
    debug_policy: str
    updated_at: int


@dataclass(frozen=True, slots=True)
class Group:
    """One group; `created_by` is a subject."""

    network_id: str
    name: str
    created_at: int
    created_by: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class Member:
    """A session of a node, by its name."""

    network_id: str
    group_name: str
    node_name: str
    session_name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Binding:
    """What one group says of a session that belongs to it."""

    group_name: str
    messages_policy: str
    debug_policy: str


def create(tx: Tx, network_id: str, name: str, created_by: str, now: int) -> Group | None:
    """Create a group with the default policy; None where the name is taken."""
    networks.ensure(tx, network_id, now)
    row = tx.one(
        f"""
        insert into groups ({GROUP_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)
        on conflict do nothing returning {GROUP_COLUMNS}
        """,
        network_id,
        name,
        now,
        created_by,
        DEFAULT_MESSAGES,
        DEFAULT_DEBUG,
        now,
    )
    return _group(row) if row else None


def delete(tx: Tx, network_id: str, name: str) -> bool:
    """Remove a group and its members; False: there is none."""
    # The group first: who adds a member at the same time waits, and then finds no group.
    if not tx.run("delete from groups where network_id = ? and name = ?", network_id, name):
        return False
    tx.run("delete from group_members where network_id = ? and group_name = ?", network_id, name)
    return True


def get(tx: Tx, network_id: str, name: str) -> Group | None:
    """Return a group by its name."""
    row = tx.one(
        f"select {GROUP_COLUMNS} from groups where network_id = ? and name = ?", network_id, name
    )
    return _group(row) if row else None


def list_of(tx: Tx, network_id: str) -> list[Group]:
    """Return a network's groups by name."""
    rows = tx.all(
        f"select {GROUP_COLUMNS} from groups where network_id = ? order by name", network_id
    )
    return [_group(row) for row in rows]


def members(tx: Tx, network_id: str, name: str) -> list[Member]:
    """Return a group's members by node, then session."""
    rows = tx.all(
        f"""
        select {MEMBER_COLUMNS} from group_members where network_id = ? and group_name = ?
        order by node_name, session_name
        """,
        network_id,
        name,
    )
    return [Member(*row) for row in rows]


def add(
    tx: Tx, network_id: str, name: str, node_name: str, session_name: str, now: int
) -> Member | None:
    """Have a session belong to a group; one that does stays as it is. None: no such group."""
    # The update changes nothing; it keeps the group from going until the member is in.
    held = "update groups set name = name where network_id = ? and name = ?"
    if not tx.run(held, network_id, name):
        return None
    row = tx.one(
        f"""
        insert into group_members ({MEMBER_COLUMNS}) values (?, ?, ?, ?, ?)
        on conflict (network_id, group_name, node_name, session_name)
            do update set created_at = group_members.created_at
        returning {MEMBER_COLUMNS}
        """,
        network_id,
        name,
        node_name,
        session_name,
        now,
    )
    return Member(*row) if row else None


def remove(tx: Tx, network_id: str, name: str, node_name: str, session_name: str) -> bool:
    """Have a session leave a group; False: it is not in it."""
    changed = tx.run(
        """
        delete from group_members
        where network_id = ? and group_name = ? and node_name = ? and session_name = ?
        """,
        network_id,
        name,
        node_name,
        session_name,
    )
    return changed > 0


def set_policy(
    tx: Tx, network_id: str, name: str, messages_policy: str, debug_policy: str, now: int
) -> Policy | None:
    """Replace a group's policy; None: no such group."""
    row = tx.one(
        f"""
        update groups set messages_policy = ?, debug_policy = ?, updated_at = ?
        where network_id = ? and name = ? returning {GROUP_COLUMNS}
        """,
        messages_policy,
        debug_policy,
        now,
        network_id,
        name,
    )
    return _group(row).policy if row else None


def bindings(tx: Tx, network_id: str, node_name: str, session_name: str) -> list[Binding]:
    """Return what a session's groups say of it, by group name."""
    rows = tx.all(
        """
        select groups.name, groups.messages_policy, groups.debug_policy
        from group_members join groups
            on groups.network_id = group_members.network_id
            and groups.name = group_members.group_name
        where group_members.network_id = ? and node_name = ? and session_name = ?
        order by groups.name
        """,
        network_id,
        node_name,
        session_name,
    )
    return [Binding(*row) for row in rows]


def groups_of(tx: Tx, network_id: str, node_name: str, session_name: str) -> tuple[str, ...]:
    """Return the names of a session's groups."""
    found = bindings(tx, network_id, node_name, session_name)
    return tuple(binding.group_name for binding in found)


def _group(row: Row) -> Group:
    network_id, name, created_at, created_by, messages_policy, debug_policy, updated_at = row
    policy = Policy(network_id, name, messages_policy, debug_policy, updated_at)
    return Group(network_id, name, created_at, created_by, policy)
