"""A relay's streams of events (text/event-stream, WHATWG HTML 9.2), read and followed.

Whoever follows keeps the last id and gives it back next time: nothing is missed over a restart of
either side, or `stream.reset` says that something was.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.errors import RelayError, RelayRefused, RelayUnreachable
from codewire.network.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codewire.network.caller import Caller

REVOKED = "access.grant.revoked"
RESET = "stream.reset"

# A relay says something every 20 s at the latest; two of those missed and one on its way.
SILENCE_SECONDS = 65.0
# One line, or the lines of one event. Ours are a few hundred bytes.
MAX_EVENT = 1 << 20
# Pauses before the connection is tried again; the last one stays.
PAUSES = (1.0, 2.0, 4.0, 8.0)
ACCEPT = ("Accept", "text/event-stream")


class Event(NamedTuple):
    """One event: its id ("" for none), its type and its data."""

    id: str
    type: str
    data: str

    def value(self) -> dict[str, Any]:
        """Return the object in the data, {} where there is none."""
        try:
            found = json.loads(self.data)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class EventParser:
    """Bytes in, events out; the same events however the bytes are cut."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._size = 0
        self._had_return = False
        self._id = self._type = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are complete. Raises RelayError for one beyond MAX_EVENT bytes."""
        found: list[Event] = []
        for line in self._lines(data):
            event = self._take(line)
            if event is not None:
                found.append(event)
        return found

    def _lines(self, data: bytes) -> list[str]:
        """Return complete lines, which end with CR, LF or both."""
        if not data:
            return []
        is_rest = self._had_return and data.startswith(b"\n")
        self._had_return = data.endswith(b"\r")
        self._line += data[is_rest:].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        if len(rest) > MAX_EVENT:
            raise RelayError("the relay sent an event that is too large")
        return [line.decode("utf-8", "replace") for line in lines]

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        self._size += len(line)
        if self._size > MAX_EVENT:
            raise RelayError("the relay sent an event that is too large")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> Event | None:
        event = Event(self._id, self._type, "\n".join(self._data)) if self._data else None
        self._type, self._data, self._size = "", [], 0
        if event is not None and not event.type:
            # As upstream's own client does: the type is in the data, too.
            kind = event.value().get("type")
            event = event._replace(type=kind if isinstance(kind, str) else "message")
        return event


def read_events(caller: Caller, path: str, last_id: str = "") -> Iterator[Event]:
    """Yield events after `last_id` until the relay ends the stream.

    Raises as Caller does, and RelayUnreachable when nothing came for SILENCE_SECONDS.
    """
    fields = (ACCEPT, ("Last-Event-ID", last_id)) if last_id else (ACCEPT,)
    parser = EventParser()
    with caller.exchange(Request("GET", path, fields=fields)) as exchange:
        for piece in exchange.pieces(limit=MAX_EVENT, silence=SILENCE_SECONDS):
            yield from parser.feed(piece)


def follow_events(
    caller: Caller,
    path: str,
    last_id: str,
    on_lost: Callable[[str], None],
    wait: Callable[[float], object],
) -> Iterator[Event]:
    """Yield events for ever, over lost connections and restarts of the relay.

    `on_lost` is told why, in one line, before `wait` is called with the pause in seconds; what
    either raises ends it. Raises RelayRefused where asking again is of no use.
    """
    failures = 0
    while True:
        try:
            for event in read_events(caller, path, last_id):
                failures = 0
                last_id = event.id or last_id
                yield event
            problem = "the relay ended the stream"
        except RelayRefused as error:
            if not error.is_transient:
                raise
            problem = str(error)
        except RelayUnreachable as error:
            problem = str(error)
        on_lost(problem)
        wait(PAUSES[min(failures, len(PAUSES) - 1)])
        failures += 1
