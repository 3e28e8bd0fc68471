"""Keys, grants, used tokens, events and reports: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codewire.credentials.claims import RuntimeClaims
from codewire.credentials.envelope import mint, verify_runtime
from codewire.relay.store import (
    events,
    sweeping,
    tasks,
    trust,
)
from codewire.relay.store.database import Database
from tests.io.store.steps import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    at_once,
    make_grant,
)

# Trust


def test_parallel_first_calls_make_one_key(database: Database, network: str) -> None:
    keys = at_once(24, lambda: database.write(lambda tx: trust.current(tx, network, NOW)))
    assert len({(key.kid, key.public_key) for key in keys}) == 1
    bundle = database.read(lambda tx: trust.bundle(tx, network, NOW))
    assert bundle is not None
    assert [key.key_id for key in bundle.keys] == [keys[0].kid]
    assert (bundle.issuer, bundle.expires_at) == (f"relay:{network}", NOW + 15 * MINUTE)


def test_before_the_first_key_there_is_no_bundle(database: Database, network: str) -> None:
    assert database.read(lambda tx: trust.bundle(tx, network, NOW)) is None
    assert database.read(lambda tx: trust.current_if_any(tx, network, NOW)) is None


def test_a_new_key_is_known_at_once_and_signs_16_minutes_later(
    database: Database, network: str
) -> None:
    old = database.write(lambda tx: trust.current(tx, network, NOW))
    new = database.write(lambda tx: trust.rotate(tx, network, NOW))
    change = NOW + 16 * MINUTE

    def signer(now: int) -> str:
        key = database.read(lambda tx: trust.current_if_any(tx, network, now))
        assert key is not None
        return key.kid

    def known(now: int) -> list[str]:
        bundle = database.read(lambda tx: trust.bundle(tx, network, now))
        return [key.key_id for key in bundle.keys] if bundle else []

    assert known(NOW) == [old.kid, new]
    assert [signer(now) for now in (NOW, change - 1, change)] == [old.kid, old.kid, new]
    # What the old key signed last lives for a day, and the verifiers' clocks differ by 30 s.
    end = change + DAY + 30 * SECOND
    assert known(end - 1) == [old.kid, new]
    assert known(end) == [new]
    # A clock that was set back finds a key all the same.
    assert signer(NOW - HOUR) == old.kid


def test_old_tokens_hold_through_rotations(database: Database, network: str) -> None:
    old = database.write(lambda tx: trust.current(tx, network, NOW))
    claims = RuntimeClaims(
        network_id=network, kid=old.kid, issued_at=NOW, expires_at=NOW + DAY, jti="rt_1",
        subject_kind="node", subject_id="dev-1",
    )  # fmt: skip
    token = mint(claims, old)
    database.write(lambda tx: trust.rotate(tx, network, NOW + MINUTE))
    database.write(lambda tx: trust.rotate(tx, network, NOW + 2 * MINUTE))
    later = NOW + DAY
    bundle = database.read(lambda tx: trust.bundle(tx, network, later))
    assert bundle is not None
    assert len(bundle.keys) == 3
    assert verify_runtime(token, bundle, later) == claims


def test_rotating_without_a_key_makes_the_first_which_signs(
    database: Database, network: str
) -> None:
    kid = database.write(lambda tx: trust.rotate(tx, network, NOW))
    assert database.write(lambda tx: trust.current(tx, network, NOW)).kid == kid


def test_grants_are_found_by_what_is_asked(database: Database, network: str) -> None:
    old = make_grant(network, "old", session_id=4294967295, session_name="")
    new = make_grant(network, "new", created_at=NOW + 1, target_node="dev-2")
    other = make_grant(network, "o", audience_subject_id="admin", expires_at=NOW, created_at=0)
    for one in (old, new, other):
        database.write(lambda tx, one=one: trust.add_grant(tx, one))

    def found(**filters: Any) -> list[trust.Grant]:
        return database.read(lambda tx: trust.grants(tx, network, NOW, **filters))

    assert found() == [new, old, other]
    assert found(target_node="dev-2") == [new]
    assert found(audience=("client", "admin")) == [other]
    assert found(is_active=True) == [new, old]
    assert found(is_active=False) == [other]
    assert database.read(lambda tx: trust.grant(tx, network, old.id)) == old
    assert database.read(lambda tx: trust.grant(tx, "other", old.id)) is None


def test_revoking_tells_once(database: Database, network: str) -> None:
    grant = make_grant(network, "g")
    database.write(lambda tx: trust.add_grant(tx, grant))
    heard: list[str] = []
    database.on_events = heard.append

    def revoke(now: int) -> trust.Grant | None:
        return database.write(lambda tx: trust.revoke_grant(tx, network, grant.id, "admin", now))

    first, second = revoke(NOW + 1), revoke(NOW + 2)
    assert first == second
    assert first is not None
    assert first.revoked_at == NOW + 1
    assert network in heard
    (event,) = database.read(lambda tx: events.after(tx, network, "access", 0, 10))
    assert (event.seq, event.type) == (1, "access.grant.revoked")
    assert json.loads(event.data) == {
        "seq": 1,
        "type": "access.grant.revoked",
        "network_id": network,
        "grant_id": grant.id,
        "revoked_at": "2026-04-03T10:00:00.000000001Z",
    }
    (audit,) = database.read(lambda tx: trust.audit_list(tx, network, 10))
    assert (audit.actor, audit.action, audit.target) == ("admin", event.type, grant.id)
    none = database.write(lambda tx: trust.revoke_grant(tx, network, "none", "admin", NOW))
    assert none is None


def test_a_token_is_used_once(database: Database, network: str) -> None:
    def consume(kind: str = "runtime", jti: str = "rt_1") -> bool:
        return database.write(lambda tx: trust.consume(tx, kind, network, jti, NOW + MINUTE, NOW))

    assert sorted(at_once(20, consume)) == [False] * 19 + [True]
    assert consume(kind="sender")
    assert consume(jti="rt_2")
    # Remembered for as long as a verifier's clock may be behind.
    database.sweep(NOW + MINUTE + 30 * SECOND)
    assert not consume()
    database.sweep(NOW + MINUTE + 31 * SECOND)
    assert consume()


def test_the_audit_log_is_newest_first(database: Database, network: str) -> None:
    for number in range(5):
        database.write(
            lambda tx, number=number: trust.audit(
                tx, network, "admin", "did", str(number), NOW, details="d"
            )
        )
    found = database.read(lambda tx: trust.audit_list(tx, network, 3))
    assert [one.target for one in found] == ["4", "3", "2"]
    assert found[0] == trust.Audit(network, NOW, "admin", "did", "4", "d")


# Events and tasks


def test_events_are_numbered_per_network_without_a_gap(database: Database, network: str) -> None:
    heard: list[str] = []
    database.on_events = heard.append

    def append() -> int:
        return database.write(
            lambda tx: events.append(tx, network, "access", "x", {"a": "\ud83d\0"}, NOW)
        )

    assert database.read(lambda tx: events.newest(tx, network)) == 0
    assert sorted(at_once(30, append)) == list(range(1, 31))
    found = database.read(lambda tx: events.after(tx, network, "access", 28, 10))
    assert [one.seq for one in found] == [29, 30]
    assert list(json.loads(found[0].data)) == ["seq", "type", "a"]
    assert database.read(lambda tx: events.newest(tx, network)) == 30
    assert database.read(lambda tx: events.after(tx, network, "tasks", 0, 10)) == []
    assert database.read(lambda tx: events.after(tx, network, "access", 10**30, 10)) == []
    assert len(database.read(lambda tx: events.after(tx, network, "access", 0, 7))) == 7
    assert network in heard


def test_an_event_that_is_undone_has_no_number(database: Database, network: str) -> None:
    heard: list[str] = []
    database.on_events = heard.append

    def fail(tx: Any) -> None:
        events.append(tx, network, "access", "x", {}, NOW)
        raise KeyError("undone")

    with pytest.raises(KeyError, match="undone"):
        database.write(fail)
    assert database.read(lambda tx: events.newest(tx, network)) == 0
    assert network not in heard


def test_retention_tells_what_it_removed(
    database: Database, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "EVENTS_KEPT", 10)

    def fill(tx: Any) -> None:
        for number in range(14):
            events.append(tx, network, "access", "x", {}, NOW + number)
        events.append(tx, network, "tasks", "x", {}, NOW)

    database.write(fill)
    database.sweep(NOW + HOUR)
    assert database.read(lambda tx: events.floor(tx, network, "access")) == 4
    assert database.read(lambda tx: events.floor(tx, network, "tasks")) == 0
    assert database.read(lambda tx: events.after(tx, network, "access", 0, 1))[0].seq == 5
    database.sweep(NOW + 7 * DAY + 6)
    assert database.read(lambda tx: events.floor(tx, network, "access")) == 7
    assert database.read(lambda tx: events.floor(tx, network, "tasks")) == 15
    database.sweep(NOW + 30 * DAY)
    assert database.read(lambda tx: events.after(tx, network, "access", 0, 10)) == []
    assert database.read(lambda tx: events.newest(tx, network)) == 15


def test_task_reports(database: Database, network: str) -> None:
    def report(event_id: str, session_id: int = 3, **other: Any) -> int | None:
        values = {"session_name": "", "summary": "s", "state": "working", "at": NOW, **other}
        return database.write(
            lambda tx: tasks.report(
                tx, network, "dev-1", event_id=event_id, session_id=session_id, now=NOW, **values
            )
        )

    assert report("e1") == 1
    assert report("e1") is None
    assert report("e2", state="complete", at=NOW + 1, session_name="planner") == 2
    assert report("e3", state="working", at=NOW - 1) == 3
    assert report("e4", 2, state="blocked") == 4
    latest = database.read(lambda tx: tasks.latest(tx, network))
    assert [(one.session_id, one.event_id) for one in latest] == [(2, "e4"), (3, "e2")]
    assert latest[1] == tasks.Task(
        "e2", 2, network, "dev-1", 3, "planner", "s", "complete", NOW + 1
    )
    for filters, ids in (
        ({"state": "blocked"}, ["e4"]),
        ({"session_id": 3}, ["e2"]),
        ({"node": "none"}, []),
        ({"node": "dev-1", "state": "complete", "session_id": 3}, ["e2"]),
    ):
        found = database.read(lambda tx, f=filters: tasks.latest(tx, network, **f))
        assert [one.event_id for one in found] == ids
    event = database.read(lambda tx: events.after(tx, network, "tasks", 1, 1))[0]
    assert json.loads(event.data) == {
        "seq": 2, "type": "task.report", "event_id": "e2", "network_id": network,
        "node_name": "dev-1", "session_id": 3, "session_name": "planner", "summary": "s",
        "state": "complete", "timestamp": "2026-04-03T10:00:00.000000001Z",
    }  # fmt: skip
