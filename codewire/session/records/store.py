"""Keeps every session's record on disk: a journal of changes beside sessions.json.

A change is one line in the journal, written at once or soon, then synced. sessions.json (all
records, spec/files.md 4) is what other programs and older releases read; it is written anew when
the journal has grown, after a while, and at the end. It never says what the journal did not say
before, so whichever of the two is the older one does no harm (archive.py reads them).

A record that is not synced yet is not at risk: the keeper has a copy until `on_saved` is called.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from codewire.disk.filing import encode_line, overwrite, write_atomically
from codewire.disk.journal import Journal
from codewire.io.wait import run_blocking
from codewire.session.records.files import RECORD
from codewire.session.records.record import Record

log = logging.getLogger(__name__)

# Changes this close together share one sync. Every fsync stalls whoever creates files meanwhile
# (a launch creates three), and until then the keeper's copy is as good.
GATHER_SECONDS = 0.25
RETRY_SECONDS = 1.0
# sessions.json follows the journal this soon, but with hundreds of results in it no sooner than
# this many bytes a second allow.
SNAPSHOT_SECONDS = 2.0
# A session's own copy follows this late: making a file costs as much as a third of a launch, and
# what ends soon is written once.
FILING_SECONDS = 2.0
SNAPSHOT_BYTES_PER_SECOND = 1 << 16

Value = dict[str, Any]


class Store:
    """Writes records down. `run` belongs to one greenlet or thread, the rest to all.

    No lock that others need is held while the disk is waited for.
    """

    def __init__(
        self,
        path: str,
        journal: Journal,
        snapshot: Callable[[], Iterable[Record]],
        on_saved: Callable[[dict[int, Value | None]], None],
    ) -> None:
        """`path` is sessions.json; `snapshot` returns all records.

        `on_saved` gets what the disk now says of each session that changed, by id; None: nothing.
        """
        self._path = path
        self._directory = os.path.join(os.path.dirname(path), "sessions")
        self._journal = journal
        self._snapshot = snapshot
        self._on_saved = on_saved
        self._lock = threading.Lock()
        # What the journal's last line about each session says, once it is written; and the
        # sessions of which the disk did not take that line.
        self._values: dict[int, Value] = {}
        self._refused: set[int] = set()
        self._next_id = 1
        self._changed: set[int] = set()
        self._writing: set[int] = set()
        # Whose own session.json is older than the journal.
        self._unfiled: set[int] = set()
        self._filing_at = 0.0
        self._news = threading.Event()
        self._save_turn = threading.Lock()
        self._is_stale = False
        self._snapshot_at = 0.0
        self._is_failing = False

    def begin(self, records: Iterable[Record], next_id: int, *, is_whole: bool) -> None:
        """Go on from what was read at the start; without `is_whole` the files are made anew."""
        self._values = {record.id: record.to_json() for record in records}
        self._next_id = next_id
        # Of an earlier release, or of a worker that was killed before it came to it.
        self._unfiled = {n for n in self._values if not os.path.exists(self._own(n))}
        size = _size(self._path)
        # One line is the first one, which names the snapshot, if there is a snapshot.
        self._is_stale = self._journal.size > (1 if size else 0)
        self._snapshot_at = time.monotonic() + _pause(size)
        if not is_whole:
            self.compact()

    # Taking changes

    def put(self, record: Record) -> None:
        """Write a record down at once: it outlives this process and the keeper. Blocks.

        Not for a sync; and what the disk refuses is written soon.
        """
        with self._lock:
            self._changed.add(record.id)
            self._append(record.to_json())
        self._journal.write()
        self._news.set()

    def changed(self, session_id: int) -> None:
        """Note that a record is new, has changed, or is gone; it is written soon."""
        with self._lock:
            self._changed.add(session_id)
        self._news.set()

    def unsaved(self) -> set[int]:
        """Return the ids of records whose last change may not be on disk."""
        with self._lock:
            return self._changed | self._writing

    def _append(self, value: Value) -> None:
        """Add a line unless the last one says the same. The lock is held."""
        session_id = value["id"]
        if self._values.get(session_id) == value and session_id not in self._refused:
            return
        self._journal.append({"record": value}, partial(self._note, session_id))
        self._values[session_id] = value
        self._next_id = max(self._next_id, session_id + 1)
        if not self._unfiled:
            self._filing_at = time.monotonic() + FILING_SECONDS
        self._unfiled.add(session_id)

    def _append_gone(self, session_id: int) -> None:
        if session_id not in self._values and session_id not in self._refused:
            return
        self._journal.append({"gone": session_id}, partial(self._note, session_id))
        self._values.pop(session_id, None)
        self._unfiled.discard(session_id)

    def _note(self, session_id: int, is_written: bool) -> None:
        """Note what became of the last line about a session."""
        with self._lock:
            if is_written:
                self._refused.discard(session_id)
            else:
                self._refused.add(session_id)

    # Writing

    def run(self) -> None:
        """Write after each change, for ever; a full disk only delays it."""
        while True:
            self._news.wait(self._until_due())
            if self._news.is_set():
                time.sleep(GATHER_SECONDS)
                self._news.clear()
                if not self.save():
                    time.sleep(RETRY_SECONDS)
                    self._news.set()
            now = time.monotonic()
            if self._unfiled and now >= self._filing_at:
                self.file_own()
            if self._is_stale and now >= self._snapshot_at:
                self.compact()

    def _until_due(self) -> float | None:
        """Return how soon something is to be written that nobody changes, None for never."""
        moments = [self._filing_at] if self._unfiled else []
        moments += [self._snapshot_at] if self._is_stale else []
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def close(self) -> None:
        """Write everything down; sessions.json says it all afterwards. Blocks."""
        self.save()
        self.file_own()
        if self._is_stale:
            self.compact()

    def save(self) -> bool:
        """Have all changes on the disk; False when it refuses (they stay due). Blocks."""
        with self._save_turn:
            with self._lock:
                changed, self._changed = self._changed, set()
                self._writing = changed
            written = self._append_changed(changed)
            is_saved = len(written) == len(changed) and self._journal.sync()
            with self._lock:
                self._writing = set()
                if not is_saved:
                    self._changed |= changed
            self._is_stale = True
            if not is_saved:
                # A sync that failed may have lost what it was for: all of it is written anew.
                self._snapshot_at = 0.0
                return False
        self._on_saved(written)
        return True

    def _append_changed(self, changed: set[int]) -> dict[int, Value | None]:
        """Append what the journal does not say yet; return what it says of each, if it took it."""
        records = {record.id: record for record in self._snapshot()} if changed else {}
        values: dict[int, Value | None] = {}
        for session_id in sorted(changed):
            record = records.get(session_id)
            with self._lock:
                if record is None:
                    self._append_gone(session_id)
                else:
                    self._append(record.to_json())
                # What was appended, not what the record says by the time the sync has ended.
                values[session_id] = self._values.get(session_id)
        self._journal.write()
        with self._lock:
            return {number: values[number] for number in values if number not in self._refused}

    def file_own(self) -> None:
        """Put records into their sessions' own directories: what is left when all else is lost."""
        with self._lock:
            unfiled, self._unfiled = self._unfiled, set()
            values = [self._values[number] for number in unfiled if number in self._values]
        if values:
            run_blocking(self._write_own, values)
        present = {record.id for record in self._snapshot()} if values else set()
        for value in values:
            if value["id"] not in present:
                # Dropped meanwhile, maybe before its file was made.
                directory = os.path.join(self._directory, str(value["id"]))
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(directory, RECORD))
                with contextlib.suppress(OSError):
                    os.rmdir(directory)

    def _write_own(self, values: list[Value]) -> None:
        for value in values:
            path = self._own(value["id"])
            try:
                overwrite(path, encode_line(value))
            except OSError as error:
                log.debug("writing %s failed: %s", path, error.strerror)

    def _own(self, session_id: int) -> str:
        return os.path.join(self._directory, str(session_id), RECORD)

    def compact(self) -> bool:
        """Write sessions.json anew and begin the journal anew; False when the disk refuses."""
        with self._save_turn:
            values = self._journal.begin(self._all_values)
            try:
                base = run_blocking(_write_snapshot, self._path, values)
            except OSError as error:
                if not self._is_failing:
                    log.error("writing %s failed: %s; trying on", self._path, error.strerror)
                self._is_failing = self._is_stale = True
                self._snapshot_at = time.monotonic() + RETRY_SECONDS
                self._journal.cancel()
                return False
            self._is_failing = False
            self._snapshot_at = time.monotonic() + _pause(_size(self._path))
            first_line = {"base": base, "next_id": self._next_id}
            self._is_stale = not self._journal.restart([first_line])
        return True

    def _all_values(self) -> list[Value]:
        with self._lock:
            return [self._values[number] for number in sorted(self._values)]


def _pause(size: int) -> float:
    return max(SNAPSHOT_SECONDS, size / SNAPSHOT_BYTES_PER_SECOND)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _write_snapshot(path: str, values: list[Value]) -> str:
    data = render(values).encode("utf-8", "replace")
    write_atomically(path, data)
    return identity(data)


def identity(data: bytes) -> str:
    """Return what tells one sessions.json from another: its journal names it."""
    return f"{len(data)}-{zlib.crc32(data):08x}"


def render(values: Iterable[Value]) -> str:
    """Return sessions.json as upstream writes it: an array, indented by two, no final newline."""
    body = ",\n".join(map(_render_one, values))
    return f"[\n{body}\n]" if body else "[]"


def _render_one(value: Value) -> str:
    lines = (
        f"    {json.dumps(key, ensure_ascii=False)}: {_render_item(item)}"
        for key, item in value.items()
    )
    return "  {\n" + ",\n".join(lines) + "\n  }"


def _render_item(item: Any) -> str:
    if isinstance(item, (list, tuple, dict)) and item:
        # Seldom, and short; texts, which may be long, take the fast way.
        return json.dumps(item, indent=2, ensure_ascii=False).replace("\n", "\n    ")
    return json.dumps(item, ensure_ascii=False)
