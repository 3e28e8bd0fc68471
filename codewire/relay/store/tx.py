"""What a function of the store gets: a transaction. Knows neither database.

SQL is written once: `?` for arguments, no `%`, integers for times (nanoseconds UTC) and truths.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from codewire.credentials.vault import Vault
from codewire.errors import BadValue

T = TypeVar("T")

Row = tuple[Any, ...]
MAX_INTEGER = (1 << 63) - 1


class Tx(Protocol):
    """One transaction. What is read in it is of one moment, what is written is so as a whole."""

    vault: Vault

    def run(self, sql: str, *args: object) -> int:
        """Run a statement and return how many rows it changed."""

    def one(self, sql: str, *args: object) -> Row | None:
        """Return the first row, None for none."""

    def all(self, sql: str, *args: object) -> list[Row]:
        """Return all rows."""

    def lock(self, *what: str) -> None:
        """Keep others who lock the same out until this transaction ends.

        For "look, then write" on rows that may not be there yet. SQLite has one writer anyway.
        """

    def notify(self, network_id: str) -> None:
        """Have `Database.on_events` called with this once the transaction is committed."""


def checked(args: tuple[object, ...]) -> tuple[object, ...]:
    """Return arguments that both databases take alike. Raises BadValue."""
    return tuple(map(_checked, args))


def _checked(value: object) -> object:
    if isinstance(value, str):
        if "\0" in value or not _is_text(value):
            raise BadValue("a text with a NUL character or half a character cannot be stored")
    elif isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise BadValue("a number of more than 63 bits cannot be stored")
        # PostgreSQL tells truths from integers.
        return int(value)
    return value


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
