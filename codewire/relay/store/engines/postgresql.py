"""PostgreSQL through psycopg 3 (extra `postgres`): each write is a transaction of its own.

Several relays may share one. What functions look at before they write is locked by `Tx.lock` or by
the row, so READ COMMITTED does; a deadlock, which PostgreSQL finds, is tried again. Waiting is
psycopg's, in Python: cooperative where `select` is patched.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from codewire.credentials.vault import Vault
from codewire.errors import BadValue, ConfigError, StoreError, Unavailable
from codewire.io.wait import spawn
from codewire.relay.store.tx import Row, T, Tx, checked

if TYPE_CHECKING:
    import psycopg
    import psycopg_pool

log = logging.getLogger(__name__)

# The whole server's connections are 100 by default, and several relays may share it.
MIN_CONNECTIONS = 2
MAX_CONNECTIONS = 20
CONNECT_SECONDS = 10
# libpq's parameters. Without them a connection that a firewall forgot is noticed after two hours,
# and until then a relay would not hear of another's events.
KEEPALIVE: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# How long who needs a connection waits for one.
POOL_SECONDS = 5.0
# The pool's pauses between attempts double; after this it begins anew at the next request, so that
# a server that was away for an hour is not waited for much longer than it takes.
RECONNECT_SECONDS = 5.0
# A statement that runs longer holds up everybody who needs its rows.
OPTIONS = (
    "-c statement_timeout=30s -c lock_timeout=15s -c idle_in_transaction_session_timeout=60s"
    " -c client_encoding=UTF8"
)
# serialization_failure, deadlock_detected
TRY_AGAIN = ("40001", "40P01")
MAX_TRIES = 5
# program_limit_exceeded: a name longer than an index takes (2704 bytes)
TOO_LONG = "54000"
CHANNEL = "codewire_events"
# NOTIFY takes 8000 bytes; an imported network may have a longer name.
MAX_NOTICE = 1000
# How soon the listener looks whether it is to end, and its longest pause after a failure.
LISTEN_SECONDS = 2.0
MAX_PAUSE_SECONDS = 30.0


class PostgresTx:
    """A transaction on one connection of the pool."""

    __slots__ = ("_connection", "notices", "vault")

    def __init__(self, connection: psycopg.Connection[Row], vault: Vault) -> None:
        self._connection = connection
        self.vault = vault
        self.notices: list[str] = []

    def run(self, sql: str, *args: object) -> int:
        return self._connection.execute(_translate_sql(sql), checked(args)).rowcount

    def one(self, sql: str, *args: object) -> Row | None:
        return self._connection.execute(_translate_sql(sql), checked(args)).fetchone()

    def all(self, sql: str, *args: object) -> list[Row]:
        return self._connection.execute(_translate_sql(sql), checked(args)).fetchall()

    def lock(self, *what: str) -> None:
        digest = hashlib.sha256("\0".join(what).encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection.execute("select pg_advisory_xact_lock(%s::bigint)", (key,))

    def notify(self, network_id: str) -> None:
        self.notices.append(network_id)
        payload = network_id if len(network_id.encode()) <= MAX_NOTICE else ""
        self._connection.execute("select pg_notify(%s, %s)", (CHANNEL, payload))


class Postgres:
    """The database at a URL. Any greenlet or thread may call."""

    kind = "postgresql"
    types = {
        "text": 'text collate "C"',
        "blob": "bytea",
        "serial": "bigint generated always as identity primary key",
    }
    time_sql = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"

    def __init__(self, url: str, vault: Vault, on_events: Callable[[str], None]) -> None:
        """Connect. Raises StoreError, ConfigError where psycopg is missing."""
        _require_psycopg()
        _check_url(url)
        self._url = url
        self._vault = vault
        self._on_events = on_events
        self._closing = threading.Event()
        # The pool tells only that it waited in vain; this tells why.
        with _translated():
            self._connect().close()
        self._pool = self._open_pool()

    def _open_pool(self) -> psycopg_pool.ConnectionPool[psycopg.Connection[Row]]:
        import psycopg_pool

        # It tells of every attempt, in several lines; who asks is told in one.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        return psycopg_pool.ConnectionPool(
            self._url,
            min_size=MIN_CONNECTIONS,
            max_size=MAX_CONNECTIONS,
            reconnect_timeout=RECONNECT_SECONDS,
            kwargs={"autocommit": True, "options": OPTIONS, **KEEPALIVE},
            open=True,
        )

    def _connect(self) -> psycopg.Connection[Row]:
        import psycopg

        return psycopg.connect(self._url, autocommit=True, options=OPTIONS, **KEEPALIVE)

    def read(self, fn: Callable[[Tx], T]) -> T:
        return self._perform(fn, "begin isolation level repeatable read read only")[0]

    def write(self, fn: Callable[[Tx], T], seconds: float) -> T:
        """Here `seconds` is the server's to keep: statement_timeout."""
        tries = 0
        while True:
            tries += 1
            try:
                result, notices = self._perform(fn, "begin")
                break
            except _Conflict as conflict:
                if tries >= MAX_TRIES:
                    raise Unavailable(f"PostgreSQL: {conflict}") from conflict
        for network_id in set(notices):
            self._tell(network_id)
        return result

    def _tell(self, network_id: str) -> None:
        try:
            self._on_events(network_id)
        except Exception:
            log.exception("telling of events in network %r failed", network_id)

    def _perform(self, fn: Callable[[Tx], T], begin: str) -> tuple[T, list[str]]:
        with _translated():
            connection = self._begin(begin)
            try:
                tx = PostgresTx(connection, self._vault)
                result = fn(tx)
                connection.execute("commit")
                return result, tx.notices
            except BaseException:
                if not connection.closed:
                    connection.execute("rollback")
                raise
            finally:
                self._pool.putconn(connection)

    def _begin(self, begin: str) -> psycopg.Connection[Row]:
        """Return a connection in a new transaction.

        Those that died with their server are found out here, where nothing is lost by it, and the
        next one is taken: the pool's own check would pause after each.
        """
        import psycopg

        deadline = time.monotonic() + POOL_SECONDS
        while True:
            connection = self._pool.getconn(max(0.0, deadline - time.monotonic()))
            try:
                connection.execute(begin)
                return connection
            except BaseException as error:
                self._pool.putconn(connection)
                if not isinstance(error, psycopg.OperationalError) or not connection.closed:
                    raise

    def backup(self, path: str) -> None:
        raise StoreError(
            "a backup of PostgreSQL is made with its own tools: pg_dump --format=custom "
            f"--file={path} DATABASE-URL"
        )

    def listen(self) -> None:
        spawn(self._listen)

    def _listen(self) -> None:
        """Hear of other relays' commits. After a gap all networks are looked at (the name "")."""
        pause = 1.0
        while not self._closing.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"listen {CHANNEL}")
                    self._tell("")
                    pause = 1.0
                    while not self._closing.is_set():
                        for notice in connection.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                            self._tell(notice.payload)
            except Exception as error:  # noqa: BLE001 - the server comes back
                if not self._closing.is_set():
                    log.warning("listening for events failed: %s", _one_line(error))
            self._closing.wait(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def close(self) -> None:
        self._closing.set()
        self._pool.close()


class _Conflict(Exception):
    """Another transaction was in the way: the same again may succeed."""


@lru_cache(maxsize=1000)
def _translate_sql(sql: str) -> Any:
    """Return SQL as psycopg takes it."""
    return sql.replace("?", "%s").encode()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn psycopg's errors into ours."""
    import psycopg
    import psycopg_pool

    try:
        yield
    except (psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed) as error:
        raise Unavailable(f"PostgreSQL does not answer: {_one_line(error)}") from error
    except psycopg.Error as error:
        if error.sqlstate in TRY_AGAIN:
            raise _Conflict(_one_line(error)) from error
        if error.sqlstate == TOO_LONG or isinstance(error, psycopg.DataError):
            raise BadValue(f"PostgreSQL cannot store this: {_one_line(error)}") from error
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            raise Unavailable(f"PostgreSQL: {_one_line(error)}") from error
        raise StoreError(f"PostgreSQL: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_url(url: str) -> None:
    """Raises StoreError, which does not repeat the URL: it may hold a password."""
    import psycopg.conninfo

    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise StoreError(
            "--database-url cannot be read: it is like postgresql://USER:PASSWORD@HOST:5432/NAME"
        ) from error


def _require_psycopg() -> None:
    try:
        import psycopg.waiting
        import psycopg_pool  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"a relay on PostgreSQL needs psycopg ({error}): pip install 'codewire[postgres]'"
        ) from error
    monkey = sys.modules.get("gevent.monkey")
    is_patched = monkey is not None and monkey.is_module_patched("socket")
    if is_patched and psycopg.waiting.wait is getattr(psycopg.waiting, "wait_c", None):
        # Its C loop would stop every greenlet while PostgreSQL thinks.
        raise StoreError("psycopg would block the whole relay: select must be patched before it")
