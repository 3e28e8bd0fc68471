"""What only PostgreSQL does: several relays on one, restarts of the server, deadlocks.

Run by test_elsewhere.py: one server for all of it.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.credentials.vault import Vault
from codewire.errors import BadValue, StoreError, Unavailable
from codewire.relay.store import events, invites, kv, networks, nodes, trust, whereabouts
from codewire.relay.store.database import Database, open_database
from codewire.relay.store.engines import postgresql
from tests.io.store.conftest import KEY
from tests.io.store.killed import ROOT
from tests.io.store.steps import NOW, at_once
from tests.postgres import Cluster

Relays = tuple[Database, Database]


@pytest.fixture(scope="module")
def opened(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relays]:
    url, directory = cluster.create_database(), str(tmp_path_factory.mktemp("relays"))
    first, second = (open_database(url, directory, Vault(KEY)) for _ in range(2))
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def relays(opened: Relays) -> Relays:
    """Two relays on one database, which is empty but for what every one has."""
    kept = ("schema_version", "secrets")

    def empty(tx: Any) -> None:
        tables = tx.all("select tablename from pg_tables where schemaname = 'public'")
        tx.run("truncate " + ", ".join(name for (name,) in tables if name not in kept))

    opened[0].write(empty)
    for database in opened:
        database.on_events = lambda network_id: None
    return opened


def append(database: Database, network: str) -> int:
    return database.write(lambda tx: events.append(tx, network, "access", "x", {}, NOW))


def listen(database: Database) -> Callable[[], str]:
    """Return what waits for the next network that the database tells of."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    database.on_events = heard.put
    return lambda: heard.get(timeout=20)


def test_one_relay_hears_what_another_commits(relays: Relays) -> None:
    a, b = relays
    hear = listen(b)
    # Until the other's listening has begun, which it tells by "".
    while append(a, "net") and hear() != "net":
        pass
    assert b.read(lambda tx: events.newest(tx, "net")) > 0


def test_two_relays_make_one_key_and_one_order(relays: Relays) -> None:
    turns = iter([*relays] * 12)
    lock = threading.Lock()

    def call() -> tuple[str, int]:
        with lock:
            database = next(turns)
        key = database.write(lambda tx: trust.current(tx, "net", NOW))
        return key.kid, append(database, "net")

    found = at_once(24, call)
    assert len({kid for kid, _ in found}) == 1
    assert sorted(seq for _, seq in found) == list(range(1, 25))


def overlapping(relays: Relays, call: Callable[[Any, str], Any]) -> list[Any]:
    """Return what two relays got whose transactions overlap: the second begins before the first
    is committed, and either waits for it or ends at once."""
    first, second = relays
    found: list[Any] = []
    other = threading.Thread(
        target=lambda: found.append(second.write(lambda tx: call(tx, "second")))
    )

    def outer(tx: Any) -> Any:
        result = call(tx, "first")
        other.start()
        while other.is_alive() and not tx.one("select 1 from pg_locks where not granted"):
            pass
        return result

    found.append(first.write(outer))
    other.join(20)
    return found


def claim(tx: Any, who: str) -> str:
    return networks.claim(tx, "net", who, NOW)


def sign(tx: Any, who: str) -> str:
    return trust.current(tx, "net", NOW).kid


def place(tx: Any, who: str) -> str:
    replaced = whereabouts.claim(tx, "net", "dev-1", "http://x", who, NOW)
    return replaced.conn_id if replaced else ""


def register(tx: Any, who: str) -> bool:
    return nodes.register(
        tx, "net", "dev-1", owner_subject=who, authorized_by=who, enrollment_id="", peer_url="",
        node_token=who, may_replace=False, now=NOW,
    )  # fmt: skip


def use(tx: Any, who: str) -> bool:
    return invites.use(tx, "CW-INV-1", NOW) is not None


def consume(tx: Any, who: str) -> bool:
    return trust.consume(tx, "runtime", "net", "rt_1", NOW, NOW)


@pytest.mark.parametrize(
    ("call", "expected"),
    [(claim, ["created", "taken"]), (place, ["", "first"]), (register, [False, True]),
     (use, [False, True]), (consume, [False, True])],
)  # fmt: skip
def test_of_two_at_a_time_one_comes_second(
    relays: Relays, call: Callable[[Any, str], Any], expected: list[Any]
) -> None:
    def prepare(tx: Any) -> None:
        networks.ensure(tx, "net", NOW)
        invites.create(
            tx, "net", token="CW-INV-1", created_by=None, created_by_subject="", uses=1,
            expires_at=NOW + 1, now=NOW,
        )  # fmt: skip

    relays[0].write(prepare)
    assert sorted(overlapping(relays, call)) == expected


def test_of_two_first_calls_at_a_time_one_makes_the_key(relays: Relays) -> None:
    first, second = overlapping(relays, sign)
    assert first == second


def test_two_relays_start_at_once_on_an_empty_database(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.create_database()
    opened = at_once(4, lambda: open_database(url, str(tmp_path), Vault(KEY)))
    for database in opened:
        database.close()


def test_a_deadlock_is_tried_again(relays: Relays) -> None:
    both_hold = threading.Barrier(2)
    tries: list[str] = []

    def cross(database: Database, first: str, second: str) -> None:
        def fn(tx: Any) -> None:
            tries.append(first)
            tx.lock(first)
            if tries.count(first) == 1:
                both_hold.wait(20)
            tx.lock(second)
            networks.ensure(tx, f"{first}{second}", NOW)

        database.write(fn)

    threads = [
        threading.Thread(target=cross, args=(relays[0], "a", "b")),
        threading.Thread(target=cross, args=(relays[1], "b", "a")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    found = relays[0].read(lambda tx: networks.list_for(tx, None, NOW))
    assert [one.network_id for one in found] == ["ab", "ba"]
    assert len(tries) == 3


def test_a_restart_of_the_server_is_survived_and_its_end_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster()
    database = None
    try:
        database = open_database(cluster.create_database(), str(tmp_path), Vault(KEY))
        at_once(4, lambda: database.read(lambda tx: networks.exists(tx, "n")))
        hear = listen(database)
        cluster.stop()
        cluster.start()
        for number in range(6):
            database.write(lambda tx, n=number: networks.ensure(tx, f"n{n}", NOW))
        assert len(database.read(lambda tx: networks.list_for(tx, None, NOW))) == 6
        # What other relays committed meanwhile is looked for once it listens again.
        assert hear() == ""
        cluster.stop()
        monkeypatch.setattr(postgresql, "POOL_SECONDS", 0.1)
        with pytest.raises(Unavailable):
            database.write(lambda tx: networks.ensure(tx, "n", NOW))
    finally:
        if database is not None:
            database.close()
        cluster.close()


def test_a_read_writes_nothing(relays: Relays) -> None:
    with pytest.raises(StoreError, match="read-only transaction"):
        relays[0].read(lambda tx: networks.ensure(tx, "n", NOW))


def test_what_fails_is_undone_and_raised(relays: Relays) -> None:
    def fn(tx: Any) -> None:
        networks.ensure(tx, "n", NOW)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        relays[0].write(fn)
    assert not relays[1].read(lambda tx: networks.exists(tx, "n"))


def test_a_name_that_no_index_takes_is_a_bad_value(relays: Relays) -> None:
    key = "".join(map(str, range(9000)))
    with pytest.raises(BadValue):
        relays[0].write(lambda tx: kv.put(tx, "net", "ns", key, b"", None, NOW))
    assert relays[0].read(lambda tx: kv.list_of(tx, "net", "ns", "", NOW)) == []


def test_who_is_told_of_events_and_fails_stops_nobody(relays: Relays) -> None:
    def fail(network_id: str) -> None:
        raise RuntimeError("deaf")

    relays[0].on_events = fail
    assert [append(relays[0], "net") for _ in range(3)] == [1, 2, 3]


def test_a_backup_names_pg_dump(relays: Relays, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="pg_dump"):
        relays[0].backup(str(tmp_path / "x"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://user:secret@/x?host=/tmp/none", "No such file|failed"),
        ("postgresql://user:secret@127.0.0.1:1/x", "refused"),
        ("postgresql://user:secret@[::1/x", "cannot be read"),
        ("mysql://user:secret@host/x", "must begin with postgres"),
    ],
)
def test_a_bad_url_is_told_without_its_password(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as caught:
        open_database(url, str(tmp_path), Vault(KEY))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


STUCK = """
from gevent import monkey
monkey.patch_all(select=False)
from codewire.credentials.vault import Vault
from codewire.errors import StoreError
from codewire.relay.store.database import open_database
try:
    open_database("postgresql:///x?host=/tmp/none", "/tmp", Vault(bytes(32)))
except StoreError as error:
    print(error)
"""


def test_waiting_that_would_stop_the_loop_is_found_at_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STUCK], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "psycopg would block the whole relay" in done.stdout, done.stderr


def test_another_key_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.create_database()
    open_database(url, str(tmp_path), Vault(KEY)).close()
    with pytest.raises(StoreError, match="not the secret key"):
        open_database(url, str(tmp_path), Vault(bytes(32)))
