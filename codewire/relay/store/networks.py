"""Networks and who belongs to them."""

from __future__ import annotations

from dataclasses import dataclass

from codewire.relay.store.tx import Tx

OWNER = "owner"
MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Network:
    """One network; `invite_count` counts those that have not expired."""

    network_id: str
    created_at: int
    node_count: int
    invite_count: int


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who belongs to a network; `created_by` let them in."""

    subject: str
    role: str
    created_at: int
    created_by: str


def ensure(tx: Tx, network_id: str, now: int) -> None:
    """Have the network be there."""
    tx.run(
        "insert into networks (network_id, created_at) values (?, ?) on conflict do nothing",
        network_id,
        now,
    )


def exists(tx: Tx, network_id: str) -> bool:
    """Say whether the network is there."""
    return tx.one("select 1 from networks where network_id = ?", network_id) is not None


def claim(tx: Tx, network_id: str, subject: str, now: int, *, is_admin: bool = False) -> str:
    """Make the subject owner of a network without members.

    Returns "created" (also for one who belongs to it already, and for an admin), or "taken".
    """
    tx.lock("network", network_id)
    ensure(tx, network_id, now)
    members = tx.one("select count(*) from network_members where network_id = ?", network_id)
    if members and members[0] == 0:
        add_member(tx, network_id, subject, OWNER, subject, now)
        return "created"
    return "created" if is_admin or role(tx, network_id, subject) else "taken"


def list_for(tx: Tx, subject: str | None, now: int) -> list[Network]:
    """Return the subject's networks (None: all) by id."""
    args: list[object] = [now]
    chosen = ""
    if subject is not None:
        chosen = "where network_id in (select network_id from network_members where subject = ?)"
        args.append(subject)
    rows = tx.all(
        f"""
        select network_id, created_at,
            (select count(*) from nodes where nodes.network_id = networks.network_id),
            (select count(*) from invites where invites.network_id = networks.network_id
                and invites.expires_at > ?)
        from networks {chosen} order by network_id
        """,
        *args,
    )
    return [Network(*row) for row in rows]


def role(tx: Tx, network_id: str, subject: str) -> str:
    """Return what the subject is in the network, "" for nothing."""
    row = tx.one(
        "select role from network_members where network_id = ? and subject = ?", network_id, subject
    )
    return str(row[0]) if row else ""


def members(tx: Tx, network_id: str) -> list[Member]:
    """Return who belongs to the network, by subject."""
    rows = tx.all(
        """
        select subject, role, created_at, created_by from network_members
        where network_id = ? order by subject
        """,
        network_id,
    )
    return [Member(*row) for row in rows]


def remove_member(tx: Tx, network_id: str, subject: str) -> str:
    """Have the subject belong to the network no more: "removed", "unknown" or "last owner"."""
    tx.lock("network", network_id)
    found = role(tx, network_id, subject)
    if not found:
        return "unknown"
    owners = [member for member in members(tx, network_id) if member.role == OWNER]
    if found == OWNER and len(owners) == 1:
        return "last owner"
    tx.run("delete from network_members where network_id = ? and subject = ?", network_id, subject)
    return "removed"


def add_member(tx: Tx, network_id: str, subject: str, role: str, created_by: str, now: int) -> None:
    """Have the subject belong to the network; one who does keeps the role."""
    tx.run(
        """
        insert into network_members (network_id, subject, role, created_at, created_by)
        values (?, ?, ?, ?, ?) on conflict do nothing
        """,
        network_id,
        subject,
        role,
        now,
        created_by,
    )
