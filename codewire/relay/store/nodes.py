"""Nodes, and the enrolments by which they come in. Tokens are kept as hashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from codewire.credentials.tokens import token_hash
from codewire.relay.store import networks
from codewire.relay.store.tx import Row, Tx

NODE_COLUMNS = (
    "network_id, name, owner_subject, authorized_by, enrollment_id, authorized_at, last_seen_at,"
    " peer_url, features"
)


@dataclass(frozen=True, slots=True)
class Node:
    """A registered node; `features` is what its last connection announced."""

    network_id: str
    name: str
    owner_subject: str
    authorized_by: str
    enrollment_id: str
    authorized_at: int
    last_seen_at: int
    peer_url: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Enrollment:
    """The right to register nodes, a number of times."""

    id: str
    network_id: str
    owner_subject: str
    issued_by: str
    node_name: str
    uses_remaining: int
    expires_at: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What came of an enrolment token.

    `outcome`: registered, invalid, name_required, name_mismatch or name_taken.
    """

    outcome: str
    node: Node | None = None
    enrollment_id: str = ""


def enroll(
    tx: Tx,
    network_id: str,
    *,
    node_name: str,
    owner_subject: str,
    issued_by: str,
    may_replace: bool,
    uses: int,
    expires_at: int,
    token: str,
    id: str,
    now: int,
) -> Enrollment:
    """Create an enrolment, and the network where it is not there yet."""
    networks.ensure(tx, network_id, now)
    tx.run(
        """
        insert into node_enrollments (id, network_id, token_hash, owner_subject, issued_by,
            node_name, may_replace, uses_remaining, expires_at, created_at)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        id,
        network_id,
        token_hash(token),
        owner_subject,
        issued_by,
        node_name,
        may_replace,
        uses,
        expires_at,
        now,
    )
    return Enrollment(id, network_id, owner_subject, issued_by, node_name, uses, expires_at, now)


def redeem(
    tx: Tx, token: str, *, node_name: str, peer_url: str, node_token: str, now: int
) -> Redeemed:
    """Register a node by an enrolment token; only what succeeds costs a use."""
    # The use is taken first: the row is locked by that, and of two who come at a time one waits.
    row = tx.one(
        """
        update node_enrollments set uses_remaining = uses_remaining - 1
        where token_hash = ? and uses_remaining > 0 and expires_at > ?
        returning id, network_id, owner_subject, issued_by, node_name, may_replace
        """,
        token_hash(token),
        now,
    )
    if row is None:
        return Redeemed("invalid")
    enrollment_id, network_id, owner, issued_by, bound_name, may_replace = row
    name = node_name or bound_name
    problem = "" if name else "name_required"
    if bound_name and name != bound_name:
        problem = "name_mismatch"
    if not problem and not register(
        tx,
        network_id,
        name,
        owner_subject=owner,
        authorized_by=issued_by,
        enrollment_id=enrollment_id,
        peer_url=peer_url,
        node_token=node_token,
        may_replace=bool(may_replace),
        now=now,
    ):
        problem = "name_taken"
    if problem:
        tx.run(
            "update node_enrollments set uses_remaining = uses_remaining + 1 where id = ?",
            enrollment_id,
        )
        return Redeemed(problem, None, enrollment_id)
    return Redeemed("registered", get(tx, network_id, name), enrollment_id)


def register(
    tx: Tx,
    network_id: str,
    name: str,
    *,
    owner_subject: str,
    authorized_by: str,
    enrollment_id: str,
    peer_url: str,
    node_token: str,
    may_replace: bool,
    now: int,
) -> bool:
    """Have the node be there, with this token and no other; False where the name is taken.

    A name is its owner's; a node without one is replaced only by who `may_replace`.
    """
    networks.ensure(tx, network_id, now)
    tx.lock("node", network_id, name)
    there = get(tx, network_id, name)
    is_owner = there is not None and there.owner_subject == owner_subject != ""
    if there is not None and not may_replace and not is_owner:
        return False
    tx.run(
        """
        insert into nodes (network_id, name, token_hash, owner_subject, authorized_by,
            enrollment_id, authorized_at, last_seen_at, peer_url)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?)
        on conflict (network_id, name) do update set token_hash = excluded.token_hash,
            owner_subject = excluded.owner_subject, authorized_by = excluded.authorized_by,
            enrollment_id = excluded.enrollment_id, last_seen_at = excluded.last_seen_at,
            peer_url = excluded.peer_url, features = ''
        """,
        network_id,
        name,
        token_hash(node_token),
        owner_subject,
        authorized_by,
        enrollment_id,
        now,
        now,
        peer_url,
    )
    return True


def by_token(tx: Tx, token: str) -> Node | None:
    """Return the node whose token this is."""
    row = tx.one(f"select {NODE_COLUMNS} from nodes where token_hash = ?", token_hash(token))
    return _node(row) if row else None


def get(tx: Tx, network_id: str, name: str) -> Node | None:
    """Return a node by its name."""
    row = tx.one(
        f"select {NODE_COLUMNS} from nodes where network_id = ? and name = ?", network_id, name
    )
    return _node(row) if row else None


def owned_by(tx: Tx, subject: str, name: str) -> list[Node]:
    """Return somebody's nodes of this name, in whatever networks."""
    rows = tx.all(
        f"select {NODE_COLUMNS} from nodes where owner_subject = ? and name = ?"
        " order by network_id",
        subject,
        name,
    )
    return [_node(row) for row in rows]


def list_of(tx: Tx, network_id: str) -> list[Node]:
    """Return a network's nodes by name."""
    rows = tx.all(
        f"select {NODE_COLUMNS} from nodes where network_id = ? order by name", network_id
    )
    return [_node(row) for row in rows]


def list_all(tx: Tx) -> list[Node]:
    """Return all nodes by network, then name."""
    rows = tx.all(f"select {NODE_COLUMNS} from nodes order by network_id, name")
    return [_node(row) for row in rows]


def revoke(tx: Tx, network_id: str, name: str) -> bool:
    """Remove a node; its token is worth nothing from then on. False: there is none."""
    sql = "delete from nodes where network_id = ? and name = ?"
    return tx.run(sql, network_id, name) > 0


def connected(
    tx: Tx, network_id: str, name: str, *, peer_url: str, features: tuple[str, ...], now: int
) -> None:
    """Note what a node said of itself when it connected."""
    tx.run(
        """
        update nodes set peer_url = ?, features = ?, last_seen_at = ?
        where network_id = ? and name = ?
        """,
        peer_url,
        ",".join(features),
        now,
        network_id,
        name,
    )


def touch(tx: Tx, seen: Iterable[tuple[str, str]], now: int) -> None:
    """Note that these nodes (network, name) were heard of."""
    # Sorted: two relays that touch the same rows in different orders would wait for each other.
    for network_id, name in sorted(seen):
        tx.run(
            "update nodes set last_seen_at = ? where network_id = ? and name = ?",
            now,
            network_id,
            name,
        )


def _node(row: Row) -> Node:
    values = list(row)
    values[-1] = tuple(str(row[-1]).split(",")) if row[-1] else ()
    return Node(*values)
