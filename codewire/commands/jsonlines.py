"""`cw watch --output json`: a session's output as one JSON value a line.

Pure: text in, text out. A line that is JSON passes through, any other becomes
`{"timestamp","stream","text"}`; a filter picks one part of every value.
"""

from __future__ import annotations

import json
import re
from typing import Any

from codewire.commands.output import compact_json
from codewire.errors import UsageError

STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
# A longer line is given out in pieces: it is no message of a program anyway.
MAX_LINE = 1 << 20
MISSING = object()


class JsonLines:
    """Turns terminal output into lines of JSON; `path` is a filter such as `.a.b[0]`, or None.

    Raises UsageError for a filter that is none.
    """

    def __init__(self, path: str | None = None) -> None:
        from codewire.term.strip import AnsiStripper

        self._steps = _steps(path) if path is not None else None
        self._stripper = AnsiStripper()
        self._pending = ""

    def feed(self, text: str, timestamp: str) -> str:
        """Return the lines that this text completes; timestamp is what they are stamped with."""
        data = self._stripper.feed(text.encode("utf-8", "replace"))
        *lines, self._pending = (self._pending + data.decode("utf-8", "replace")).split("\n")
        if len(self._pending) > MAX_LINE:
            lines.append(self._pending)
            self._pending = ""
        return "".join(self._convert(line.rstrip("\r"), timestamp) for line in lines)

    def finish(self, timestamp: str) -> str:
        """Return what is left without a line end."""
        return self.feed("\n", timestamp) if self._pending else ""

    def _convert(self, line: str, timestamp: str) -> str:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = {"timestamp": timestamp, "stream": "stdout", "text": line}
            line = compact_json(value)
        if self._steps is None:
            from codewire.term.width import harmless_json

            return harmless_json(line.strip()) + "\n"
        found = _pick(value, self._steps)
        return "" if found is MISSING else compact_json(found) + "\n"


def _steps(path: str) -> list[str | int]:
    """Return the keys and indexes of a filter."""
    steps: list[str | int] = []
    end = 0
    for step in STEP.finditer(path):
        if step.start() != end:
            break
        steps.append(step[1] if step[1] is not None else int(step[2]))
        end = step.end()
    if end != len(path) and path != ".":
        raise UsageError(f'invalid argument "{path}" for "--filter" flag: must be like .a.b[0]')
    return steps


def _pick(value: Any, steps: list[str | int]) -> Any:
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return value
