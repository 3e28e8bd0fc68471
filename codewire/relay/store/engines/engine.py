"""What `Database` asks of either engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from codewire.relay.store.tx import T, Tx


class Engine(Protocol):
    """SQLite or PostgreSQL."""

    kind: str
    # How this database writes the column types of schema.py.
    types: dict[str, str]
    # An expression for the time of the database's host, in microseconds since 1970.
    time_sql: str

    def read(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` on one state of the data."""

    def write(self, fn: Callable[[Tx], T], seconds: float) -> T:
        """Run `fn` and return what it returned, once that is on the disk.

        Raises Unavailable after `seconds`.
        """

    def backup(self, path: str) -> None:
        """Write a copy of everything."""

    def listen(self) -> None:
        """Begin to hear of what other relays commit, where there may be any."""

    def close(self) -> None:
        """Finish what was asked for, then end."""
