"""One connection to a node, and how it is made again when the node's worker was replaced.

The listening socket outlives workers (the keeper holds it), so after a lost connection the next
connect waits in the backlog for the new worker; only a refusal means that the node itself is gone.
Every wait in here ends by a Deadline (io/deadline.py) that the caller has set, or by a bound of
its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from codewire.errors import (
    ConnectionLost,
    NodeHungUp,
    NodeRefused,
    NodeSilent,
    NodeUnreachable,
    NoWorker,
    OutOfTime,
    ProtocolError,
    RequestError,
    WaitTimedOut,
)
from codewire.io.deadline import NEVER, Deadline
from codewire.wire.control import decode_control
from codewire.wire.frames import CONTROL
from codewire.wire.requests import check_outgoing, is_question, is_slow, is_wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.client.reach.route import Route
    from codewire.io.streams import FrameStream

# Connections that were accepted and closed without an answer, in a row: a worker that dies of us.
FRUITLESS_LIMIT = 60
# A worker that cannot start may be one whose machine is mended in a while; then what was under way
# goes on.
WORKER_SECONDS = 600.0
WORKER_PAUSE = 0.5

# What is no wait is answered at once unless the worker is stuck; a worker being replaced, with
# 1000 sessions on a busy machine, takes a second or two.
PROMPT_SECONDS = 10.0
# For all attempts together, however many workers they take.
PROMPT_TOTAL_SECONDS = 60.0
# What a slow network still carries, so that a large request is not taken for silence.
SLOW_BYTES_PER_SECOND = 32 * 1024
# The node words its own time-outs, so it is given a moment to do so before the client does.
MARGIN_SECONDS = 0.2

NO_WORKER = "no_worker"
# As every node has always begun it (spec/wire.md 10).
UNKNOWN_REQUEST = "unknown request type: "

Value = TypeVar("Value")


def receive_message(
    stream: FrameStream, deadline: Deadline = NEVER, silence: float | None = None
) -> dict[str, Any] | None:
    """Return the next control message; None when the peer has gone. Blocks; skips data frames.

    An end in the middle of a frame is an end like any other: the worker was killed while writing.
    Raises OutOfTime past the deadline, NodeSilent when nothing at all comes for `silence` seconds,
    and ProtocolError on bytes the format does not allow.
    """
    started = time.monotonic()
    try:
        return _receive(stream, deadline, silence, started)
    except ProtocolError as error:
        from codewire.client.reach.silence import find_stranger

        stranger = find_stranger(stream.peer_pid())
        raise (ProtocolError(f"{error}: {stranger}") if stranger else error) from error.__cause__


def _receive(
    stream: FrameStream, deadline: Deadline, silence: float | None, started: float
) -> dict[str, Any] | None:
    while True:
        frame = stream.next_frame()
        if frame is None:
            try:
                if not _fill(stream, deadline.within(silence)):
                    return None
            except TimeoutError:
                raise silent(stream, time.monotonic() - started, deadline) from None
        elif frame[0] == CONTROL:
            return decode_control(frame[1])


def _fill(stream: FrameStream, limit: Deadline) -> bool:
    _bound(stream, limit)
    return stream.fill()


def _bound(stream: FrameStream, limit: Deadline) -> None:
    """Let the next read or write end by then. Raises TimeoutError when that is past already."""
    left = limit.left()
    # 0 would make the socket one that never waits.
    if left == 0:
        raise TimeoutError
    stream.set_timeout(left)


def silent(stream: FrameStream, seconds: float, deadline: Deadline) -> NodeSilent:
    """Return the error for a node that has said nothing for so many seconds."""
    from codewire.client.reach.silence import words

    text, is_stopped = words(stream, seconds)
    return (OutOfTime if deadline.expired else NodeSilent)(text, is_stopped)


def exchange(stream: FrameStream, request: dict[str, Any], redial: Redial) -> dict[str, Any] | None:
    """Return the first answer to a request, None when the node went away. Closes the stream.

    Raises NodeSilent when a node that lets us in gives no answer it could give at once, OutOfTime
    past the deadline of `redial`.
    """
    try:
        redial.send(stream, request)
        return redial.receive(stream, request)
    except ConnectionLost:
        return None
    except NodeSilent as error:
        if is_question(request):
            raise
        raise type(error)(
            f"{error}; what was asked for may still be done", error.is_stopped
        ) from error
    finally:
        stream.close()


def check_answer(message: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that is none of the node's errors. Raises RequestError with its text.

    NoWorker where it is the keeper that answers, because its worker cannot start.
    """
    if message.get("type") == "Error":
        text = str(message.get("message") or "the node reported an unnamed error")
        code = message.get("code")
        if code == NO_WORKER:
            raise NoWorker(text)
        # Nodes of another make have no codes.
        if code == "timed_out" or text == "wait timed out":
            raise WaitTimedOut(text)
        if text.startswith(UNKNOWN_REQUEST):
            raise RequestError(older_words(text.removeprefix(UNKNOWN_REQUEST)), "unknown_request")
        raise RequestError(text, code if isinstance(code, str) else "")
    return message


def older_words(kind: str) -> str:
    """Say in our own words that a node does not know a request."""
    from codewire.wire.features import WORDS

    what = WORDS.get(kind, f"requests of type {kind[:40]}")
    return f"this node knows no {what}: it is older than this cw, or another program"


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


def timeout_fields(seconds: float | None) -> dict[str, Any]:
    """Return how a time-out stands in a request; {} for None and 0.

    `timeout_seconds` is whole, rounded up, as every node takes it; `timeout_ms` says it exactly
    where that is not the same.
    """
    if not seconds:
        return {}
    exact = max(1, round(seconds * 1000))
    whole = -(-exact // 1000)
    return {"timeout_seconds": whole, **({"timeout_ms": exact} if exact % 1000 else {})}


def node_deadline(request: dict[str, Any]) -> Deadline:
    """Return when the node's own time-out of a request asked now passes."""
    if request.get("timeout_ms"):
        return Deadline.after(request["timeout_ms"] / 1000)
    return Deadline.after(request.get("timeout_seconds") or None)


def asked_again(request: dict[str, Any], ends: Deadline) -> dict[str, Any]:
    """Return a first request as it is asked again: of its time-out only what is left."""
    left = ends.left()
    if left is None:
        return request
    # 0 would mean for ever; the node words the time-out itself.
    return {**request, "timeout_ms": None, **timeout_fields(max(0.001, left))}


class Redial:
    """Waits for a node, and reaches it again, with bounded patience; one for a stream's life."""

    def __init__(
        self,
        route: Route,
        notify: Callable[[str], None] | None = None,
        deadline: Deadline = NEVER,
    ) -> None:
        """`notify` is told, in one line, of a node whose coming back may take a while."""
        self.deadline = deadline
        self._route = route
        self._notify = notify
        self._refused_since: float | None = None
        self._fruitless = self._failures = 0
        self._has_told = False
        self._is_again = self._is_answered = False
        self._no_worker_since: float | None = None

    # Asking

    def send(self, stream: FrameStream, request: dict[str, Any]) -> None:
        """Send a request. Raises ConnectionLost, and as `receive` does when nobody reads it."""
        check_outgoing(request)
        size = sum(len(value) for value in request.values() if isinstance(value, str))
        seconds = PROMPT_SECONDS + size / SLOW_BYTES_PER_SECOND
        started = time.monotonic()
        try:
            _bound(stream, self.deadline.within(seconds))
            stream.send_control(request)
        except TimeoutError:
            raise silent(stream, time.monotonic() - started, self.deadline) from None

    def receive(self, stream: FrameStream, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the next answer to a request, None when the node went away.

        Raises OutOfTime past the deadline, NodeSilent when a request that is no wait is not
        answered for PROMPT_SECONDS, and NodeHungUp when the first answer is a goodbye. Whoever
        waits is told, once, of a worker that is stopped; what is only slow is given up then.
        A remote node is asked for a sign of life instead: without one it counts as lost
        (ConnectionLost), and whoever waits is told that.
        """
        while True:
            try:
                message = receive_message(stream, self.deadline, PROMPT_SECONDS)
                if message is None and not self._is_answered and stream.was_dismissed:
                    raise NodeHungUp(
                        f"{self._route} closed the connection instead of answering "
                        f"{request.get('type')}: it may be too old to know such a request"
                    )
                if message is not None and is_wait(request) and self.excuses(message):
                    raise ConnectionLost("no worker serves just now")
                return message
            except OutOfTime:
                raise
            except NodeSilent as error:
                if not is_wait(request):
                    raise
                if error.is_stopped and is_slow(request):
                    raise
                if error.is_stopped and not self._has_told and self._notify is not None:
                    self._has_told = True
                    self._notify(f"[cw] still waiting, but {error}")
                if not stream.probe():
                    self.say_silent()
                    raise ConnectionLost(f"{self._route} does not answer any more") from error

    def excuses(self, message: dict[str, Any]) -> bool:
        """Say whether an answer only means that no worker serves at the moment: ask again.

        So it is for what was under way when its worker ended; others get the keeper's reason.
        Raises NoWorker once it has been so for WORKER_SECONDS.
        """
        if not self._is_again or message.get("code") != NO_WORKER:
            return False
        now = time.monotonic()
        if self._no_worker_since is None:
            self._no_worker_since = now
            if self._notify is not None:
                self._notify(f"[cw] still trying: {message.get('message')}")
        elif now - self._no_worker_since > WORKER_SECONDS:
            check_answer(message)
        self._fruitless = 0
        return True

    def say_silent(self) -> None:
        """Tell that a remote node gives no sign of life."""
        if self._notify is not None:
            self._notify(f"[cw] {self._route} does not answer any more; connecting again")

    # Reaching

    def try_open(self) -> FrameStream | None:
        """Return a new connection, None when it is to be tried again in pause() seconds.

        Raises ConnectionLost once the node has not been there for as long as its route has patience
        or refuses us, or has closed FRUITLESS_LIMIT connections unanswered; OutOfTime past the
        deadline.
        """
        if self._fruitless >= FRUITLESS_LIMIT:
            raise ConnectionLost("connection closed before response")
        try:
            stream = self._route.open(self.deadline)
        except NodeUnreachable as error:
            now = time.monotonic()
            if self._refused_since is None:
                self._refused_since = now
                self._say_waiting()
            self._failures += 1
            is_over = now - self._refused_since >= self._route.patience
            if is_over or isinstance(error, NodeRefused):
                raise ConnectionLost(f"node is gone: {error}") from error
            if self.deadline.expired:
                raise OutOfTime(str(error)) from error
            return None
        self._refused_since = None
        self._fruitless += 1
        self._is_again = True
        return stream

    def _say_waiting(self) -> None:
        line = self._route.lost()
        if self._notify is not None and line:
            self._notify(f"[cw] {line}")

    def pause(self) -> float:
        """Return how many seconds to wait before the next attempt."""
        if self._no_worker_since is not None:
            return WORKER_PAUSE
        return self._route.pause(self._failures + self._fruitless)

    def open(self) -> FrameStream:
        """Return a new connection as soon as there is one. Blocks; raises as try_open does."""
        if self._fruitless or self._no_worker_since is not None:
            self._sleep()
        while (stream := self.try_open()) is None:
            self._sleep()
        return stream

    def _sleep(self) -> None:
        time.sleep(self.deadline.within(self.pause()).left() or 0)
        if self.deadline.expired:
            raise OutOfTime(f"{self._route} was lost, and is not back in time")

    def succeeded(self) -> None:
        """Note that the node answered: the next loss starts with full patience."""
        self._is_answered = True
        self._fruitless = self._failures = 0
        self._no_worker_since = None
