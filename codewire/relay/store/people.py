"""People who logged in, their sessions and SSH keys; and what a relay keeps sealed of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from codewire.credentials.tokens import token_hash
from codewire.relay.store.tx import Tx

DEVICE_CODE = "device_flows.device_code"
NODE_TOKEN = "device_flows.node_token"
GITHUB_APP = "github-app"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody a grant can be for."""

    subject: str
    display: str


@dataclass(frozen=True, slots=True)
class Login:
    """Whose session it is; `sub` as the OIDC provider names the person."""

    subject: str
    github_id: int | None
    sub: str
    username: str
    avatar_url: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Device:
    """A login on another device that a node waits for; `node_token` is "" until it came."""

    device_code: str
    network_id: str
    node_name: str
    node_token: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class SshKey:
    """One public key and whose it is."""

    fingerprint: str
    subject: str
    public_key: str
    comment: str
    created_at: int


def oidc_subject(sub: str) -> str:
    """Return the subject of an OIDC or platform user (spec/relay.md 2.2)."""
    if sub.startswith(("github:", "oidc:", "user:")):
        return sub
    return f"user:{sub[9:]}" if sub.startswith("platform:") else f"oidc:{sub}"


# Who logged in


def upsert_github(tx: Tx, github_id: int, username: str, avatar_url: str, now: int) -> None:
    """Keep what GitHub says of a user now."""
    _upsert(tx, f"github:{github_id}", github_id, "", username, avatar_url, now)


def upsert_oidc(tx: Tx, sub: str, username: str, avatar_url: str, now: int) -> None:
    """Keep what an OIDC provider says of a user now."""
    _upsert(tx, oidc_subject(sub), None, sub, username, avatar_url, now)


def upsert_admin(tx: Tx, now: int) -> str:
    """Have the admin be somebody who can have sessions; return the subject."""
    _upsert(tx, "admin", None, "", "admin", "", now)
    return "admin"


def _upsert(
    tx: Tx,
    subject: str,
    github_id: int | None,
    sub: str,
    username: str,
    avatar_url: str,
    now: int,
) -> None:
    tx.run(
        """
        insert into people (subject, github_id, sub, username, avatar_url, created_at,
            last_login_at)
        values (?, ?, ?, ?, ?, ?, ?)
        on conflict (subject) do update set username = excluded.username,
            avatar_url = excluded.avatar_url, last_login_at = excluded.last_login_at
        """,
        subject,
        github_id,
        sub,
        username,
        avatar_url,
        now,
        now,
    )


def principals(tx: Tx, name: str) -> list[Principal]:
    """Return everybody of exactly this user name."""
    rows = tx.all("select subject, username from people where username = ? order by subject", name)
    return [Principal(*row) for row in rows]


# Sessions


def session_create(tx: Tx, token: str, *, subject: str, expires_at: int, now: int) -> None:
    """Begin a session of somebody who was upserted."""
    tx.run(
        "insert into sessions (token_hash, subject, expires_at, created_at) values (?, ?, ?, ?)",
        token_hash(token),
        subject,
        expires_at,
        now,
    )


def session(tx: Tx, token: str, now: int) -> Login | None:
    """Return whose session a token is, None where it is none or has expired."""
    row = tx.one(
        """
        select people.subject, github_id, sub, username, avatar_url, expires_at
        from sessions join people on people.subject = sessions.subject
        where token_hash = ? and expires_at > ?
        """,
        token_hash(token),
        now,
    )
    return Login(*row) if row else None


def session_delete(tx: Tx, token: str) -> None:
    """End a session."""
    tx.run("delete from sessions where token_hash = ?", token_hash(token))


def state_put(tx: Tx, state: str, expires_at: int, now: int) -> None:
    """Remember the state of a login that was begun in a browser."""
    tx.run(
        "insert into oauth_state (state_hash, expires_at, created_at) values (?, ?, ?)",
        token_hash(state),
        expires_at,
        now,
    )


def state_take(tx: Tx, state: str, now: int) -> bool:
    """Use a state up; False: unknown, expired or used."""
    sql = "delete from oauth_state where state_hash = ? and expires_at > ?"
    return tx.run(sql, token_hash(state), now) > 0


# Logins on another device


def device_put(
    tx: Tx, poll_token: str, *, device_code: str, network_id: str, node_name: str, expires_at: int
) -> None:
    """Remember a login that a node waits for."""
    tx.run(
        """
        insert into device_flows (poll_hash, device_code, network_id, node_name, expires_at)
        values (?, ?, ?, ?, ?)
        """,
        token_hash(poll_token),
        tx.vault.seal(device_code.encode(), DEVICE_CODE),
        network_id,
        node_name,
        expires_at,
    )


def device_get(tx: Tx, poll_token: str, now: int) -> Device | None:
    """Return the login that this token polls for."""
    row = tx.one(
        """
        select device_code, network_id, node_name, node_token, expires_at from device_flows
        where poll_hash = ? and expires_at > ?
        """,
        token_hash(poll_token),
        now,
    )
    if row is None:
        return None
    device_code = tx.vault.open_sealed(bytes(row[0]), DEVICE_CODE).decode()
    node_token = tx.vault.open_sealed(bytes(row[3]), NODE_TOKEN).decode() if row[3] else ""
    return Device(device_code, row[1], row[2], node_token, row[4])


def device_finish(tx: Tx, poll_token: str, node_token: str) -> None:
    """Keep the token of the node, for a poll that is repeated."""
    tx.run(
        "update device_flows set node_token = ? where poll_hash = ?",
        tx.vault.seal(node_token.encode(), NODE_TOKEN),
        token_hash(poll_token),
    )


# Sealed values of the relay itself


def github_app_put(tx: Tx, app: dict[str, Any]) -> None:
    """Keep the GitHub app, sealed as a whole."""
    secret_put(tx, GITHUB_APP, json.dumps(app).encode())


def github_app(tx: Tx) -> dict[str, Any] | None:
    """Return the GitHub app, None where none was kept."""
    data = secret_get(tx, GITHUB_APP)
    found: dict[str, Any] | None = json.loads(data) if data is not None else None
    return found


def secret_get(tx: Tx, name: str) -> bytes | None:
    """Return what is sealed under a name."""
    row = tx.one("select data from secrets where name = ?", name)
    return tx.vault.open_sealed(bytes(row[0]), name) if row else None


def secret_put_if_absent(tx: Tx, name: str, data: bytes) -> bytes:
    """Seal `data` under a name unless there is something; return what is there then."""
    tx.run(
        "insert into secrets (name, data) values (?, ?) on conflict do nothing",
        name,
        tx.vault.seal(data, name),
    )
    return secret_get(tx, name) or b""


def secret_put(tx: Tx, name: str, data: bytes) -> None:
    """Seal `data` under a name, whatever was there."""
    tx.run(
        """
        insert into secrets (name, data) values (?, ?)
        on conflict (name) do update set data = excluded.data
        """,
        name,
        tx.vault.seal(data, name),
    )


# SSH keys


def key_add(
    tx: Tx, fingerprint: str, subject: str, public_key: str, comment: str, now: int
) -> bool:
    """Keep somebody's public key; False where they have it already."""
    changed = tx.run(
        """
        insert into ssh_keys (fingerprint, subject, public_key, comment, created_at)
        values (?, ?, ?, ?, ?) on conflict do nothing
        """,
        fingerprint,
        subject,
        public_key,
        comment,
        now,
    )
    return changed > 0


def key_owners(tx: Tx, fingerprint: str) -> list[str]:
    """Return whose key it is: nobody has shown more than that they know the public half."""
    rows = tx.all("select subject from ssh_keys where fingerprint = ?", fingerprint)
    return [str(row[0]) for row in rows]


def keys_of(tx: Tx, subject: str) -> list[SshKey]:
    """Return somebody's keys, oldest first."""
    rows = tx.all(
        """
        select fingerprint, subject, public_key, comment, created_at from ssh_keys
        where subject = ? order by created_at, fingerprint
        """,
        subject,
    )
    return [SshKey(*row) for row in rows]


def key_remove(tx: Tx, subject: str, fingerprint: str) -> bool:
    """Remove one of somebody's keys; False: there is none."""
    sql = "delete from ssh_keys where subject = ? and fingerprint = ?"
    return tx.run(sql, subject, fingerprint) > 0
