"""sessions.json: every session's record, written atomically soon after each change, read whole.

A record that is not on disk yet is not at risk: the keeper has a copy until `on_saved` is called.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable

from codewire.io.wait import run_blocking
from codewire.session.record import Record, record_from_json

log = logging.getLogger(__name__)

# Changes this close together share one write. Every fsync stalls whoever creates files meanwhile
# (a launch creates three), and until then the keeper's copy is as good.
GATHER_SECONDS = 0.25
RETRY_SECONDS = 1.0


def load_records(path: str) -> list[Record]:
    """Return the records in `path`; what cannot be read is backed up beside it and left out."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return []
    try:
        values = json.loads(data)
        if not isinstance(values, list):
            raise ValueError("not a list")
    except (ValueError, RecursionError) as error:
        _back_up(path, str(error))
        return []
    records, problem = [], ""
    for value in values:
        try:
            records.append(record_from_json(value))
        except (ValueError, TypeError, OverflowError) as error:
            problem = str(error)
    if problem:
        _back_up(path, problem)
    return records


def _back_up(path: str, why: str) -> None:
    stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
    backup = f"{path}.corrupt.{stamp}"
    log.error("%s is damaged (%s); a copy is kept as %s", path, why, backup)
    import shutil

    try:
        shutil.copyfile(path, backup)
    except OSError as error:
        log.error("keeping a copy failed: %s", error)


def write_atomically(path: str, text: str) -> None:
    """Replace `path` (mode 0600) by a complete new file, on the disk before it is visible."""
    temporary = f"{path}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        data = memoryview(text.encode("utf-8", "replace"))
        while data:
            data = data[os.write(fd, data) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)


class Store:
    """Keeps sessions.json up to date. `run` belongs to one greenlet or thread."""

    def __init__(
        self,
        path: str,
        snapshot: Callable[[], Iterable[Record]],
        on_saved: Callable[[set[int]], None],
    ) -> None:
        """`snapshot` returns all records; `on_saved` gets the ids of changed ones now on disk."""
        self._path = path
        self._snapshot = snapshot
        self._on_saved = on_saved
        self._changed: set[int] = set()
        self._writing: set[int] = set()
        self._texts: dict[int, str] = {}
        self._lock = threading.Lock()
        # Held across a write: an older snapshot must not replace a newer one.
        self._save_turn = threading.Lock()
        self._news = threading.Event()
        self._is_failing = False

    def changed(self, session_id: int) -> None:
        """Note that a record is new, has changed, or is gone; it is written soon."""
        with self._lock:
            self._changed.add(session_id)
        self._news.set()

    def unsaved(self) -> set[int]:
        """Return the ids of records whose last change may not be on disk."""
        with self._lock:
            return self._changed | self._writing

    def run(self) -> None:
        """Write after each change, for ever; a full disk only delays it."""
        while True:
            self._news.wait()
            time.sleep(GATHER_SECONDS)
            self._news.clear()
            if not self.save():
                time.sleep(RETRY_SECONDS)
                self._news.set()

    def save(self) -> bool:
        """Write now; False when the disk refuses it (the changes stay due)."""
        with self._save_turn:
            return self._save()

    def _save(self) -> bool:
        with self._lock:
            changed, self._changed = self._changed, set()
            self._writing = changed
        try:
            run_blocking(write_atomically, self._path, self._render(changed))
        except OSError as error:
            if not self._is_failing:
                log.error("writing %s failed: %s; trying on", self._path, error.strerror)
            self._is_failing = True
            with self._lock:
                self._changed |= changed
            return False
        self._is_failing = False
        self._writing = set()
        self._on_saved(changed)
        return True

    def _render(self, changed: set[int]) -> str:
        """Return the whole file; only records that changed are encoded again."""
        texts: dict[int, str] = {}
        for record in self._snapshot():
            text = self._texts.get(record.id)
            if text is None or record.id in changed:
                text = json.dumps(record.to_json(), indent=2, ensure_ascii=False)
                # Indented once: hundreds of results of up to 64 KiB are joined at every change.
                text = "  " + text.replace("\n", "\n  ")
            texts[record.id] = text
        self._texts = texts
        body = ",\n".join(texts.values())
        return f"[\n{body}\n]" if body else "[]"
