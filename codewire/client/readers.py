"""Streams that outlive a worker: logs, watch and subscribe, each resumed where it stood.

The node names the log offset after every answer; after a lost connection the same question is
asked again from there, so no byte is missed or repeated. Events have no offset: see read_events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.client.reach.connection import (
    asked_again,
    check_answer,
    field,
    node_deadline,
)
from codewire.errors import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codewire.client.reach.connection import Redial
    from codewire.io.streams import FrameStream
    from codewire.wire.answers.events import Happening

    Connect = Callable[[], FrameStream]

# Where to begin is said by the offset once there is one.
BEGINNINGS = ("tail", "history_lines", "include_history")
EVENT_MESSAGES = frozenset(("SubscribeAck", "MsgListenAck", "Event", "EventsLost"))


class LogChunk(NamedTuple):
    """Text of a log. `offset` is the raw log offset after it, None from nodes that name none.

    `gap` bytes before this text are gone from the log (0: none). `done` marks the last chunk.
    """

    text: str
    offset: int | None
    gap: int
    done: bool


class WatchChunk(NamedTuple):
    """Raw output of a session with its status at the time; the fields as in LogChunk."""

    text: str
    offset: int | None
    gap: int
    status: str
    done: bool


def read_log(connect: Connect, redial: Redial, request: dict[str, Any]) -> Iterator[LogChunk]:
    """Yield the answers to a Logs request up to the one that is done."""
    for message in resumed(connect, redial, request, "LogData"):
        gap, done = field(message, "gap", 0), field(message, "done", False)
        yield LogChunk(field(message, "data", ""), _offset(message), gap, done)


def read_watch(connect: Connect, redial: Redial, request: dict[str, Any]) -> Iterator[WatchChunk]:
    """Yield the answers to a WatchSession request up to the one that is done."""
    for message in resumed(connect, redial, request, "WatchUpdate"):
        gap, done = field(message, "gap", 0), field(message, "done", False)
        status = field(message, "status", "")
        yield WatchChunk(field(message, "output", ""), _offset(message), gap, status, done)


def read_events(connect: Connect, redial: Redial, request: dict[str, Any]) -> Iterator[Happening]:
    """Yield the acknowledgement, then each Event and EventsLost as it comes.

    Another acknowledgement says that the worker was replaced: events in between may be missing.
    """
    from codewire.wire.answers.events import read_event

    stream = connect()
    while True:
        try:
            redial.send(stream, request)
            while (message := redial.receive(stream, request)) is not None:
                redial.succeeded()
                if check_answer(message).get("type") in EVENT_MESSAGES:
                    yield read_event(message)
        except ConnectionLost:
            pass
        finally:
            stream.close()
        stream = redial.open()


def resumed(
    connect: Connect, redial: Redial, request: dict[str, Any], kind: str
) -> Iterator[dict[str, Any]]:
    """Yield messages of one kind until one is done, over as many connections as it takes.

    Raises RequestError, ProtocolError, and ConnectionLost when the node is gone for good or, having
    named no offset, cannot be asked to continue; OutOfTime past redial's deadline.
    """
    first, ends = request, node_deadline(request)
    stream = connect()
    offset: int | None = None
    is_answered = False
    while True:
        try:
            redial.send(stream, request)
            while (message := redial.receive(stream, request)) is not None:
                redial.succeeded()
                # Other control frames are notices of newer nodes.
                if check_answer(message).get("type") != kind:
                    continue
                is_answered = True
                offset = _offset(message)
                yield message
                if message.get("done"):
                    return
        except ConnectionLost:
            pass
        finally:
            stream.close()
        if is_answered:
            if offset is None:
                raise ConnectionLost(
                    "connection lost: the node closed it in the middle of an answer"
                )
            kept = {key: value for key, value in first.items() if key not in BEGINNINGS}
            first = {**kept, "from_offset": offset}
        stream = redial.open()
        request = asked_again(first, ends)


def _offset(message: dict[str, Any]) -> int | None:
    return None if message.get("offset") is None else field(message, "offset", 0)
