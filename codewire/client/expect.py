"""Waiting for text in a session's output, without taking the echo of what was typed for output.

The node sends the text and, with it, the lines that were typed; looking for a match is done here,
so that nobody's expression can hold up the node.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.client.reach.connection import field, node_deadline, timeout_fields
from codewire.client.readers import resumed
from codewire.errors import RequestError, WaitTimedOut
from codewire.wire.codes import NOT_RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from codewire.client.reach.connection import Redial
    from codewire.client.readers import Connect
    from codewire.io.deadline import Deadline

# Text that is looked at again when more comes: a match may lie across pieces.
WINDOW_CHARS = 64 * 1024
# How often a screen is looked at, between waits for output.
LOOK_SECONDS = 0.25
# An echo longer than this is recognised by its beginning.
ECHO_CHARS = 1000
SPACE = re.compile(r"\s+")


class Match(NamedTuple):
    """What was waited for: the line it is in, and a log offset after it to go on from."""

    line: str
    offset: int | None


class Echo:
    """A typed line that a terminal shows as though it were output."""

    def __init__(self, line: str, position: int) -> None:
        """`position` is where in the text, in characters, it may come first."""
        self.compact = SPACE.sub("", line)[:ECHO_CHARS]
        self.position = position
        # Lines wrap, and editors redraw: white space means nothing.
        self.expression = re.compile(r"\s*".join(map(re.escape, self.compact)))
        # Of the first time it was shown.
        self.span: tuple[int, int] | None = None


class Matcher:
    """Looks for a pattern in text that comes in pieces."""

    def __init__(self, pattern: re.Pattern[str], include_echo: bool) -> None:
        self._pattern = pattern
        self._include_echo = include_echo
        self._text = ""
        # Characters that were dropped from the front of `_text`, and where the search goes on.
        self._base = self._from = 0
        self._echoes: dict[tuple[int, str], Echo] = {}

    def add_typed(self, offset: int, line: str) -> None:
        """Take a line that was typed when the log ended at `offset`; call before `feed`."""
        key = (offset, line)
        if not self._include_echo and line.strip() and key not in self._echoes:
            for old in [k for k in self._echoes if k[0] == offset and line.startswith(k[1])]:
                # The same line, when there was less of it.
                del self._echoes[old]
            self._echoes[key] = Echo(line, self._base + len(self._text))

    def feed(self, text: str) -> str | None:
        """Take more text; return the line with the first match that is no echo, else None."""
        self._text += text
        self._find_echoes()
        for found in self._pattern.finditer(self._text, max(0, self._from - self._base)):
            if found.start() == found.end():
                continue
            start, end = found.start() + self._base, found.end() + self._base
            verdict = self._judge(start, end, found[0])
            if verdict is None:
                self._from = start
                return None
            if verdict:
                return self._line(found.start(), found.end())
            self._from = start + 1
        self._trim()
        return None

    def _find_echoes(self) -> None:
        for echo in self._echoes.values():
            if echo.span is None:
                found = echo.expression.search(self._text, max(0, echo.position - self._base))
                if found:
                    echo.span = (found.start() + self._base, found.end() + self._base)

    def _judge(self, start: int, end: int, text: str) -> bool | None:
        """Say whether a match is output; None while it may yet turn out to be an echo."""
        for echo in self._echoes.values():
            if echo.position > start:
                continue
            if echo.span is not None and echo.span[0] <= start and end <= echo.span[1]:
                return False
            if SPACE.sub("", text) != echo.compact and self._covers(echo, start, end):
                # Shown again, by a line editor or a shell that traces: what is longer than the
                # match is no chance likeness.
                return False
            if self._may_cover(echo, start):
                return None
        return True

    def _covers(self, echo: Echo, start: int, end: int) -> bool:
        first = max(echo.position, start - 2 * len(echo.compact) - 200, self._base)
        found = echo.expression.finditer(self._text, first - self._base)
        return any(
            hit.start() + self._base <= start and end <= hit.end() + self._base for hit in found
        )

    def _may_cover(self, echo: Echo, start: int) -> bool:
        """Say whether the text ends within an echo that began at or before `start`."""
        if echo.span is not None:
            return False
        first = max(echo.position, start - 2 * len(echo.compact) - 200, self._base) - self._base
        tail = self._text[first:]
        if len(tail) > 4 * ECHO_CHARS:
            return False
        compact = SPACE.sub("", tail)
        before = len(SPACE.sub("", tail[: start - self._base - first]))
        return any(echo.compact.startswith(compact[at:]) for at in range(before + 1))

    def _line(self, start: int, end: int) -> str:
        first = self._text.rfind("\n", 0, start) + 1
        last = self._text.find("\n", end)
        return self._text[first : last if last >= 0 else len(self._text)].strip("\r")

    def _trim(self) -> None:
        extra = len(self._text) - WINDOW_CHARS
        if extra > WINDOW_CHARS:
            self._text = self._text[extra:]
            self._base += extra


def shown_lines(screen: dict[str, Any]) -> list[str]:
    """Return the lines on a screen, from a Screen answer."""
    empty: list[Any] = []
    return [line for line in field(screen, "lines", empty) if isinstance(line, str)]


def find_shown(
    screen: dict[str, Any], pattern: re.Pattern[str], typed: Iterable[str] = ()
) -> Match | None:
    """Return the line of a screen that matches and is no echo of a line that was typed."""
    matcher = Matcher(pattern, include_echo=False)
    for number, line in enumerate(typed):
        matcher.add_typed(number, line)
    # The newline ends what might yet become an echo.
    found = matcher.feed("\n".join(shown_lines(screen)) + "\n")
    return None if found is None else Match(found, screen.get("offset"))


def text_request(session_id: int, from_offset: int, timeout: dict[str, Any]) -> dict[str, Any]:
    """Return the request whose answers `wait_for_text` looks through; `timeout` are its fields."""
    return {
        "type": "Logs",
        "id": session_id,
        "follow": True,
        "strip_ansi": True,
        "from_offset": from_offset,
        "mark_typed": True,
        **timeout,
    }


def wait_for_text(
    connect: Connect,
    redial: Redial,
    request: dict[str, Any],
    pattern: re.Pattern[str],
    include_echo: bool,
    look: Callable[[], dict[str, Any] | None] | None = None,
) -> Match:
    """Block until a session prints what matches, from where a text_request begins.

    `look` returns the session's screen (None: not known), which counts as well; it is asked
    whenever LOOK_SECONDS have passed. Raises RequestError when the session ends before that, or in
    time; OutOfTime past redial's deadline.
    """
    matcher = Matcher(pattern, include_echo)
    ends = node_deadline(request)
    typed: dict[tuple[int, str], None] = {}
    screen: dict[str, Any] | None = None
    while True:
        message: dict[str, Any] = {}
        part = request if look is None else _part(request, ends, 0.001 if screen else LOOK_SECONDS)
        for message in resumed(connect, redial, part, "LogData"):
            for offset, line in _typed(message):
                matcher.add_typed(offset, line)
                typed[offset, line] = None
            found = matcher.feed(field(message, "data", ""))
            if found is not None:
                return Match(found, message.get("offset"))
        has_ended = not message.get("timed_out")
        # Judged once more when it is known what had been typed before the look: it may be an echo.
        was_seen, screen = screen, screen or (look() if look is not None else None)
        lines = () if include_echo else [line for _, line in typed]
        match = find_shown(screen, pattern, lines) if screen is not None else None
        if match is not None and (was_seen or has_ended):
            return match
        screen = screen if match is not None else None
        if has_ended:
            raise RequestError(f"session {request['id']} ended without printing it", NOT_RUNNING)
        if look is None or ends.left() == 0:
            raise WaitTimedOut("wait timed out")
        request = {**request, "from_offset": message.get("offset")}


def _part(request: dict[str, Any], ends: Deadline, seconds: float) -> dict[str, Any]:
    """Return the request for the output of the next moment."""
    left = ends.left()
    part = seconds if left is None else max(0.001, min(seconds, left))
    return {**request, "timeout_ms": None, **timeout_fields(part)}


def _typed(message: dict[str, Any]) -> Iterator[tuple[int, str]]:
    empty: list[Any] = []
    for entry in field(message, "typed", empty):
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str):
            yield int(entry[0]), entry[1]
