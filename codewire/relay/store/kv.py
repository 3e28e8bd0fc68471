"""Keys and values of a network. Names are compared as the bytes of their UTF-8."""

from __future__ import annotations

from dataclasses import dataclass

from codewire.relay.store.tx import Row, Tx

COLUMNS = "key, value, expires_at"
IS_ALIVE = "(expires_at is null or expires_at > ?)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One key; `expires_at` in nanoseconds, None for never."""

    key: str
    value: bytes
    expires_at: int | None


def put(
    tx: Tx,
    network_id: str,
    namespace: str,
    key: str,
    value: bytes,
    expires_at: int | None,
    now: int,
) -> None:
    """Have the key be this value."""
    tx.run(
        """
        insert into kv (network_id, namespace, key, value, expires_at, updated_at)
        values (?, ?, ?, ?, ?, ?)
        on conflict (network_id, namespace, key) do update set value = excluded.value,
            expires_at = excluded.expires_at, updated_at = excluded.updated_at
        """,
        network_id,
        _bytes(namespace),
        _bytes(key),
        value,
        expires_at,
        now,
    )


def get(tx: Tx, network_id: str, namespace: str, key: str, now: int) -> Entry | None:
    """Return a key's entry, None where there is none or it has expired."""
    row = tx.one(
        f"""
        select {COLUMNS} from kv
        where network_id = ? and namespace = ? and key = ? and {IS_ALIVE}
        """,
        network_id,
        _bytes(namespace),
        _bytes(key),
        now,
    )
    return _entry(row) if row else None


def delete(tx: Tx, network_id: str, namespace: str, key: str) -> bool:
    """Remove a key; False: there is none."""
    changed = tx.run(
        "delete from kv where network_id = ? and namespace = ? and key = ?",
        network_id,
        _bytes(namespace),
        _bytes(key),
    )
    return changed > 0


def list_of(tx: Tx, network_id: str, namespace: str, prefix: str, now: int) -> list[Entry]:
    """Return the entries whose keys begin with exactly these bytes, by key."""
    sql = f"select {COLUMNS} from kv where network_id = ? and namespace = ? and {IS_ALIVE}"
    args: list[object] = [network_id, _bytes(namespace), now, _bytes(prefix)]
    sql += " and key >= ?"
    end = _following(_bytes(prefix))
    if end is not None:
        sql += " and key < ?"
        args.append(end)
    return [_entry(row) for row in tx.all(f"{sql} order by key", *args)]


def _following(prefix: bytes) -> bytes | None:
    """Return the lowest bytes above all that begin with `prefix`; None where there are none."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _entry(row: Row) -> Entry:
    key, value, expires_at = row
    return Entry(bytes(key).decode("utf-8", "surrogatepass"), bytes(value), expires_at)
