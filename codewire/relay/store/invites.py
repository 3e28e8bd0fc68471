"""Invites: looked up by a hash, and sealed, because their owner may see them again."""

from __future__ import annotations

from dataclasses import dataclass

from codewire.credentials.tokens import token_hash
from codewire.relay.store import networks
from codewire.relay.store.tx import Row, Tx

CONTEXT = "invites.token"
COLUMNS = (
    "network_id, token, created_by, created_by_subject, uses_remaining, expires_at, created_at"
)


@dataclass(frozen=True, slots=True)
class Invite:
    """One invite; `created_by` is a GitHub id where a GitHub user made it."""

    network_id: str
    token: str
    created_by: int | None
    created_by_subject: str
    uses_remaining: int
    expires_at: int
    created_at: int


def create(
    tx: Tx,
    network_id: str,
    *,
    token: str,
    created_by: int | None,
    created_by_subject: str,
    uses: int,
    expires_at: int,
    now: int,
) -> Invite:
    """Create an invite, and the network where it is not there yet."""
    networks.ensure(tx, network_id, now)
    tx.run(
        f"insert into invites (token_hash, {COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)",
        token_hash(token),
        network_id,
        tx.vault.seal(token.encode(), CONTEXT),
        created_by,
        created_by_subject,
        uses,
        expires_at,
        now,
    )
    return Invite(network_id, token, created_by, created_by_subject, uses, expires_at, now)


def list_of(tx: Tx, network_id: str, now: int) -> list[Invite]:
    """Return a network's invites that have not expired, oldest first."""
    rows = tx.all(
        f"""
        select {COLUMNS} from invites where network_id = ? and expires_at > ?
        order by created_at, token_hash
        """,
        network_id,
        now,
    )
    return [_invite(tx, row) for row in rows]


def use(tx: Tx, token: str, now: int) -> Invite | None:
    """Take one use of an invite, whose row goes with the last; None: invalid or expired."""
    if token != token.strip():
        return None
    row = tx.one(
        f"""
        update invites set uses_remaining = uses_remaining - 1
        where token_hash = ? and uses_remaining > 0 and expires_at > ? returning {COLUMNS}
        """,
        token_hash(token),
        now,
    )
    if row is None:
        return None
    invite = _invite(tx, row)
    if invite.uses_remaining == 0:
        tx.run("delete from invites where token_hash = ?", token_hash(token))
    return invite


def delete(tx: Tx, network_id: str, token: str) -> bool:
    """Remove an invite of this network; False: there is none."""
    sql = "delete from invites where network_id = ? and token_hash = ?"
    return tx.run(sql, network_id, token_hash(token)) > 0


def _invite(tx: Tx, row: Row) -> Invite:
    network_id, sealed, *rest = row
    return Invite(network_id, tx.vault.open_sealed(bytes(sealed), CONTEXT).decode(), *rest)
