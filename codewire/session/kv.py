"""The node's keys and values: namespaces, expiry, all of it in memory and in kv.jsonl.

Semantics: spec/wire.md 15. Each change is one journal line, written before it is confirmed.
"""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

from codewire.errors import ProtocolError, RequestError
from codewire.session.journal import Journal
from codewire.wire.control import decode_bytes, encode_bytes

DEFAULT_NAMESPACE = "default"

# All of it is in memory and is read at every start; an agent's notes are small.
MAX_KEY_BYTES = 4096
MAX_VALUE_BYTES = 1 << 20
MAX_TOTAL_BYTES = 16 << 20
# What one entry costs besides its bytes.
ENTRY_BYTES = 200


class Entry(NamedTuple):
    """A value; `expires_ns` is nanoseconds since the epoch, 0 for never."""

    value: bytes
    expires_ns: int

    def is_live(self, now_ns: int) -> bool:
        """Say whether the entry has not expired."""
        return not self.expires_ns or now_ns < self.expires_ns


class KeyValues:
    """Every namespace's entries. Methods may be called from any greenlet or thread."""

    def __init__(self, path: str) -> None:
        self._journal = Journal(path)
        self._entries: dict[tuple[str, str], Entry] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Bring back what was set before. Call once, before anything else."""
        for line in self._journal.load():
            self._replay(line)
        self._drop_expired()

    def _replay(self, line: dict[str, Any]) -> None:
        place = (str(line.get("ns")), str(line.get("key")))
        try:
            value = None if line.get("value") is None else decode_bytes(line["value"])
            expires_ns = int(line.get("expires_ns") or 0)
        except (ValueError, TypeError, ProtocolError):
            return
        self._put(place, None if value is None else Entry(value, expires_ns))

    def set(self, namespace: str, key: str, value: bytes, lifetime_ns: int = 0) -> None:
        """Set a key; a lifetime of 0 or less means for ever. Raises RequestError."""
        place = _place(namespace, key)
        if len(value) > MAX_VALUE_BYTES:
            raise RequestError(f"value too large: {len(value)} bytes (at most {MAX_VALUE_BYTES})")
        expires_ns = time.time_ns() + lifetime_ns if lifetime_ns > 0 else 0
        with self._lock:
            entry = Entry(value, expires_ns)
            added = _cost(place, entry) - _cost(place, self._entries.get(place))
            if added > 0 and self._bytes + added > MAX_TOTAL_BYTES:
                self._drop_expired()
                if self._bytes + added > MAX_TOTAL_BYTES:
                    limit = f"{MAX_TOTAL_BYTES >> 20} MiB"
                    raise RequestError(f"the key-value store is full ({limit}): delete some keys")
            self._write(place, entry)

    def get(self, namespace: str, key: str) -> bytes | None:
        """Return a value, None when there is none."""
        entry = self._entries.get((namespace or DEFAULT_NAMESPACE, key))
        return entry.value if entry is not None and entry.is_live(time.time_ns()) else None

    def delete(self, namespace: str, key: str) -> None:
        """Remove a key; one that is not there is no error. Raises RequestError."""
        place = _place(namespace, key)
        with self._lock:
            if place in self._entries:
                self._write(place, None)

    def list(self, namespace: str, prefix: str) -> list[tuple[str, Entry]]:
        """Return the live entries whose key begins with `prefix`, by key."""
        now = time.time_ns()
        wanted = namespace or DEFAULT_NAMESPACE
        with self._lock:
            found = [
                (key, entry)
                for (space, key), entry in self._entries.items()
                if space == wanted and key.startswith(prefix) and entry.is_live(now)
            ]
        return sorted(found)

    def _write(self, place: tuple[str, str], entry: Entry | None) -> None:
        """Note a change, first on disk. The lock is held, so lines are in the order of changes."""
        if not self._journal.append(_line(place, entry)):
            raise RequestError("the key could not be stored: see the node's log")
        self._put(place, entry)
        if self._journal.is_long(len(self._entries), self._bytes):
            self._drop_expired()
            self._journal.rewrite([_line(*item) for item in self._entries.items()])

    def _put(self, place: tuple[str, str], entry: Entry | None) -> None:
        self._bytes += _cost(place, entry) - _cost(place, self._entries.pop(place, None))
        if entry is not None:
            self._entries[place] = entry

    def _drop_expired(self) -> None:
        now = time.time_ns()
        for place in [place for place, e in self._entries.items() if not e.is_live(now)]:
            self._put(place, None)


def _place(namespace: str, key: str) -> tuple[str, str]:
    place = (namespace or DEFAULT_NAMESPACE, key)
    for what, text in zip(("namespace", "key"), place, strict=True):
        size = len(text.encode("utf-8", "replace"))
        if size > MAX_KEY_BYTES:
            raise RequestError(f"{what} too long: {size} bytes (at most {MAX_KEY_BYTES})")
    return place


def _cost(place: tuple[str, str], entry: Entry | None) -> int:
    return 0 if entry is None else len(place[0]) + len(place[1]) + len(entry.value) + ENTRY_BYTES


def _line(place: tuple[str, str], entry: Entry | None) -> dict[str, Any]:
    line: dict[str, Any] = {"ns": place[0], "key": place[1]}
    if entry is not None:
        line["value"] = encode_bytes(entry.value)
        if entry.expires_ns:
            line["expires_ns"] = entry.expires_ns
    return line
