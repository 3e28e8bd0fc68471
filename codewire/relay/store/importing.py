"""Taking over the SQLite file of a Go relay (spec/relay.md 8): all of it or nothing.

Tokens that it keeps in clear become hashes, or are sealed; its signing keys move out of the KV
table, where every member could read them. What lives for minutes (logins under way) is left.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from codewire.credentials.encoding import decode
from codewire.credentials.signing import SEED_BYTES, SigningKey
from codewire.credentials.tokens import new_hex, token_hash
from codewire.errors import BadValue, StoreError
from codewire.relay.store import groups, invites, people, trust
from codewire.relay.store.database import Database
from codewire.relay.store.tx import Tx
from codewire.wire.timestamps import parse_timestamp

# Where a Go relay keeps a network's signing key.
ISSUER_NAMESPACE = "relay.networkauth"
ISSUER_KEY = "issuer.current"
# A large KV table on a slow disk.
IMPORT_SECONDS = 1800.0
# 2026-04-03 10:36:45.123456789 +0000 UTC m=+0.1
GO_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?) ?(Z|[+-]\d\d:?\d\d)?(?: [A-Z]+)?(?: m=.*)?"
)

GoRow = dict[str, Any]


def import_go(database: Database, path: str, now: int) -> dict[str, int]:
    """Copy a Go relay's file into an empty database; return how many rows of each table came.

    The file is only read. Raises StoreError, and nothing is changed then.
    """
    tables = _read_tables(path)
    if "networks" not in tables:
        raise StoreError(f"{path} is no database of a relay: it has no table networks")

    def take_over(tx: Tx) -> dict[str, int]:
        if tx.one("select 1 from networks limit 1"):
            raise StoreError("this relay has networks already: import into a new data directory")
        counts = {}
        for what, (table, take) in TAKERS.items():
            try:
                counts[what] = sum(take(tx, row, now) for row in tables.get(table, []))
            except (BadValue, ValueError, KeyError) as error:
                raise StoreError(f"{path}: table {table}: {error}") from error
        return counts

    return database.write(take_over, IMPORT_SECONDS)


# Reading the file


def _read_tables(path: str) -> dict[str, list[GoRow]]:
    try:
        if not os.path.isfile(path):
            raise StoreError(f"{path} is no file")
        connection = sqlite3.connect(f"file:{quote(os.path.abspath(path))}?mode=ro", uri=True)
        try:
            connection.text_factory = _decode_text
            return {table: list(_rows(connection, table)) for table in _tables(connection)}
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"reading {path}: {error}") from error


def _decode_text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    wanted = {table for table, _ in TAKERS.values()}
    return [name for (name,) in found if name in wanted]


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[GoRow]:
    cursor = connection.execute(f'select * from "{table}"')
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield dict(zip(names, row, strict=True))


def _text(row: GoRow, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value)


def _time(row: GoRow, name: str) -> int:
    """Return a time in nanoseconds, 0 where there is none."""
    value = row.get(name)
    if value is None or value == "":
        return 0
    match = GO_TIME.fullmatch(str(value))
    if match is None:
        raise ValueError(f"{name}: {str(value)[:60]!r} is no time")
    day, time, zone = match.groups()
    return parse_timestamp(f"{day}T{time}{zone or 'Z'}")


def _time_or_none(row: GoRow, name: str) -> int | None:
    return _time(row, name) or None


def _bytes(row: GoRow, name: str) -> bytes:
    value = row.get(name)
    return value.encode() if isinstance(value, str) else bytes(value or b"")


def _subject(row: GoRow, name: str) -> str:
    """Return a subject as the newer release writes it: platform users are user:ID."""
    subject = _text(row, name)
    return f"user:{subject[14:]}" if subject.startswith("oidc:platform:") else subject


# One function a table: it returns how many rows came of one


def _insert(tx: Tx, table: str, **values: object) -> int:
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    sql = f"insert into {table} ({columns}) values ({marks}) on conflict do nothing"
    return tx.run(sql, *values.values())


def _network(tx: Tx, row: GoRow, now: int) -> int:
    name = _text(row, "network_id")
    return _insert(tx, "networks", network_id=name, created_at=_time(row, "created_at"))


def _member(tx: Tx, row: GoRow, now: int) -> int:
    return _insert(
        tx,
        "network_members",
        network_id=_text(row, "network_id"),
        subject=_subject(row, "subject"),
        role=_text(row, "role"),
        created_at=_time(row, "created_at"),
        created_by=_subject(row, "created_by"),
    )


def _node(tx: Tx, row: GoRow, now: int) -> int:
    return _insert(
        tx,
        "nodes",
        network_id=_text(row, "network_id"),
        name=_text(row, "name"),
        # Without a token it cannot connect; its row stays, so that its name does.
        token_hash=token_hash(_text(row, "token") or new_hex()),
        owner_subject=_subject(row, "owner_subject"),
        authorized_by=_subject(row, "authorized_by"),
        enrollment_id=_text(row, "enrollment_id"),
        authorized_at=_time(row, "authorized_at"),
        last_seen_at=_time(row, "last_seen_at"),
        peer_url=_text(row, "peer_url"),
    )


def _enrollment(tx: Tx, row: GoRow, now: int) -> int:
    return _insert(
        tx,
        "node_enrollments",
        id=_text(row, "id"),
        network_id=_text(row, "network_id"),
        token_hash=_text(row, "token_hash"),
        owner_subject=_subject(row, "owner_subject"),
        issued_by=_subject(row, "issued_by"),
        node_name=_text(row, "node_name"),
        may_replace=0,
        uses_remaining=int(row.get("uses_remaining") or 0),
        expires_at=_time(row, "expires_at"),
        created_at=_time(row, "created_at"),
    )


def _invite(tx: Tx, row: GoRow, now: int) -> int:
    token, created_by = _text(row, "token"), row.get("created_by")
    return _insert(
        tx,
        "invites",
        token_hash=token_hash(token),
        network_id=_text(row, "network_id"),
        token=tx.vault.seal(token.encode(), invites.CONTEXT),
        created_by=created_by,
        created_by_subject=f"github:{created_by}" if created_by else "",
        uses_remaining=int(row.get("uses_remaining") or 0),
        expires_at=_time(row, "expires_at"),
        created_at=_time(row, "created_at"),
    )


def _group(tx: Tx, row: GoRow, now: int) -> int:
    return _insert(
        tx,
        "groups",
        network_id=_text(row, "network_id"),
        name=_text(row, "name"),
        created_at=_time(row, "created_at"),
        created_by=_subject(row, "created_by"),
        messages_policy=groups.DEFAULT_MESSAGES,
        debug_policy=groups.DEFAULT_DEBUG,
        updated_at=_time(row, "created_at"),
    )


def _policy(tx: Tx, row: GoRow, now: int) -> int:
    changed = groups.set_policy(
        tx,
        _text(row, "network_id"),
        _text(row, "group_name"),
        _text(row, "messages_policy") or groups.DEFAULT_MESSAGES,
        _text(row, "debug_policy") or groups.DEFAULT_DEBUG,
        _time(row, "updated_at"),
    )
    return int(changed is not None)


def _group_member(tx: Tx, row: GoRow, now: int) -> int:
    names = ("network_id", "group_name", "node_name", "session_name")
    values: dict[str, object] = {name: _text(row, name) for name in names}
    return _insert(tx, "group_members", **values, created_at=_time(row, "created_at"))


def _grant(tx: Tx, row: GoRow, now: int) -> int:
    return _insert(
        tx,
        "access_grants",
        id=_text(row, "id"),
        network_id=_text(row, "network_id"),
        target_node=_text(row, "target_node"),
        session_id=row.get("session_id"),
        session_name=_text(row, "session_name"),
        verbs=json.dumps(json.loads(_text(row, "verbs") or "[]") or []),
        audience_subject_kind=_text(row, "audience_subject_kind"),
        audience_subject_id=_subject(row, "audience_subject_id"),
        audience_display=_text(row, "audience_display"),
        issued_by=_subject(row, "issued_by"),
        created_at=_time(row, "created_at"),
        expires_at=_time(row, "expires_at"),
        revoked_at=_time_or_none(row, "revoked_at"),
    )


def _kv(tx: Tx, row: GoRow, now: int) -> int:
    if _text(row, "namespace") == ISSUER_NAMESPACE:
        return 0
    return _insert(
        tx,
        "kv",
        network_id=_text(row, "network_id"),
        namespace=_text(row, "namespace").encode(),
        key=_text(row, "key").encode(),
        value=_bytes(row, "value"),
        expires_at=_time_or_none(row, "expires_at"),
        updated_at=now,
    )


def _issuer(tx: Tx, row: GoRow, now: int) -> int:
    """Take over a network's signing key: what it signed stays good.

    Any member could write this entry; one that is no key any more is left, and a new one made at
    the first use.
    """
    if (_text(row, "namespace"), _text(row, "key")) != (ISSUER_NAMESPACE, ISSUER_KEY):
        return 0
    try:
        issuer = json.loads(_bytes(row, "value"))
        seed = decode(issuer["private_key"])[:SEED_BYTES]
        key = SigningKey(str(issuer["key_id"]), seed)
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0
    trust.add_seed(tx, _text(row, "network_id"), key, seed, signs_from=0, now=now)
    return 1


def _user(tx: Tx, row: GoRow, now: int) -> int:
    github_id = int(row["github_id"])
    return _person(tx, row, f"github:{github_id}", github_id, "")


def _oidc_user(tx: Tx, row: GoRow, now: int) -> int:
    sub = _text(row, "sub")
    return _person(tx, row, people.oidc_subject(sub), None, sub)


def _person(tx: Tx, row: GoRow, subject: str, github_id: int | None, sub: str) -> int:
    return _insert(
        tx,
        "people",
        subject=subject,
        github_id=github_id,
        sub=sub,
        username=_text(row, "username"),
        avatar_url=_text(row, "avatar_url"),
        created_at=_time(row, "created_at"),
        last_login_at=_time(row, "last_login_at"),
    )


def _session(tx: Tx, row: GoRow, now: int) -> int:
    return _login(tx, row, f"github:{row['github_id']}")


def _oidc_session(tx: Tx, row: GoRow, now: int) -> int:
    return _login(tx, row, people.oidc_subject(_text(row, "sub")))


def _login(tx: Tx, row: GoRow, subject: str) -> int:
    return _insert(
        tx,
        "sessions",
        token_hash=token_hash(_text(row, "token")),
        subject=subject,
        expires_at=_time(row, "expires_at"),
        created_at=_time(row, "created_at"),
    )


def _github_app(tx: Tx, row: GoRow, now: int) -> int:
    names = ("app_id", "client_id", "client_secret", "pem", "webhook_secret", "owner")
    people.github_app_put(tx, {name: row.get(name) for name in names})
    return 1


# What is counted, its table and who takes a row, in an order in which each finds what it refers to.
TAKERS: dict[str, tuple[str, Callable[[Tx, GoRow, int], int]]] = {
    "networks": ("networks", _network),
    "network_members": ("network_members", _member),
    "users": ("users", _user),
    "oidc_users": ("oidc_users", _oidc_user),
    "sessions": ("sessions", _session),
    "oidc_sessions": ("oidc_sessions", _oidc_session),
    "nodes": ("nodes", _node),
    "node_enrollments": ("node_enrollments", _enrollment),
    "invites": ("invites", _invite),
    "groups": ("groups", _group),
    "group_policies": ("group_policies", _policy),
    "group_members": ("group_members", _group_member),
    "access_grants": ("access_grants", _grant),
    "github_app": ("github_app", _github_app),
    "issuers": ("kv", _issuer),
    "kv": ("kv", _kv),
}
