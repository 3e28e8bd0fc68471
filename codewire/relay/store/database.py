"""The relay's database: SQLite in a file of its own, or PostgreSQL; which one shows in `kind` only.

Whoever uses it hands in functions that get a transaction (tx.py). They may run in a native thread,
and on PostgreSQL more than once: they touch nothing but the transaction.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from codewire.credentials.vault import Vault
from codewire.errors import BadValue, CredentialError, StoreError, Unavailable
from codewire.relay.store.engines.engine import Engine
from codewire.relay.store.schema import migrate
from codewire.relay.store.sweeping import sweep
from codewire.relay.store.tx import T, Tx

__all__ = ["BadValue", "Database", "StoreError", "Tx", "Unavailable", "open_database"]

FILE_NAME = "relay.db"
SCHEMES = ("postgres://", "postgresql://")
# Nobody waits longer for a commit; a disk that takes that long is none.
WRITE_SECONDS = 30.0
# Sealed at the first start: whether a later one has the same secret key.
CHECK_NAME = "secret-key-check"


def open_database(url: str, data_dir: str, vault: Vault) -> Database:
    """Open the database at `url`, or `relay.db` in `data_dir` where it is "", and migrate it.

    Raises StoreError, ConfigError where an extra is missing.
    """
    if url and not url.startswith(SCHEMES):
        raise StoreError("--database-url must begin with postgres:// or postgresql://")
    database = Database(url, os.path.join(data_dir, FILE_NAME), vault)
    try:
        database.write(lambda tx: migrate(tx, database.types))
        database.write(lambda tx: _check_key(tx, vault))
    except BaseException:
        database.close()
        raise
    database.listen()
    return database


class Database:
    """An open database. Any greenlet or thread may call."""

    def __init__(self, url: str, path: str, vault: Vault) -> None:
        self.on_events: Callable[[str], None] = lambda network_id: None
        self._engine = self._open(url, path, vault)
        self.kind = self._engine.kind
        self.types = self._engine.types

    def _open(self, url: str, path: str, vault: Vault) -> Engine:
        if url:
            from codewire.relay.store.engines.postgresql import Postgres

            return Postgres(url, vault, self._tell)
        try:
            from codewire.relay.store.engines.sqlite import Sqlite
        except ImportError as error:
            raise StoreError(f"this Python has no SQLite ({error}): use --database-url") from error
        return Sqlite(path, vault, self._tell)

    def _tell(self, network_id: str) -> None:
        self.on_events(network_id)

    def read(self, fn: Callable[[Tx], T]) -> T:
        """Return `fn(tx)`, which reads one state of the data. Waits for no writer."""
        return self._engine.read(fn)

    def write(self, fn: Callable[[Tx], T], seconds: float = WRITE_SECONDS) -> T:
        """Return `fn(tx)` once what it wrote is on the disk.

        What it raises undoes what it wrote, and is raised here. Raises Unavailable, after
        `seconds` at the latest: it may be written later then.
        """
        return self._engine.write(fn, seconds)

    def time(self, tx: Tx) -> int:
        """Return what the database's clock says, in nanoseconds UTC."""
        row = tx.one(f"select {self._engine.time_sql}")
        return int(row[0]) * 1000 if row else 0

    def sweep(self, now: int) -> None:
        """Remove what is past. Every minute."""
        sweep(self.write, now)

    def backup(self, path: str) -> None:
        """Write a copy to the new file `path` (0600); the secret key is not in it.

        Raises StoreError, on PostgreSQL with the words that name pg_dump.
        """
        self._engine.backup(path)

    def listen(self) -> None:
        """Begin to call `on_events` for other relays' commits; "" stands for any network."""
        self._engine.listen()

    def close(self) -> None:
        """Finish the writes that wait, then end. Idempotent."""
        self._engine.close()


def _check_key(tx: Tx, vault: Vault) -> None:
    tx.run(
        "insert into secrets (name, data) values (?, ?) on conflict do nothing",
        CHECK_NAME,
        vault.seal(b"codewire", CHECK_NAME),
    )
    row = tx.one("select data from secrets where name = ?", CHECK_NAME)
    try:
        vault.open_sealed(bytes(row[0]) if row else b"", CHECK_NAME)
    except CredentialError as error:
        raise StoreError(
            f"{vault.path or 'the secret key'} is not the secret key this database was made with: "
            "give the right one by --secret-key-file"
        ) from error
