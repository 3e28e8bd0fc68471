"""A journal: JSON lines that are appended one by one and read back whole at the next start.

A line is there or it is not: one cut short by the death of its writer is dropped. Appending waits
for nothing (lines.py). Replacing the file by a shorter one that says the same never loses what is
appended meanwhile, and holds up nobody who appends.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

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
from codewire.disk.lines import Line as Entry
from codewire.disk.lines import Lines
from codewire.io.filecalls import FileCalls
from codewire.io.wait import run_blocking

log = logging.getLogger(__name__)

# Below this, shortening is not worth a write.
FEW_LINES = 1000
FEW_BYTES = 4 << 20

Line = dict[str, Any]
T = TypeVar("T")


class Journal(Lines):
    """The file at `path`; `size` counts its lines, `bytes` them."""

    def __init__(
        self,
        path: str,
        sync: Callable[[str], None] = sync_file,
        calls: FileCalls = run_blocking,
    ) -> None:
        """`sync` and `calls` are as those of Lines."""
        super().__init__(path, sync=sync, calls=calls)
        self.size = 0
        self.bytes = 0
        # What was written while the file is being replaced, else None.
        self._tail: list[bytes] | None = None
        # One fsync serves all who wait when it begins.
        self._tickets = itertools.count()
        self._done = -1
        # One at a time replaces the file.
        self._renewal = threading.Lock()
        # What the file had when shortening it failed: not tried again at every line.
        self._floor = 0

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

    def _append(self, lines: Sequence[Entry]) -> int:
        data = b"".join([line.data for line in lines])
        self.bytes = append_data(self.path, data)
        self.size += len(lines)
        if self._tail is not None:
            self._tail.append(data)
        return self.bytes

    def append(self, value: Line, done: Callable[[bool], None] | None = None) -> Entry:
        """Add a line; see Lines.add."""
        return self.add(value, done)

    def sync(self) -> bool:
        """Have every line written so far on the disk; False when it refuses. Blocks."""
        if not self.size:
            # Nothing was ever written, maybe not even the file.
            return True
        ticket = next(self._tickets)
        with self._sync_turn:
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

    def shorten(self, lines: Callable[[], Iterable[Line] | None]) -> None:
        """Replace all lines by those that `lines` returns (None: leave it). Blocks.

        `lines` says what all lines written so far come to. A full disk leaves the file as it was.
        """
        with self._renewal:
            kept = self.begin(lambda: None if (found := lines()) is None else list(found))
            if kept is None:
                self.cancel()
            else:
                self._replace(kept, is_synced=True)

    def begin(self, take: Callable[[], T]) -> T:
        """Return what `take` does, called when all lines so far are written. Blocks.

        What is written from now on is noted, for `restart` or `cancel`.
        """
        with self._turn:
            self._work_off()
            taken = take()
            self._tail = []
        return taken

    def cancel(self) -> None:
        """Undo `begin`."""
        with self._turn:
            self._tail = None

    def restart(self, lines: list[Line]) -> bool:
        """Replace what was there at `begin`, which is on disk elsewhere by now. Blocks.

        What came since is kept; it is on the disk after the next `sync`. False when the disk
        refuses: then everything is left as it was.
        """
        return self._replace(lines, is_synced=False)

    def _replace(self, lines: list[Line], *, is_synced: bool) -> bool:
        temporary = f"{self.path}.part"
        try:
            run_blocking(_write_lines, temporary, lines, is_synced)
            with self._turn:
                run_blocking(self._put_in_place, temporary, len(lines), is_synced)
        except OSError as error:
            log.warning("shortening %s failed: %s", self.path, error.strerror)
            with self._turn:
                self._tail = None
                self.size, self._floor = len(lines), self.bytes
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            return False
        return True

    def _put_in_place(self, temporary: str, count: int, is_synced: bool) -> None:
        """Put the new file with what came meanwhile in the old one's place. Raises OSError."""
        tail = b"".join(self._tail or ())
        size = os.stat(temporary).st_size
        if tail:
            size = append_data(temporary, tail)
            if is_synced:
                # Whoever was told that it is on the disk was told of the old file.
                self._sync(temporary)
        os.replace(temporary, self.path)
        self._tail = None
        self.bytes, self.size, self._floor = size, count + tail.count(b"\n"), 0


def _write_lines(path: str, lines: list[Line], is_synced: bool) -> None:
    write_atomically(path, b"".join(map(encode_line, lines)), is_synced=is_synced)


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
