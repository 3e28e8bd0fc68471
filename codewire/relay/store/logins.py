"""Programs that wait until somebody has confirmed their code in a browser (RFC 8628)."""

from __future__ import annotations

from dataclasses import dataclass

from codewire.credentials.tokens import token_hash
from codewire.relay.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Waiting:
    """One of them: who confirmed it ("" for nobody yet), or that it was denied."""

    user_code: str
    subject: str
    is_denied: bool


def begin(tx: Tx, device_code: str, user_code: str, expires_at: int) -> None:
    """Remember a program that begins to wait."""
    tx.run(
        """
        insert into logins (device_hash, user_code, subject, is_denied, expires_at)
        values (?, ?, '', 0, ?)
        """,
        token_hash(device_code),
        user_code,
        expires_at,
    )


def is_waiting(tx: Tx, user_code: str, now: int) -> bool:
    """Say whether a code waits to be confirmed."""
    sql = "select 1 from logins where user_code = ? and subject = '' and is_denied = 0"
    return tx.one(f"{sql} and expires_at > ?", user_code, now) is not None


def decide(tx: Tx, user_code: str, subject: str, now: int, *, is_denied: bool = False) -> bool:
    """Confirm a code in somebody's name, or deny it; False: none waits with it."""
    return (
        tx.run(
            """
            update logins set subject = ?, is_denied = ?
            where user_code = ? and subject = '' and is_denied = 0 and expires_at > ?
            """,
            "" if is_denied else subject,
            int(is_denied),
            user_code,
            now,
        )
        > 0
    )


def take(tx: Tx, device_code: str, now: int) -> Waiting | None:
    """Return how a program stands, None for nobody; one that is decided waits no more."""
    row = tx.one(
        """
        select user_code, subject, is_denied from logins
        where device_hash = ? and expires_at > ?
        """,
        token_hash(device_code),
        now,
    )
    if row is None:
        return None
    found = Waiting(str(row[0]), str(row[1]), bool(row[2]))
    if found.subject or found.is_denied:
        gone = tx.run("delete from logins where device_hash = ?", token_hash(device_code))
        # Another relay's answer came first.
        return found if gone else None
    return found
