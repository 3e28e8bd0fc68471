"""People, keys and values, counts, places: the same on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.credentials.tokens import new_hex
from codewire.errors import BadValue
from codewire.relay.store import (
    kv,
    limits,
    networks,
    people,
    whereabouts,
)
from codewire.relay.store.database import Database
from tests.io.store.steps import (
    DAY,
    MINUTE,
    NOW,
    SECOND,
)

# People


def test_people_and_their_sessions(database: Database, network: str) -> None:
    name = f"user-{network}"
    number = abs(hash(network)) % 10**9
    database.write(lambda tx: people.upsert_github(tx, number, "old", "a", NOW))
    database.write(lambda tx: people.upsert_github(tx, number, name, "b", NOW))
    database.write(lambda tx: people.upsert_oidc(tx, f"platform:{network}", name, "c", NOW))
    found = database.read(lambda tx: people.principals(tx, name))
    assert [one.subject for one in found] == [f"github:{number}", f"user:{network}"]
    assert database.read(lambda tx: people.principals(tx, name.upper())) == []
    token = f"sess_{new_hex(16)}"
    database.write(
        lambda tx: people.session_create(
            tx, token, subject=f"github:{number}", expires_at=NOW + DAY, now=NOW
        )
    )
    login = database.read(lambda tx: people.session(tx, token, NOW))
    assert login == people.Login(f"github:{number}", number, "", name, "b", NOW + DAY)
    assert database.read(lambda tx: people.session(tx, token, NOW + DAY)) is None
    database.write(lambda tx: people.session_delete(tx, token))
    assert database.read(lambda tx: people.session(tx, token, NOW)) is None


@pytest.mark.parametrize(
    ("sub", "subject"),
    [("x", "oidc:x"), ("oidc:x", "oidc:x"), ("user:1", "user:1"), ("platform:1", "user:1")],
)
def test_subjects_of_a_provider(sub: str, subject: str) -> None:
    assert people.oidc_subject(sub) == subject


def test_a_login_state_is_taken_once(database: Database, network: str) -> None:
    database.write(lambda tx: people.state_put(tx, network, NOW + MINUTE, NOW))
    assert not database.write(lambda tx: people.state_take(tx, network, NOW + MINUTE))
    assert database.write(lambda tx: people.state_take(tx, network, NOW))
    assert not database.write(lambda tx: people.state_take(tx, network, NOW))


def test_a_device_that_waits(database: Database, network: str) -> None:
    poll = new_hex()
    database.write(
        lambda tx: people.device_put(
            tx, poll, device_code="code", network_id=network, node_name="d", expires_at=NOW + 1
        )
    )
    device = database.read(lambda tx: people.device_get(tx, poll, NOW))
    assert device == people.Device("code", network, "d", "", NOW + 1)
    database.write(lambda tx: people.device_finish(tx, poll, "node-token"))
    device = database.read(lambda tx: people.device_get(tx, poll, NOW))
    assert device is not None
    assert device.node_token == "node-token"
    assert database.read(lambda tx: people.device_get(tx, poll, NOW + 1)) is None


def test_sealed_values_and_keys(database: Database, network: str) -> None:
    assert database.read(lambda tx: people.secret_get(tx, network)) is None
    assert database.write(lambda tx: people.secret_put_if_absent(tx, network, b"1")) == b"1"
    assert database.write(lambda tx: people.secret_put_if_absent(tx, network, b"2")) == b"1"
    database.write(lambda tx: people.github_app_put(tx, {"pem": "x"}))
    assert database.read(people.github_app) == {"pem": "x"}
    print_a, print_b = f"SHA256:{network}-a", f"SHA256:{network}-b"
    assert database.write(lambda tx: people.key_add(tx, print_a, network, "key", "c", NOW))
    assert not database.write(lambda tx: people.key_add(tx, print_a, network, "key", "d", NOW))
    assert database.write(lambda tx: people.key_add(tx, print_a, f"x-{network}", "key", "c", NOW))
    database.write(lambda tx: people.key_add(tx, print_b, network, "key", "c", NOW + 1))
    owners = database.read(lambda tx: people.key_owners(tx, print_a))
    assert sorted(owners) == [network, f"x-{network}"]
    assert database.read(lambda tx: people.key_owners(tx, "none")) == []
    keys = database.read(lambda tx: people.keys_of(tx, network))
    assert [key.fingerprint for key in keys] == [print_a, print_b]
    assert not database.write(lambda tx: people.key_remove(tx, "other", print_a))
    assert database.write(lambda tx: people.key_remove(tx, network, print_a))


# KV, limits, whereabouts


def put(database: Database, network: str, key: str, value: bytes = b"v") -> None:
    database.write(lambda tx: kv.put(tx, network, "ns", key, value, None, NOW))


def test_a_value_is_what_was_put(database: Database, network: str) -> None:
    for value in (b"", b"\0\xff", bytes(1 << 20)):
        put(database, network, "k", value)
        entry = database.read(lambda tx: kv.get(tx, network, "ns", "k", NOW))
        assert entry == kv.Entry("k", value, None)
    assert database.read(lambda tx: kv.get(tx, network, "NS", "k", NOW)) is None
    assert database.read(lambda tx: kv.get(tx, "other", "ns", "k", NOW)) is None
    assert database.write(lambda tx: kv.delete(tx, network, "ns", "k"))
    assert not database.write(lambda tx: kv.delete(tx, network, "ns", "k"))


KEYS = ["a", "a%b", "a_b", "ab", "aB", "A", "a\0b", "a\U0010ffff", "b", "ä", "\ud800"]


@pytest.mark.parametrize("prefix", ["", "a", "a%", "a_", "A", "a\0", "a\U0010ffff", "ä", "z"])
def test_a_prefix_is_of_bytes(database: Database, network: str, prefix: str) -> None:
    for key in KEYS:
        put(database, network, key)
    found = database.read(lambda tx: kv.list_of(tx, network, "ns", prefix, NOW))
    ordered = sorted(KEYS, key=lambda key: key.encode("utf-8", "surrogatepass"))
    assert [entry.key for entry in found] == [key for key in ordered if key.startswith(prefix)]


def test_what_has_expired_is_not_there(database: Database, network: str) -> None:
    database.write(lambda tx: kv.put(tx, network, "ns", "k", b"v", NOW + 1, NOW))
    entry = database.read(lambda tx: kv.get(tx, network, "ns", "k", NOW))
    assert entry == kv.Entry("k", b"v", NOW + 1)
    assert database.read(lambda tx: kv.get(tx, network, "ns", "k", NOW + 1)) is None
    assert database.read(lambda tx: kv.list_of(tx, network, "ns", "", NOW + 1)) == []
    database.sweep(NOW + 1)
    assert not database.write(lambda tx: kv.delete(tx, network, "ns", "k"))


def test_counts_add_up(database: Database, network: str) -> None:
    key = (network, NOW)
    database.write(lambda tx: limits.add(tx, {key: 2, (network, NOW - MINUTE): 1}))
    database.write(lambda tx: limits.add(tx, {key: 3}))
    found = database.read(lambda tx: limits.load(tx, NOW))
    assert found[key] == 5
    assert (network, NOW - MINUTE) not in found


def test_the_newest_place_counts(database: Database, network: str) -> None:
    def claim(conn_id: str, now: int = NOW) -> whereabouts.Place | None:
        return database.write(
            lambda tx: whereabouts.claim(tx, network, "dev-1", "http://a", conn_id, now)
        )

    def find(now: int = NOW) -> str:
        place = database.read(lambda tx: whereabouts.find(tx, network, "dev-1", now))
        return place.conn_id if place else ""

    one, two, three = (f"{network}-{number}" for number in range(3))
    assert claim(one) is None
    replaced = claim(two)
    assert replaced == whereabouts.Place("http://a", one, NOW + 90 * SECOND)
    database.write(lambda tx: whereabouts.release(tx, [one]))
    assert find() == two
    assert find(NOW + 90 * SECOND) == ""
    database.write(lambda tx: whereabouts.renew(tx, [two, one], NOW + MINUTE))
    assert find(NOW + 90 * SECOND) == two
    database.write(lambda tx: whereabouts.release(tx, [two]))
    assert find() == ""
    assert claim(three, NOW + DAY) is None


# What no column holds


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", 1 << 63, -(1 << 64)])
def test_a_bad_value_is_told_apart(database: Database, network: str, bad: Any) -> None:
    with pytest.raises(BadValue):
        database.read(lambda tx: tx.one("select 1 from nodes where name = ?", bad))
    with pytest.raises(BadValue):
        database.write(lambda tx: tx.run("update nodes set last_seen_at = ?", bad))
    assert database.read(lambda tx: networks.exists(tx, network)) is False
