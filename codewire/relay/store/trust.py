"""A network's signing keys, its grants, the tokens that were used up, and the audit log."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

from codewire.credentials.bundle import (
    ALGORITHM,
    VERSION,
    Bundle,
    BundleKey,
    issuer_name,
)
from codewire.credentials.claims import BUNDLE_SECONDS, MAX_SECONDS, SKEW_SECONDS
from codewire.credentials.encoding import encode
from codewire.credentials.signing import SEED_BYTES, SigningKey
from codewire.credentials.tokens import new_id
from codewire.relay.store import events
from codewire.relay.store.tx import Row, Tx
from codewire.wire.timestamps import format_nanos

SECOND = 1_000_000_000
# A verifier keeps its bundle for 15 minutes: only then does every one know a new key.
ROTATION_NS = (BUNDLE_SECONDS + 60) * SECOND
# What a retired key signed last is good for so long.
KEPT_NS = (MAX_SECONDS + SKEW_SECONDS) * SECOND
SKEW_NS = SKEW_SECONDS * SECOND
SEED_CONTEXT = "issuers.seed"
REVOKED = "access.grant.revoked"
GRANT_COLUMNS = (
    "id, network_id, target_node, session_id, session_name, verbs, audience_subject_kind,"
    " audience_subject_id, audience_display, issued_by, created_at, expires_at, revoked_at"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """The record of an access grant; the token itself is not kept."""

    id: str
    network_id: str
    target_node: str
    session_id: int | None
    session_name: str
    verbs: tuple[str, ...]
    audience_subject_kind: str
    audience_subject_id: str
    audience_display: str
    issued_by: str
    created_at: int
    expires_at: int
    revoked_at: int | None


@dataclass(frozen=True, slots=True)
class Audit:
    """Who did what to whom, when (nanoseconds)."""

    network_id: str
    at: int
    actor: str
    action: str
    target: str
    details: str


# Keys


def current(tx: Tx, network_id: str, now: int) -> SigningKey:
    """Return the key that signs, in a writing transaction: the first one is made here."""
    key = current_if_any(tx, network_id, now)
    if key is None:
        tx.lock("issuer", network_id)
        key = current_if_any(tx, network_id, now)
    return key or _add_key(tx, network_id, now, now)


def current_if_any(tx: Tx, network_id: str, now: int) -> SigningKey | None:
    """Return the key that signs, None where there is none yet."""
    row = _signing_row(tx, network_id, now)
    if row is None:
        return None
    kid, sealed = row
    return SigningKey(str(kid), tx.vault.open_sealed(bytes(sealed), SEED_CONTEXT))


def _signing_row(tx: Tx, network_id: str, now: int) -> Row | None:
    """Return (kid, sealed seed) of the newest key that may sign; after a jump back, the oldest."""
    sql = "select kid, seed from issuers where network_id = ?"
    newest = f"{sql} and signs_from <= ? order by signs_from desc, kid limit 1"
    return tx.one(newest, network_id, now) or tx.one(
        f"{sql} order by signs_from, kid limit 1", network_id
    )


def _add_key(tx: Tx, network_id: str, signs_from: int, now: int) -> SigningKey:
    seed = secrets.token_bytes(SEED_BYTES)
    key = SigningKey(new_id("kid_"), seed)
    add_seed(tx, network_id, key, seed, signs_from, now)
    return key


def add_seed(
    tx: Tx, network_id: str, key: SigningKey, seed: bytes, signs_from: int, now: int
) -> None:
    """Store a key, its seed sealed."""
    tx.run(
        """
        insert into issuers (kid, network_id, seed, public_key, created_at, signs_from)
        values (?, ?, ?, ?, ?, ?)
        """,
        key.kid,
        network_id,
        tx.vault.seal(seed, SEED_CONTEXT),
        encode(key.public_key),
        now,
        signs_from,
    )


def bundle(tx: Tx, network_id: str, now: int) -> Bundle | None:
    """Return the keys whose tokens may still be good, newest last; None: none was ever made."""
    rows = tx.all(
        """
        select kid, public_key from issuers
        where network_id = ? and (retired_at is null or retired_at > ?)
        order by signs_from, kid
        """,
        network_id,
        now - KEPT_NS,
    )
    if not rows:
        return None
    keys = tuple(BundleKey(kid, ALGORITHM, public_key) for kid, public_key in rows)
    expires_at = now + BUNDLE_SECONDS * SECOND
    return Bundle(network_id, issuer_name(network_id), keys, VERSION, expires_at)


def rotate(tx: Tx, network_id: str, now: int) -> str:
    """Add a key that signs 16 minutes from now; the others are retired then. Return its name."""
    tx.lock("issuer", network_id)
    if _signing_row(tx, network_id, now) is None:
        return _add_key(tx, network_id, now, now).kid
    signs_from = now + ROTATION_NS
    tx.run(
        "update issuers set retired_at = ? where network_id = ? and retired_at is null",
        signs_from,
        network_id,
    )
    return _add_key(tx, network_id, signs_from, now).kid


# Grants


def add_grant(tx: Tx, grant: Grant) -> None:
    """Keep the record of a grant."""
    tx.run(
        f"""
        insert into access_grants ({GRANT_COLUMNS})
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        grant.id,
        grant.network_id,
        grant.target_node,
        grant.session_id,
        grant.session_name,
        json.dumps(grant.verbs),
        grant.audience_subject_kind,
        grant.audience_subject_id,
        grant.audience_display,
        grant.issued_by,
        grant.created_at,
        grant.expires_at,
        grant.revoked_at,
    )


def grant(tx: Tx, network_id: str, grant_id: str) -> Grant | None:
    """Return a grant of this network by its id."""
    row = tx.one(
        f"select {GRANT_COLUMNS} from access_grants where network_id = ? and id = ?",
        network_id,
        grant_id,
    )
    return _grant(row) if row else None


def grants(
    tx: Tx,
    network_id: str,
    now: int,
    *,
    target_node: str = "",
    audience: tuple[str, str] = ("", ""),
    is_active: bool | None = None,
) -> list[Grant]:
    """Return the grants that fit, newest first; `audience` is (kind, id)."""
    sql, args = f"select {GRANT_COLUMNS} from access_grants where network_id = ?", [network_id]
    if target_node:
        sql, args = f"{sql} and target_node = ?", [*args, target_node]
    if audience != ("", ""):
        sql += " and audience_subject_kind = ? and audience_subject_id = ?"
        args += audience
    rows = tx.all(f"{sql} order by created_at desc, id", *args)
    found = map(_grant, rows)
    return [one for one in found if is_active is None or is_active == _is_active(one, now)]


def revoked_at_node(tx: Tx, network_id: str, node: str, now: int, limit: int) -> list[Grant]:
    """Return the revoked grants for a node that have not expired, the last revoked first."""
    rows = tx.all(
        f"""
        select {GRANT_COLUMNS} from access_grants
        where network_id = ? and target_node = ? and revoked_at is not null and expires_at > ?
        order by revoked_at desc, id limit ?
        """,
        network_id,
        node,
        now - SKEW_NS,
        limit,
    )
    return [_grant(row) for row in rows]


def _is_active(grant: Grant, now: int) -> bool:
    return grant.revoked_at is None and grant.expires_at > now


def revoke_grant(tx: Tx, network_id: str, grant_id: str, actor: str, now: int) -> Grant | None:
    """Revoke a grant and tell of it, once; None: there is none."""
    changed = tx.run(
        """
        update access_grants set revoked_at = ?
        where network_id = ? and id = ? and revoked_at is null
        """,
        now,
        network_id,
        grant_id,
    )
    if changed:
        data = {
            "network_id": network_id,
            "grant_id": grant_id,
            "revoked_at": format_nanos(now),
        }
        events.append(tx, network_id, events.ACCESS, REVOKED, data, now)
        audit(tx, network_id, actor, REVOKED, grant_id, now)
    return grant(tx, network_id, grant_id)


def _grant(row: Row) -> Grant:
    values = list(row)
    values[5] = tuple(json.loads(values[5]))
    return Grant(*values)


# Tokens used up, and the audit log


def consume(tx: Tx, kind: str, network_id: str, jti: str, expires_at: int, now: int) -> bool:
    """Use a token up; False: it was used before."""
    changed = tx.run(
        """
        insert into used_jti (kind, network_id, jti, expires_at) values (?, ?, ?, ?)
        on conflict do nothing
        """,
        kind,
        network_id,
        jti,
        expires_at + SKEW_NS,
    )
    return changed > 0


def audit(
    tx: Tx, network_id: str, actor: str, action: str, target: str, now: int, details: str = ""
) -> None:
    """Note who did what."""
    tx.run(
        """
        insert into audit (network_id, at, actor, action, target, details)
        values (?, ?, ?, ?, ?, ?)
        """,
        network_id,
        now,
        actor,
        action,
        target,
        details,
    )


def audit_list(tx: Tx, network_id: str, limit: int) -> list[Audit]:
    """Return what was noted last, newest first."""
    rows = tx.all(
        """
        select network_id, at, actor, action, target, details from audit
        where network_id = ? order by id desc limit ?
        """,
        network_id,
        limit,
    )
    return [Audit(*row) for row in rows]
