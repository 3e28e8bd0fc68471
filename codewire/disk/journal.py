"""A journal: JSON lines that are appended one by one and read back whole at the next start.

A line is there or it is not: one cut short by the death of its writer is dropped. Appending is
quick and under its owner's lock; what takes time (fsync, replacing the file by a shorter one that
says the same) is done without that lock, and never loses what is appended meanwhile.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from codewire.disk.filing import (
    append_data,
    encode_line,
    keep_copy,
    read_file,
    read_json,
    set_aside,
    sync_file,
    write_atomically,
)
from codewire.io.wait import run_blocking

log = logging.getLogger(__name__)

# Below this, shortening is not worth a write.
FEW_LINES = 1000
FEW_BYTES = 4 << 20

Line = dict[str, Any]


class Journal:
    """The file at `path`; `size` counts its lines, `bytes` them."""

    def __init__(self, path: str, sync: Callable[[str], None] = sync_file) -> None:
        """`sync` has what was written to a file on the disk; it blocks and raises OSError."""
        self.path = path
        self._sync = sync
        self.size = 0
        self.bytes = 0
        # Lines appended while the file is being replaced, else None.
        self._tail: list[bytes] | None = None
        # One fsync serves all who wait when it begins. Also held while the file is replaced:
        # nobody is told that a line is on the disk before it is in the file that stays.
        self._turn = threading.Lock()
        self._tickets = itertools.count()
        self._done = -1
        # What the file had when shortening it failed: not tried again at every line.
        self._floor = 0
        self._is_failing = False

    # Reading

    def replay(self, apply: Callable[[Line], object]) -> bool:
        """Hand every whole line to `apply`, oldest first; say whether none was damaged.

        `apply` raises ValueError, TypeError or KeyError at what it cannot use; the rest counts.
        The original is kept aside then, and the owner should `shorten` to be rid of it.
        """
        try:
            data = read_file(self.path)
        except FileNotFoundError:
            return True
        except OSError as error:
            set_aside(self.path, error)
            return False
        self.bytes = len(data)
        *lines, rest = data.split(b"\n")
        self.size = len(lines)
        problem = ""
        for line in lines:
            problem = _try(apply, line) or problem
        # Without its newline, a line was cut short, or another program's editor left it so.
        if rest:
            _try(apply, rest)
        if problem:
            keep_copy(self.path, problem)
        return not problem

    # Writing

    def append(self, value: Line) -> bool:
        """Add a line; False when the disk refuses it. Quick: it is not synced yet."""
        data = encode_line(value)
        try:
            self.bytes = append_data(self.path, data)
        except OSError as error:
            if not self._is_failing:
                log.error("writing %s failed: %s", self.path, error.strerror)
            self._is_failing = True
            return False
        self._is_failing = False
        self.size += 1
        if self._tail is not None:
            self._tail.append(data)
        return True

    def sync(self) -> bool:
        """Have every line appended so far on the disk; False when it refuses. Blocks."""
        if not self.size:
            # Nothing was ever written, maybe not even the file.
            return True
        ticket = next(self._tickets)
        with self._turn:
            if self._done > ticket:
                return True
            latest = next(self._tickets)
            try:
                run_blocking(self._sync, self.path)
            except OSError as error:
                log.error("syncing %s failed: %s", self.path, error.strerror)
                return False
            self._done = latest
        return True

    def is_long(self, lines: int, size: int) -> bool:
        """Say whether the file is mostly past: `lines` lines, `size` bytes of it still matter."""
        is_big = self.bytes - self._floor > FEW_BYTES + 2 * size
        return is_big or self.size > FEW_LINES + 4 * lines

    def shorten(self, lock: threading.Lock, lines: Callable[[], Iterable[Line] | None]) -> None:
        """Replace all lines by those that `lines` returns (None: leave it). Blocks.

        `lock` is what appenders hold; the caller does not. A full disk leaves the file as it was.
        """
        with self._turn:
            with lock:
                found = lines()
                if found is None:
                    return
                kept = list(found)
                self._tail = []
            self._replace(lock, kept, is_synced=True)

    def begin(self) -> None:
        """Note what is appended from now on, for `restart`. The appenders' lock is held."""
        self._tail = []

    def cancel(self) -> None:
        """Undo `begin`. The appenders' lock is held."""
        self._tail = None

    def restart(self, lock: threading.Lock, lines: list[Line]) -> bool:
        """Replace what was there at `begin`, which is on disk elsewhere by now. Blocks.

        What came since is kept; it is on the disk after the next `sync`. False when the disk
        refuses: then everything is left as it was.
        """
        with self._turn:
            return self._replace(lock, lines, is_synced=False)

    def _replace(self, lock: threading.Lock, lines: list[Line], *, is_synced: bool) -> bool:
        temporary = f"{self.path}.part"
        try:
            size = run_blocking(_write_lines, temporary, lines, is_synced)
            with lock:
                tail, self._tail = self._tail or [], None
                if tail:
                    size = append_data(temporary, b"".join(tail))
                os.replace(temporary, self.path)
                self.bytes, self.size, self._floor = size, len(lines) + len(tail), 0
            if tail and is_synced:
                run_blocking(self._sync, self.path)
        except OSError as error:
            log.warning("shortening %s failed: %s", self.path, error.strerror)
            with lock:
                self._tail = None
                self.size, self._floor = len(lines), self.bytes
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            return False
        return True


def _write_lines(path: str, lines: list[Line], is_synced: bool) -> int:
    data = b"".join(map(encode_line, lines))
    write_atomically(path, data, is_synced=is_synced)
    return len(data)


def _try(apply: Callable[[Line], object], line: bytes) -> str:
    """Apply one line; return what is wrong with it, "" for nothing (or an empty line)."""
    if not line.strip():
        return ""
    try:
        value = read_json(line)
        if not isinstance(value, dict):
            return "a line is no object"
        apply(value)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        return str(error)[:200]
    return ""


def read_line(line: bytes) -> Line | None:
    """Return the object on one line, None when it holds no such thing."""
    try:
        value = read_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
