"""The node's keys and values: namespaces, expiry, all of it in memory and in kv.jsonl.

Semantics: spec/wire.md 15. Each change is one journal line: it is made when that is in the file,
and confirmed when it is on the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from codewire.disk.journal import Journal, Line
from codewire.disk.lines import Line as Pending
from codewire.errors import ProtocolError, RequestError
from codewire.io.clock import CLOCK, Clock, Moment
from codewire.wire.codes import TOO_LARGE, UNAVAILABLE
from codewire.wire.control import decode_bytes, encode_bytes

DEFAULT_NAMESPACE = "default"

# All of it is in memory and is read at every start; an agent's notes are small.
MAX_KEY_BYTES = 4096
MAX_VALUE_BYTES = 1 << 20
MAX_TOTAL_BYTES = 16 << 20
# What one entry costs besides its bytes.
ENTRY_BYTES = 200


class Entry(NamedTuple):
    """A value. It lives for `lifetime_ns` from the moment it was `set_at`, 0 for ever."""

    value: bytes
    lifetime_ns: int = 0
    set_at: Moment = Moment(0, 0, "")
    # The same on the steady clock of this boot.
    ends_ns: int = 0

    @property
    def expires_ns(self) -> int:
        """When it expires as people are told: nanoseconds since the epoch, 0 for never."""
        return self.set_at.wall_ns + self.lifetime_ns if self.lifetime_ns else 0

    def is_live(self, steady_ns: int) -> bool:
        """Say whether the entry has not expired."""
        return not self.lifetime_ns or steady_ns < self.ends_ns


class KeyValues:
    """Every namespace's entries. Methods may be called from any greenlet or thread."""

    def __init__(self, path: str, clock: Clock = CLOCK) -> None:
        self._journal = Journal(path)
        self._clock = clock
        self._entries: dict[tuple[str, str], Entry] = {}
        self._bytes = 0
        # What is on its way to the file.
        self._promised = 0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Bring back what was set before. Call once, before anything else."""
        is_whole = self._journal.replay(self._replay)
        self._drop_expired()
        if not is_whole:
            self._journal.shorten(self._lines)

    def _replay(self, line: dict[str, Any]) -> None:
        """Apply one line. Raises ValueError or KeyError."""
        place = (line["ns"], line["key"])
        if not all(isinstance(text, str) and len(text) <= MAX_KEY_BYTES for text in place):
            raise ValueError("bad namespace or key")
        if line.get("value") is None:
            self._put(place, None)
            return
        try:
            value = decode_bytes(line["value"])
        except ProtocolError as error:
            raise ValueError(str(error)) from error
        if len(value) > MAX_VALUE_BYTES:
            raise ValueError("a value too large")
        self._put(place, self._read_entry(value, line))

    def _read_entry(self, value: bytes, line: dict[str, Any]) -> Entry:
        """Return an entry as it was set: what is left of its life is never more than it had."""
        numbers = [line.get(key) or 0 for key in ("expires_ns", "lifetime_ns", "set_steady_ns")]
        expires_ns, lifetime_ns, steady_ns = numbers
        boot = line.get("boot") or ""
        if not all(isinstance(n, int) and n >= 0 for n in numbers) or not isinstance(boot, str):
            raise ValueError("bad time of expiry")
        if not expires_ns:
            return Entry(value)
        if not lifetime_ns:
            # Of an older release, which noted no more than this.
            lifetime_ns = max(1, expires_ns - self._clock.wall_ns())
        set_at = Moment(expires_ns - lifetime_ns, steady_ns, boot)
        return Entry(value, lifetime_ns, set_at, self._clock.steady_of(set_at) + lifetime_ns)

    def set(self, namespace: str, key: str, value: bytes, lifetime_ns: int = 0) -> None:
        """Set a key; a lifetime of 0 or less means for ever. Raises RequestError."""
        place = _place(namespace, key)
        if len(value) > MAX_VALUE_BYTES:
            text = f"value too large: {len(value)} bytes (at most {MAX_VALUE_BYTES})"
            raise RequestError(text, TOO_LARGE)
        entry = Entry(value)
        if lifetime_ns > 0:
            now = self._clock.now()
            entry = Entry(value, lifetime_ns, now, now.steady_ns + lifetime_ns)
        with self._lock:
            added = _cost(place, entry) - _cost(place, self._entries.get(place))
            if not self._has_room(added):
                self._drop_expired()
                if not self._has_room(added):
                    limit = f"{MAX_TOTAL_BYTES >> 20} MiB"
                    text = f"the key-value store is full ({limit}): delete some keys"
                    raise RequestError(text, TOO_LARGE)
            line = self._append(place, entry, max(0, added))
        self._confirm(line)

    def _has_room(self, added: int) -> bool:
        return added <= 0 or self._bytes + self._promised + added <= MAX_TOTAL_BYTES

    def get(self, namespace: str, key: str) -> bytes | None:
        """Return a value, None when there is none."""
        entry = self._entries.get((namespace or DEFAULT_NAMESPACE, key))
        now_ns = self._clock.steady_ns()
        return entry.value if entry is not None and entry.is_live(now_ns) else None

    def delete(self, namespace: str, key: str) -> bool:
        """Remove a key and say whether it was there. Raises RequestError."""
        place = _place(namespace, key)
        with self._lock:
            entry = self._entries.get(place)
            if entry is None:
                return False
            was_live = entry.is_live(self._clock.steady_ns())
            line = self._append(place, None, 0)
        self._confirm(line)
        return was_live

    def list(self, namespace: str, prefix: str) -> list[tuple[str, Entry]]:
        """Return the live entries whose key begins with `prefix`, by key."""
        now = self._clock.steady_ns()
        wanted = namespace or DEFAULT_NAMESPACE
        with self._lock:
            found = [
                (key, entry)
                for (space, key), entry in self._entries.items()
                if space == wanted and key.startswith(prefix) and entry.is_live(now)
            ]
        return sorted(found)

    def _append(self, place: tuple[str, str], entry: Entry | None, added: int) -> Pending:
        """Note a change that is made once it is in the file. The lock is held."""
        self._promised += added
        return self._journal.append(_line(place, entry), partial(self._take, place, entry, added))

    def _take(
        self, place: tuple[str, str], entry: Entry | None, added: int, is_written: bool
    ) -> None:
        """Make a change, in the order of the lines."""
        with self._lock:
            self._promised -= added
            if is_written:
                self._put(place, entry)

    def _confirm(self, line: Pending) -> None:
        """Have the change on the disk. The lock is not held: nobody else waits for the disk."""
        if not self._journal.commit(line):
            raise RequestError(f"the key could not be stored: {line.problem}", UNAVAILABLE)
        if self._is_long():
            self._journal.shorten(lambda: self._lines() if self._is_long() else None)

    def _is_long(self) -> bool:
        return self._journal.is_long(len(self._entries), self._bytes)

    def _lines(self) -> Iterable[Line]:
        with self._lock:
            self._drop_expired()
            return [_line(*item) for item in self._entries.items()]

    def _put(self, place: tuple[str, str], entry: Entry | None) -> None:
        self._bytes += _cost(place, entry) - _cost(place, self._entries.pop(place, None))
        if entry is not None:
            self._entries[place] = entry

    def _drop_expired(self) -> None:
        now = self._clock.steady_ns()
        for place in [place for place, e in self._entries.items() if not e.is_live(now)]:
            self._put(place, None)


def _place(namespace: str, key: str) -> tuple[str, str]:
    place = (namespace or DEFAULT_NAMESPACE, key)
    for what, text in zip(("namespace", "key"), place, strict=True):
        size = len(text.encode("utf-8", "replace"))
        if size > MAX_KEY_BYTES:
            raise RequestError(
                f"{what} too long: {size} bytes (at most {MAX_KEY_BYTES})", TOO_LARGE
            )
    return place


def _cost(place: tuple[str, str], entry: Entry | None) -> int:
    return 0 if entry is None else len(place[0]) + len(place[1]) + len(entry.value) + ENTRY_BYTES


def _line(place: tuple[str, str], entry: Entry | None) -> dict[str, Any]:
    line: dict[str, Any] = {"ns": place[0], "key": place[1]}
    if entry is not None:
        line["value"] = encode_bytes(entry.value)
        if entry.lifetime_ns:
            line["expires_ns"] = entry.expires_ns
            line["lifetime_ns"] = entry.lifetime_ns
            line["set_steady_ns"] = entry.set_at.steady_ns
            line["boot"] = entry.set_at.boot
    return line
