"""One connection to a node, and how it is made again when the node's worker was replaced.

The listening socket outlives workers (the keeper holds it), so after a lost connection the next
connect waits in the backlog for the new worker; only a refusal means that the node itself is gone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from codewire.errors import (
    ConnectionLost,
    NodeRefused,
    NodeSilent,
    NodeUnreachable,
    ProtocolError,
    RequestError,
)
from codewire.io.streams import FrameStream
from codewire.io.unix import connect_unix
from codewire.wire.control import decode_control
from codewire.wire.frames import CONTROL

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.client.reach.target import Target

# A keeper that is itself being replaced is back within this time, or nobody will be.
PATIENCE = 3.0
PAUSE = 0.05
# A network may be away for longer than that, and is not to be knocked at that fast: the pause
# doubles up to the longest.
REMOTE_PATIENCE = 600.0
LONGEST_PAUSE = 5.0
# Connections that were accepted and closed without an answer, in a row: a worker that dies of us.
FRUITLESS_LIMIT = 60

# What a node answers at once unless its worker cannot start or is stuck; a worker being replaced,
# with 1000 sessions on a busy machine, takes a second or two.
PROMPT_REQUESTS = frozenset(("ListSessions", "GetStatus", "NodeStatus", "KVGet", "KVList"))
PROMPT_SECONDS = 30.0

Value = TypeVar("Value")


def open_stream(target: Target) -> FrameStream:
    """Return a connection to the target; the caller closes it. Raises NodeUnreachable."""
    if target.is_local:
        return FrameStream(connect_unix(target.data_dir.real_socket()))
    from codewire.client.reach.remote import dial

    return dial(target)


def receive_message(stream: FrameStream) -> dict[str, Any] | None:
    """Return the next control message; None when the peer has gone. Blocks; skips data frames.

    An end in the middle of a frame is an end like any other: the worker was killed while writing.
    Raises ProtocolError on bytes the format does not allow.
    """
    while True:
        frame = stream.next_frame()
        if frame is None:
            if not stream.fill():
                return None
        elif frame[0] == CONTROL:
            return decode_control(frame[1])


def exchange(stream: FrameStream, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the first answer to a request, None when the node went away. Closes the stream.

    Raises NodeSilent when a node that lets us in gives no answer it could give at once.
    """
    try:
        if request.get("type") in PROMPT_REQUESTS:
            stream.set_timeout(PROMPT_SECONDS)
        stream.send_control(request)
        return receive_message(stream)
    except TimeoutError as error:
        raise NodeSilent(
            f"the node does not answer (for {PROMPT_SECONDS:g}s); its log may say why: node.log in "
            "its data directory; 'cw node restart' replaces its worker"
        ) from error
    except ConnectionLost:
        return None
    finally:
        stream.close()


def check_answer(message: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that is none of the node's errors. Raises RequestError with its text."""
    if message.get("type") == "Error":
        raise RequestError(str(message.get("message") or "the node reported an unnamed error"))
    return message


def field(message: dict[str, Any], key: str, default: Value) -> Value:
    """Return a field of an answer; absent or null means `default`, which also says the type.

    Raises ProtocolError when the node sent another type.
    """
    value = message.get(key)
    if value is None:
        return default
    if not isinstance(value, type(default)) or (isinstance(value, bool) and default is not False):
        kind = message.get("type")
        raise ProtocolError(f"bad {kind} answer: {key} must be {type(default).__name__}")
    return value


def asked_again(request: dict[str, Any], started: float) -> dict[str, Any]:
    """Return a first request as it is asked again: of its time-out only what is left.

    `started` is the time.monotonic() when it was asked first.
    """
    timeout = request.get("timeout_seconds")
    if timeout is None:
        return request
    # 0 would mean for ever; the node words the time-out itself.
    return {**request, "timeout_seconds": max(1, timeout - int(time.monotonic() - started))}


class Redial:
    """Reaches a node again, with bounded patience; one for the lifetime of a stream."""

    def __init__(self, target: Target, notify: Callable[[str], None] | None = None) -> None:
        """`notify` is told, in one line, when a remote node does not come back at once."""
        self._target = target
        self._notify = notify
        self._refused_since: float | None = None
        self._fruitless = self._failures = 0

    def try_open(self) -> FrameStream | None:
        """Return a new connection, None when it is to be tried again in pause() seconds.

        Raises ConnectionLost once the node has not been there for PATIENCE seconds (a remote one:
        REMOTE_PATIENCE) or refuses us, or has closed FRUITLESS_LIMIT connections unanswered.
        """
        if self._fruitless >= FRUITLESS_LIMIT:
            raise ConnectionLost("connection closed before response")
        try:
            stream = open_stream(self._target)
        except NodeUnreachable as error:
            now = time.monotonic()
            if self._refused_since is None:
                self._refused_since = now
                self._say_waiting()
            self._failures += 1
            patience = PATIENCE if self._target.is_local else REMOTE_PATIENCE
            if now - self._refused_since >= patience or isinstance(error, NodeRefused):
                raise ConnectionLost(f"node is gone: {error}") from error
            return None
        self._refused_since = None
        self._fruitless += 1
        return stream

    def _say_waiting(self) -> None:
        if self._notify is not None and not self._target.is_local:
            self._notify(f"[cw] connection to {self._target.url} lost; trying again")

    def pause(self) -> float:
        """Return how many seconds to wait before the next attempt."""
        if self._target.is_local:
            return PAUSE
        # Some spread: the clients of a node that comes back do not all come at once.
        spread = 0.75 + time.monotonic() % 0.5
        steps = min(self._failures + self._fruitless, 10)
        return min(PAUSE * (1 << steps), LONGEST_PAUSE) * spread

    def open(self) -> FrameStream:
        """Return a new connection as soon as there is one. Blocks; raises as try_open does."""
        if self._fruitless:
            time.sleep(self.pause())
        while (stream := self.try_open()) is None:
            time.sleep(self.pause())
        return stream

    def succeeded(self) -> None:
        """Note that the node answered: the next loss starts with full patience."""
        self._fruitless = self._failures = 0
