"""Letters that are still to be typed into a terminal: in memory and in untyped.jsonl.

Written down before the sender is answered, struck out right before the first byte is typed: a text
is typed once, or (a worker killed in between) stays in the inbox alone. Locked: senders and typists
use it at once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from codewire.disk.journal import Journal, Line

MAX_KEPT = 10_000


class Waiting(NamedTuple):
    """One letter, by its id, and what is to be typed of it where."""

    id: str
    session_id: int
    text: str
    force: bool


class Untyped:
    """What waits to be typed, oldest first."""

    def __init__(self, path: str) -> None:
        self._journal = Journal(path)
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()

    def load(self) -> list[Waiting]:
        """Bring back what an earlier worker left."""
        with self._lock:
            is_whole = self._journal.replay(self._replay)
            found = list(self._waiting.values())
        if not is_whole:
            self._journal.shorten(self._lines)
        return found

    def _replay(self, line: Line) -> None:
        """Apply one line. Raises ValueError, TypeError or KeyError."""
        if "over" in line:
            self._waiting.pop(str(line["over"]), None)
            return
        entry = line["wait"]
        number, text = entry["session"], entry["text"]
        if not isinstance(text, str) or type(number) is not int or number < 0:
            raise ValueError("bad letter")
        self._add(Waiting(str(entry["id"]), number, text, entry["force"] is True))

    def _add(self, waiting: Waiting) -> None:
        self._waiting[waiting.id] = waiting
        while len(self._waiting) > MAX_KEPT:
            self._waiting.popitem(last=False)

    def keep(self, waiting: Waiting) -> None:
        """Keep a letter until it is typed; on a full disk for as long as this worker lives.

        Blocks for the disk.
        """
        with self._lock:
            self._add(waiting)
            self._journal.append(_kept(waiting))
        self._journal.write()

    def holds(self, letter_id: str) -> bool:
        """Say whether a letter is still to be typed."""
        return letter_id in self._waiting

    def forget(self, letter_id: str) -> None:
        """A letter is about to be typed, or will not be. Idempotent. Blocks for the disk."""
        with self._lock:
            if self._waiting.pop(letter_id, None) is None:
                return
            self._journal.append({"over": letter_id})
        self._journal.write()
        if self._is_long():
            self._journal.shorten(lambda: self._lines() if self._is_long() else None)

    def _is_long(self) -> bool:
        size = sum(len(waiting.text) for waiting in list(self._waiting.values()))
        return self._journal.is_long(len(self._waiting), size)

    def _lines(self) -> list[Line]:
        with self._lock:
            return [_kept(waiting) for waiting in self._waiting.values()]


def _kept(waiting: Waiting) -> Line:
    entry = {"id": waiting.id, "session": waiting.session_id, "text": waiting.text}
    return {"wait": {**entry, "force": waiting.force}}
