"""Taking over a Go relay's database, of the shape spec/relay.md 8 describes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.credentials.encoding import encode
from codewire.credentials.signing import SigningKey
from codewire.credentials.vault import Vault
from codewire.errors import StoreError
from codewire.relay.store import groups, invites, kv, networks, nodes, people, trust
from codewire.relay.store.database import Database, open_database
from codewire.relay.store.importing import import_go
from tests.io.store.conftest import KEY, new_url
from tests.io.store.steps import HOUR, NOW

SEED = bytes(range(32))
KEY_PAIR = SigningKey("kid_test", SEED)
TIME = "2026-04-03 10:36:45.1234 +0000 UTC"
TIME_NS = 1_775_212_605_123_400_000
ISSUER = json.dumps(
    {
        "network_id": "proj", "issuer": "relay:proj", "key_id": "kid_test",
        "private_key": encode(SEED + KEY_PAIR.public_key), "public_key": "x",
        "created_at": "2026-04-03T10:00:00Z", "version": 1,
    }
).encode()  # fmt: skip

TABLES = {
    "networks": ("network_id, created_at", [("proj", TIME), ("a b/é", "2026-04-03 10:00:00Z")]),
    "network_members": (
        "network_id, subject, role, created_at, created_by",
        [("proj", "github:7", "owner", TIME, "github:7"),
         ("proj", "oidc:platform:9", "member", TIME, "CW-INV-x")],
    ),
    "groups": ("network_id, name, created_at, created_by", [("proj", "mesh", TIME, "admin")]),
    "group_policies": (
        "network_id, group_name, messages_policy, debug_policy, updated_at",
        [("proj", "mesh", "open", "none", TIME)],
    ),
    "group_members": (
        "network_id, group_name, node_name, session_name, created_at",
        [("proj", "mesh", "dev-1", "planner", TIME)],
    ),
    "nodes": (
        "network_id, name, token, owner_subject, authorized_by, enrollment_id, authorized_at,"
        " last_seen_at, github_id, peer_url",
        [("proj", "dev-1", "ab" * 32, "github:7", "github:7", "e", TIME, TIME, None, "wss://x"),
         ("proj", "old-1", "", "", "", "", TIME, TIME, None, ""),
         ("proj", "old-2", "", "", "", "", None, None, None, None)],
    ),
    "node_enrollments": (
        "id, network_id, owner_subject, issued_by, node_name, token_hash, uses_remaining,"
        " expires_at, created_at, redeemed_at",
        [("e1", "proj", "github:7", "github:7", "", hashlib.sha256(b"cw_enr_1").hexdigest(), 2,
          TIME, TIME, None)],
    ),
    "kv": (
        "network_id, namespace, key, value, expires_at",
        [("proj", "relay.networkauth", "issuer.current", ISSUER, None),
         ("proj", "ns", "k", b"\0\xff", None), ("proj", "ns", "t", b"v", TIME)],
    ),
    "github_app": (
        "id, app_id, client_id, client_secret, pem, webhook_secret, owner, created_at",
        [(1, 5, "c", "s", "PEM", "w", "o", TIME)],
    ),
    "users": (
        "github_id, username, avatar_url, created_at, last_login_at",
        [(7, "octocat", "http://a", TIME, TIME)],
    ),
    "sessions": ("token, github_id, created_at, expires_at", [("sess_1", 7, TIME, TIME)]),
    "oidc_users": (
        "sub, username, avatar_url, created_at, last_login_at",
        [("platform:9", "nine", "", TIME, TIME)],
    ),
    "oidc_sessions": ("token, sub, created_at, expires_at", [("sess_2", "platform:9", TIME, TIME)]),
    "invites": (
        "network_id, token, created_by, uses_remaining, expires_at, created_at",
        [("proj", "CW-INV-1", 7, 2, TIME, TIME), ("proj", "CW-INV-2", None, 1, TIME, TIME)],
    ),
    "access_grants": (
        "id, network_id, target_node, session_id, session_name, verbs, audience_subject_kind,"
        " audience_subject_id, audience_display, issued_by, created_at, expires_at, revoked_at",
        [("og_1", "proj", "dev-1", None, "planner", '["msg.read"]', "client", "github:7", "octocat",
          "admin", TIME, TIME, TIME)],
    ),
    "device_codes": ("code", [("unused",)]),
}  # fmt: skip


def go_database(path: Path, **other: tuple[str, list[tuple[object, ...]]]) -> str:
    connection = sqlite3.connect(path)
    for table, (columns, rows) in {**TABLES, **other}.items():
        connection.execute(f"create table {table} ({columns})")
        marks = ", ".join("?" * (columns.count(",") + 1))
        connection.executemany(f"insert into {table} values ({marks})", rows)
    connection.commit()
    connection.close()
    return str(path)


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    database = open_database(new_url(request), str(tmp_path), Vault(KEY))
    yield database
    database.close()


def test_everything_comes_over(empty: Database, tmp_path: Path) -> None:
    path = go_database(tmp_path / "go.db")
    counts = import_go(empty, path, NOW)
    expected = {table: len(rows) for table, (_, rows) in TABLES.items() if table != "device_codes"}
    # The signing key is no key of the KV table any more.
    assert counts == {**expected, "issuers": 1, "kv": 2}

    def look(tx: object) -> None:
        assert networks.role(tx, "proj", "github:7") == "owner"
        assert networks.role(tx, "proj", "user:9") == "member"
        node = nodes.by_token(tx, "ab" * 32)
        assert node is not None
        assert (node.name, node.last_seen_at, node.peer_url) == ("dev-1", TIME_NS, "wss://x")
        assert nodes.by_token(tx, "") is None
        assert [one.name for one in nodes.list_of(tx, "proj")] == ["dev-1", "old-1", "old-2"]
        policy = groups.list_of(tx, "proj")[0].policy
        assert (policy.messages_policy, policy.debug_policy) == ("open", "none")
        assert groups.groups_of(tx, "proj", "dev-1", "planner") == ("mesh",)
        assert kv.get(tx, "proj", "ns", "k", NOW) == kv.Entry("k", b"\0\xff", None)
        assert kv.get(tx, "proj", "ns", "t", NOW) == kv.Entry("t", b"v", TIME_NS)
        assert kv.list_of(tx, "proj", "relay.networkauth", "", NOW) == []
        key = trust.current_if_any(tx, "proj", NOW)
        assert key is not None
        assert (key.kid, key.public_key) == ("kid_test", KEY_PAIR.public_key)
        grant = trust.grant(tx, "proj", "og_1")
        assert grant is not None
        assert (grant.verbs, grant.session_id, grant.revoked_at) == (("msg.read",), None, TIME_NS)
        login = people.session(tx, "sess_1", NOW)
        assert login is not None
        assert (login.github_id, login.username) == (7, "octocat")
        other = people.session(tx, "sess_2", NOW)
        assert other is not None
        assert (other.subject, other.sub) == ("user:9", "platform:9")
        one, two = invites.list_of(tx, "proj", NOW)
        assert (one.token, one.created_by, one.created_by_subject) == ("CW-INV-1", 7, "github:7")
        assert (two.token, two.created_by) == ("CW-INV-2", None)
        app = people.github_app(tx)
        assert app is not None
        assert app["client_secret"] == "s"

    empty.read(look)
    redeemed = empty.write(
        lambda tx: nodes.redeem(
            tx, "cw_enr_1", node_name="dev-2", peer_url="", node_token="n", now=NOW - HOUR
        )
    )
    assert redeemed.outcome == "registered"
    with pytest.raises(StoreError, match="has networks already"):
        import_go(empty, path, NOW)


def test_the_go_file_is_only_read(file_database: Database, tmp_path: Path) -> None:
    path = tmp_path / "go ?#%.db"
    go_database(path)
    before = path.read_bytes()
    import_go(file_database, str(path), NOW)
    assert path.read_bytes() == before


def test_a_bad_row_is_named_and_nothing_is_taken(file_database: Database, tmp_path: Path) -> None:
    bad = ("network_id, created_at", [("good", TIME), ("bad", "yesterday")])
    path = go_database(tmp_path / "go.db", networks=bad)
    with pytest.raises(StoreError, match="table networks: created_at: 'yesterday' is no time"):
        import_go(file_database, path, NOW)
    assert file_database.read(lambda tx: networks.list_for(tx, None, NOW)) == []


@pytest.mark.parametrize("value", [b"", b"[]", b'{"key_id":"k"}', b'{"private_key":"AA"}'])
def test_a_signing_key_that_is_none_is_left(
    file_database: Database, tmp_path: Path, value: bytes
) -> None:
    columns = "network_id, namespace, key, value, expires_at"
    rows = [("proj", "relay.networkauth", "issuer.current", value, None)]
    counts = import_go(file_database, go_database(tmp_path / "go.db", kv=(columns, rows)), NOW)
    assert (counts["issuers"], counts["kv"]) == (0, 0)
    assert file_database.write(lambda tx: trust.current(tx, "proj", NOW)).kid != "kid_test"


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "is no file"), (b"", "is no database of a relay"), (b"x" * 5000, "reading .*go.db")],
)
def test_what_is_no_relay_is_told(
    file_database: Database, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "go.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=words):
        import_go(file_database, str(path), NOW)
