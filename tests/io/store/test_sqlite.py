"""The file: who may read it, what is said of a bad one, killing, a stuck disk, backup, import."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from codewire.credentials.vault import Vault
from codewire.errors import ConfigError, StoreError, Unavailable
from codewire.relay.store import events, networks
from codewire.relay.store.database import Database, open_database
from tests.io.store.conftest import KEY
from tests.io.store.killed import ROOT, run
from tests.io.store.steps import NOW

HERE = Path(__file__).resolve().parent


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_file_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = open_database("", str(tmp_path), Vault.open(str(tmp_path / "secret.key")))
        database.write(lambda tx: networks.ensure(tx, "n", NOW))
        modes = {path.name: mode(path) for path in tmp_path.iterdir()}
        database.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("relay.db", "relay.db-wal", "relay.db-shm", "secret.key"), 0o600)


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "relay.db").touch(0o644)
    open_database("", str(tmp_path), Vault(KEY)).close()
    assert mode(tmp_path / "relay.db") == 0o600


def test_what_was_written_is_there_at_the_next_start(tmp_path: Path) -> None:
    for number in range(3):
        database = open_database("", str(tmp_path), Vault(KEY))
        database.write(lambda tx, n=number: networks.ensure(tx, f"n{n}", NOW))
        found = database.read(lambda tx: networks.list_for(tx, None, NOW))
        database.close()
    assert [one.network_id for one in found] == ["n0", "n1", "n2"]


def no_file(path: Path) -> None:
    os.mkfifo(path)


def no_database(path: Path) -> None:
    path.write_bytes(b"This is no database. " * 500)


def newer(path: Path) -> None:
    open_database("", str(path.parent), Vault(KEY)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("update schema_version set version = 1000")
    connection.close()


def other_key(path: Path) -> None:
    open_database("", str(path.parent), Vault(bytes(32))).close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_file, "no regular file"),
        (no_database, "file is not a database"),
        (newer, "of a newer relay.*upgrade codewire"),
        (other_key, "not the secret key this database was made with.*--secret-key-file"),
    ],
)
def test_a_bad_file_is_told_and_left_alone(tmp_path: Path, make: object, words: str) -> None:
    path = tmp_path / "relay.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(StoreError, match=words):
        open_database("", str(tmp_path), Vault(KEY))
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        open_database("", str(tmp_path / "none"), Vault(KEY))


def test_a_file_that_another_start_has_locked_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time-out of SQLite's own serves: it sees a deadlock where two enter WAL at a time."""
    other = sqlite3.connect(tmp_path / "relay.db", isolation_level=None)
    other.execute("begin exclusive")

    class Refused(sqlite3.Connection):
        """One that lets the file go once we have found it locked."""

        def execute(self, *args: Any) -> sqlite3.Cursor:
            try:
                return super().execute(*args)
            except sqlite3.OperationalError:
                other.execute("rollback")
                raise

    connect = partial(sqlite3.connect, factory=Refused)
    monkeypatch.setattr(sqlite3, "connect", lambda *a, timeout, **o: connect(*a, timeout=0, **o))
    open_database("", str(tmp_path), Vault(KEY)).close()
    assert not other.in_transaction
    other.close()


def test_starts_at_a_time_make_one_set_of_tables(tmp_path: Path) -> None:
    opened: list[Database] = []

    def start() -> None:
        opened.append(open_database("", str(tmp_path), Vault(KEY)))

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 6
    for database in opened:
        database.close()


def test_one_that_fails_undoes_its_own_part_alone(file_database: Database) -> None:
    errors: list[str] = []

    def write(number: int) -> None:
        def fn(tx: object) -> None:
            networks.ensure(tx, f"n{number}", NOW)
            if number % 2:
                raise LookupError(str(number))

        try:
            file_database.write(fn)
        except LookupError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(map(int, errors)) == list(range(1, 40, 2))
    found = file_database.read(lambda tx: networks.list_for(tx, None, NOW))
    assert sorted(int(one.network_id[1:]) for one in found) == list(range(0, 40, 2))


def test_a_full_disk_refuses_and_recovers(file_database: Database) -> None:
    writer = file_database._engine._writer
    (pages,) = writer.execute("pragma page_count").fetchone()
    writer.execute(f"pragma max_page_count = {pages}")
    insert = "insert into kv values ('n', ?, 'k', ?, null, 1)"
    with pytest.raises(Unavailable, match="full"):
        file_database.write(lambda tx: tx.run(insert, b"a", bytes(1 << 20)))
    assert file_database.read(lambda tx: tx.all("select * from kv")) == []
    writer.execute("pragma max_page_count = 1000000")
    assert file_database.write(lambda tx: tx.run(insert, b"b", bytes(1 << 20))) == 1


@pytest.mark.parametrize("replaces", [False, True])
def test_a_file_that_is_not_there_any_more_takes_no_write(
    file_database: Database, tmp_path: Path, replaces: bool
) -> None:
    path = tmp_path / "relay.db"
    path.unlink()
    if replaces:
        path.touch()
    with pytest.raises(StoreError, match="start it anew" if replaces else "No such file"):
        file_database.write(lambda tx: networks.ensure(tx, "n", NOW))


def test_who_is_told_of_events_and_fails_stops_nobody(file_database: Database) -> None:
    def fail(network_id: str) -> None:
        raise RuntimeError("deaf")

    file_database.on_events = fail
    for number in range(1, 4):
        append = file_database.write(lambda tx: events.append(tx, "net", "access", "x", {}, NOW))
        assert append == number


def test_a_read_sees_one_state_and_writes_nothing(file_database: Database) -> None:
    def look(tx: object) -> list[bool]:
        before = networks.exists(tx, "n")
        file_database.write(lambda other: networks.ensure(other, "n", NOW))
        return [before, networks.exists(tx, "n")]

    assert file_database.read(look) == [False, False]
    assert file_database.read(lambda tx: networks.exists(tx, "n"))
    with pytest.raises(Unavailable, match="readonly"):
        file_database.read(lambda tx: networks.ensure(tx, "m", NOW))


def test_an_end_waits_for_what_was_asked_and_takes_no_more(tmp_path: Path) -> None:
    database = open_database("", str(tmp_path), Vault(KEY))
    is_running, go_on = threading.Event(), threading.Event()

    def slow(tx: object) -> None:
        is_running.set()
        go_on.wait(20)
        networks.ensure(tx, "slow", NOW)

    threads = [threading.Thread(target=database.write, args=(slow,))]
    threads[0].start()
    assert is_running.wait(20)
    threads.append(threading.Thread(target=database.close))
    threads[1].start()
    while True:
        try:
            database.write(lambda tx: None)
        except Unavailable as error:
            assert "shutting down" in str(error)
            break
        finally:
            go_on.set()
    for thread in threads:
        thread.join(20)
    database.close()
    with pytest.raises(Unavailable, match="shutting down"):
        database.read(lambda tx: None)
    again = open_database("", str(tmp_path), Vault(KEY))
    assert again.read(lambda tx: networks.exists(tx, "slow"))
    again.close()


def test_a_backup_is_a_database_of_its_own(file_database: Database, tmp_path: Path) -> None:
    file_database.write(lambda tx: networks.ensure(tx, "n", NOW))
    (tmp_path / "copy").mkdir()
    path = tmp_path / "copy" / "relay.db"
    file_database.backup(str(path))
    assert mode(path) == 0o600
    file_database.write(lambda tx: networks.ensure(tx, "later", NOW))
    copy = open_database("", str(path.parent), Vault(KEY))
    found = copy.read(lambda tx: networks.list_for(tx, None, NOW))
    copy.close()
    assert [one.network_id for one in found] == ["n"]
    with pytest.raises(StoreError, match="File exists"):
        file_database.backup(str(path))
    with pytest.raises(StoreError, match="No such file"):
        file_database.backup(str(tmp_path / "none" / "x"))


def test_killing_it_loses_no_confirmed_write(tmp_path: Path) -> None:
    assert run(3, str(tmp_path)) > 100


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("shim") / "gate.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-o", path, HERE / "gate.c", "-ldl"], check=True
    )
    return str(path)


@pytest.mark.parametrize("runtime", ["gevent", "threads"])
def test_who_reads_does_not_wait_for_the_disk(shim: str, tmp_path: Path, runtime: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.io.store.stuck", runtime, str(tmp_path), shim],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": shim},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["read", "told", "written"], done.stderr


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigError, match=r"pip install 'codewire\[relay\]'"):
        Vault.open(str(tmp_path / "secret.key"))
    monkeypatch.setitem(sys.modules, "psycopg_pool", None)
    with pytest.raises(ConfigError, match=r"pip install 'codewire\[postgres\]'"):
        open_database("postgresql:///x", str(tmp_path), Vault.__new__(Vault))
