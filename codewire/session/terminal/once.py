"""Input with a key: the same key is typed once, however often it is sent, workers killed or not.

Written down right before the first byte goes to the terminal and right after the last: between the
two a few microseconds pass. A worker killed in there leaves a key that is not typed again either.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable

from codewire.session.terminal.input import holding, never

MAX_KEYS = 1000
MAX_KEY_LENGTH = 200


class InputKeys:
    """The keys of one session: what each has typed, None while that is not known."""

    def __init__(self, path: str) -> None:
        """`path` is a file of its own; it is made when the first key comes."""
        self._path = path
        self._turn = threading.Lock()
        self._keys: dict[str, int | None] | None = None
        self._lines = 0

    def write(
        self,
        key: str,
        write: Callable[[Callable[[], None]], int],
        has_left: Callable[[], bool] = never,
    ) -> tuple[int | None, bool]:
        """Type once: return (bytes typed, None if not known; whether that was an earlier time).

        `write` gets a function to call right before the first byte goes out. What it raises before
        that leaves the key unused. Blocks while the same session's other keys are being typed;
        raises InputClosed when `has_left` says so meanwhile.
        """
        with holding(self._turn, has_left):
            keys = self._load()
            if key in keys:
                return keys[key], True
            count = write(lambda: self._note(keys, key, None))
            self._note(keys, key, count)
            return count, False

    def _load(self) -> dict[str, int | None]:
        if self._keys is not None:
            return self._keys
        self._keys = {}
        try:
            with open(self._path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except OSError:
            lines = []
        for line in lines:
            try:
                key, count = json.loads(line)
            except ValueError:
                # Cut short by a full disk.
                continue
            self._keys[key] = count
        self._lines = len(lines)
        return self._keys

    def _note(self, keys: dict[str, int | None], key: str, count: int | None) -> None:
        keys[key] = count
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            if self._lines >= 4 * MAX_KEYS:
                self._shorten(keys)
            fd = os.open(self._path, flags, 0o600)
            try:
                os.write(fd, json.dumps([key, count]).encode() + b"\n")
            finally:
                os.close(fd)
            self._lines += 1
        except OSError:
            # A full disk: the key still holds for as long as this worker lives.
            return

    def _shorten(self, keys: dict[str, int | None]) -> None:
        for old in list(keys)[: max(0, len(keys) - MAX_KEYS)]:
            del keys[old]
        temporary = self._path + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in keys.items())
        os.replace(temporary, self._path)
        self._lines = len(keys)
