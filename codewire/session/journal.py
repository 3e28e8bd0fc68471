"""A journal: JSON lines that are appended one by one and read back whole at the next start.

A line is there or it is not: one cut short by the death of its writer is dropped. Replacing the
file by a shorter one that says the same is atomic. Its owner sees to it that calls do not overlap.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from typing import Any

from codewire.io.wait import run_blocking
from codewire.session.events import append_line
from codewire.session.store import write_atomically

log = logging.getLogger(__name__)

# Below this, shortening is not worth a write.
FEW_LINES = 1000
FEW_BYTES = 4 << 20


class Journal:
    """The file at `path`; `size` counts its lines."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.size = 0

    def load(self) -> list[dict[str, Any]]:
        """Return every whole line, oldest first; damaged ones are left out."""
        try:
            with open(self._path, "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            log.error("reading %s failed: %s", self._path, error.strerror)
            return []
        values = [value for line in lines if (value := read_line(line)) is not None]
        self.size = len(lines)
        return values

    def append(self, value: dict[str, Any]) -> bool:
        """Add a line; False when the disk refuses it."""
        self.size += 1
        return append_line(self._path, value)

    def is_long(self, lines: int, size: int) -> bool:
        """Say whether the file is mostly past: `lines` lines, `size` bytes of it still matter."""
        if self.size > FEW_LINES + 4 * lines:
            return True
        try:
            return os.stat(self._path).st_size > FEW_BYTES + 2 * size
        except OSError:
            return False

    def rewrite(self, values: Iterable[dict[str, Any]]) -> None:
        """Replace all lines by these; a full disk leaves the file as it was. Blocks."""
        kept = list(values)
        try:
            run_blocking(self._write, kept)
        except OSError as error:
            log.warning("writing %s failed: %s", self._path, error.strerror)
        # Counted also when it failed, so that it is not tried again at once.
        self.size = len(kept)

    def _write(self, values: list[dict[str, Any]]) -> None:
        lines = (json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values)
        write_atomically(self._path, "".join(f"{line}\n" for line in lines))


def read_line(line: bytes) -> dict[str, Any] | None:
    """Return the object on one line, None when it holds no such thing."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
