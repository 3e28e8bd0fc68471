"""Input with a key: the same key is typed once, however often it is sent, workers killed or not.

Written down right before the first byte goes to the terminal and right after the last: between the
two a few microseconds pass. A worker killed in there leaves a key that is not typed again either.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from codewire.disk.filing import (
    encode_line,
    move_aside,
    read_file,
    read_json,
    write_atomically,
)
from codewire.disk.lines import Lines
from codewire.io.transient import is_transient
from codewire.io.wait import run_blocking
from codewire.terminal.input import InputClosed, holding, never

log = logging.getLogger(__name__)

MAX_KEYS = 1000
MAX_KEY_LENGTH = 200
# Lines beyond which the file is shortened to the last MAX_KEYS.
MAX_LINES = 4 * MAX_KEYS
# More than MAX_LINES lines of ours ever have; a key character takes 12 bytes of JSON at most.
MAX_FILE_BYTES = 16 << 20


class InputKeys:
    """The keys of one session: what each has typed, None while that is not known."""

    def __init__(self, path: str) -> None:
        """`path` is a file of its own; it is made when the first key comes."""
        self._path = path
        self._file = Lines(path)
        self._turn = threading.Lock()
        self._keys: dict[str, int | None] | None = None
        self._size = 0

    def write(
        self,
        key: str,
        write: Callable[[Callable[[], None]], int],
        has_left: Callable[[], bool] = never,
    ) -> tuple[int | None, bool]:
        """Type once: return (bytes typed, None if not known; whether that was an earlier time).

        `write` gets a function to call right before the first byte goes out. What it raises before
        that leaves the key unused; what it raises later, InputClosed apart, leaves unknown what
        was typed. Blocks while the same session's other keys are being typed; raises InputClosed
        when `has_left` says so meanwhile.
        """
        with holding(self._turn, has_left):
            keys = self._load()
            if key in keys:
                return keys[key], True
            try:
                count = write_once(write, lambda: self._note(keys, key, None))
            except InputClosed as error:
                if not error.written:
                    # Nothing was typed: it may be, this time or the next.
                    keys.pop(key, None)
                raise
            if count is not None:
                self._note(keys, key, count)
            return count, False

    def _load(self) -> dict[str, int | None]:
        if self._keys is None:
            self._keys = dict(self._read())
            # Older ones than that were dropped, or would have been.
            for old in list(self._keys)[: max(0, len(self._keys) - MAX_LINES)]:
                del self._keys[old]
        return self._keys

    def _read(self) -> list[tuple[str, int | None]]:
        """Return what the file says; nothing where it is no file of ours."""
        try:
            lines = run_blocking(read_file, self._path, MAX_FILE_BYTES).split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            if is_transient(error):
                raise
            move_aside(self._path, error.strerror or str(error))
            return []
        self._size = len(lines)
        return [entry for line in lines if (entry := _read_entry(line)) is not None]

    def _note(self, keys: dict[str, int | None], key: str, count: int | None) -> None:
        """Write down what a key has typed; on a full disk it holds while this worker lives."""
        keys[key] = count
        if self._size >= MAX_LINES:
            self._shorten(keys)
        self._file.add([key, count])
        self._file.write()
        self._size += 1

    def _shorten(self, keys: dict[str, int | None]) -> None:
        """Forget all but the newest keys."""
        for old in list(keys)[: max(0, len(keys) - MAX_KEYS)]:
            del keys[old]
        data = b"".join(encode_line(entry) for entry in keys.items())
        try:
            run_blocking(_replace, self._path, data)
        except OSError as error:
            log.warning("writing %s failed: %s", self._path, error.strerror)
            return
        self._size = len(keys)


def _replace(path: str, data: bytes) -> None:
    write_atomically(path, data, is_synced=False)


def write_once(
    write: Callable[[Callable[[], None]], int], before: Callable[[], None] = lambda: None
) -> int | None:
    """Return what `write` returns, None when it failed after the first byte: nobody knows then.

    `write` gets a function to call right before that byte, which calls `before`. What it raises
    earlier is raised, and InputClosed, which knows, at any time.
    """
    has_begun = False

    def begin() -> None:
        nonlocal has_begun
        has_begun = True
        before()

    try:
        return write(begin)
    except InputClosed:
        raise
    except Exception:
        if not has_begun:
            raise
        log.exception("typing failed, and it is not known how far it came")
        return None


def _read_entry(line: bytes) -> tuple[str, int | None] | None:
    """Return (key, count) of one line, None when it is damaged."""
    try:
        value: Any = read_json(line)
    except ValueError:
        return None
    if not isinstance(value, list) or len(value) != 2:
        return None
    key, count = value
    is_key = isinstance(key, str) and 0 < len(key) <= MAX_KEY_LENGTH
    is_count = count is None or (type(count) is int and count >= 0)
    return (key, count) if is_key and is_count else None
