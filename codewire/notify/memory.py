"""What has been told, over the end of this process and its worker: notify.json, and the events.

Sessions' events.jsonl have every event before anybody is told of it. What is newer than `since` and
not among `done` is told again after a start: at least once, with the same id.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from codewire.files import read_regular
from codewire.notify.letters import TYPES, moment_ns
from codewire.paths import DataDir

MAX_BYTES = 1 << 20
# Of a session's events the last so many bytes: what happened while nobody was told is short.
TAIL_BYTES = 1 << 18
MAX_DONE = 2000
# Nobody wants to be told of what is older: it was switched off meanwhile.
OLD_NS = 600 * 1_000_000_000


class Memory:
    """Not thread-safe: its owner's one loop uses it."""

    def __init__(self, paths: DataDir, now_ns: int) -> None:
        self._paths = paths
        self._path = paths.notify
        self._since = now_ns
        self._done: OrderedDict[str, int] = OrderedDict()
        self._open: dict[str, int] = {}
        self.sent: list[float] = []
        self.is_new = not self._read()

    def _read(self) -> bool:
        try:
            value = json.loads(read_regular(self._path, MAX_BYTES))
            since, done, sent = value["since"], value["done"], value["sent"]
            if not isinstance(since, int) or not isinstance(done, dict):
                return False
            self._since = max(since, self._since - OLD_NS)
            self._done.update({str(key): int(at) for key, at in done.items()})
            self.sent = [float(moment) for moment in sent]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False
        return True

    def begin(self, name: str, moment: int) -> bool:
        """Take an event up; False for one that is known already."""
        if name in self._done or name in self._open:
            return False
        self._open[name] = moment
        return True

    def finish(self, name: str) -> None:
        """Whoever was to be told of an event has been, or cannot be."""
        moment = self._open.pop(name, None)
        if moment is not None:
            self._done[name] = moment
            while len(self._done) > MAX_DONE:
                _, dropped = self._done.popitem(last=False)
                self._since = max(self._since, dropped)
        if self._open:
            # Nothing that is still to be told may become too old.
            self._since = min(self._since, min(self._open.values()) - 1)

    def save(self, sent: list[float]) -> None:
        """Write it down. Raises OSError."""
        value = {"since": self._since, "done": dict(self._done), "sent": sent}
        temporary = f"{self._path}.part"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(value, file)
        os.replace(temporary, self._path)

    def missed(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield events that may not have been told, by session; damage is left out."""
        for name in _numbers(self._paths.sessions):
            for suffix in (".1", ""):
                path = os.path.join(self._paths.session(name), f"events.jsonl{suffix}")
                for event in _events(path, self._since):
                    if moment_ns(event) > self._since:
                        yield name, event


def _numbers(directory: str) -> list[int]:
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def _events(path: str, since_ns: int) -> Iterator[dict[str, Any]]:
    try:
        # Whatever was appended since has touched it; a clock may be coarse.
        if os.stat(path).st_mtime_ns < since_ns - 1_000_000_000:
            return
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            data = file.read(TAIL_BYTES)
    except OSError:
        return
    for line in data.split(b"\n"):
        if not any(kind.encode() in line for kind in TYPES):
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and event.get("type") in TYPES:
            yield event
