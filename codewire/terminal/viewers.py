"""Whose size a session's terminal has: the attached client that typed or resized last."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

# Replies of a terminal, mouse and focus reports, cursor keys: none of them is text.
SEQUENCES = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)?|[^\[\]OP_^X])?"
)
# Keys that end a line or drop it: Enter, C-c, C-d, C-u, C-x.
ENDS = re.compile(rb"[\r\n\x03\x04\x15\x18]")
MAX_DRAFT = 256

Size = tuple[int, int]


class Viewer:
    """One attached client; its size in (rows, columns), None until it has said it."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size: Size | None = None


class Viewers:
    """The clients attached to one session, the one that acted last at the end."""

    def __init__(self, apply: Callable[[int, int], None]) -> None:
        """`apply` sets the terminal's size; called without a lock being held."""
        self._apply = apply
        self._lock = threading.Lock()
        self._viewers: list[Viewer] = []
        self._draft = b""
        self._typed_at = -1e9

    def add(self, viewer: Viewer) -> None:
        """A client attached; it has no say until it resizes or types."""
        with self._lock:
            self._viewers.insert(0, viewer)

    def resize(self, viewer: Viewer, size: Size) -> None:
        """A client's terminal has this size now."""
        viewer.size = size
        self._move_last(viewer)
        self._apply(*size)

    def note(self, data: bytes) -> None:
        """Take what a client's keys sent."""
        keys = SEQUENCES.sub(b"", data)
        if not keys:
            return
        self._typed_at = time.monotonic()
        *ended, rest = ENDS.split(keys)
        draft = rest if ended else self._draft + rest
        for _ in range(draft.count(b"\x7f")):
            head, _, tail = draft.partition(b"\x7f")
            draft = head[:-1] + tail
        self._draft = draft[-MAX_DRAFT:]

    @property
    def draft(self) -> str:
        """What an attached client has typed of a line it has not ended, "" where nothing is."""
        return self._draft.decode("utf-8", "replace") if self._viewers else ""

    def typed_seconds(self) -> float:
        """Return how long ago a client's last key was."""
        return time.monotonic() - self._typed_at

    def typed(self, viewer: Viewer) -> None:
        """A client typed: the terminal follows it."""
        if self._viewers and self._viewers[-1] is viewer:
            return
        self._move_last(viewer)
        if viewer.size is not None:
            self._apply(*viewer.size)

    def remove(self, viewer: Viewer) -> None:
        """A client left; the next one's size applies. Idempotent."""
        with self._lock:
            was_last = bool(self._viewers) and self._viewers[-1] is viewer
            self._viewers = [other for other in self._viewers if other is not viewer]
            sizes = [other.size for other in self._viewers if other.size is not None]
        if was_last and sizes:
            self._apply(*sizes[-1])

    def _move_last(self, viewer: Viewer) -> None:
        with self._lock:
            self._viewers = [*(other for other in self._viewers if other is not viewer), viewer]
