"""Requests that wait for their answer, and the last answers: in memory and in requests.jsonl.

    open ── a reply, from the recipient or with the token ──> answered
    open ── withdrawn, recipient ended, or pushed out ──────> forgotten

A request stays open when its caller goes or loses patience: the answer then goes to the inboxes
only. An answer is kept a while for a caller that lost its connection to a killed worker. Every
change is one journal line. Its user, the mailbox, holds `lock` for whatever does not say that it
blocks; the disk is waited for without it.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from codewire.disk.journal import Journal, Line
from codewire.disk.lines import Line as Entry
from codewire.disk.scribe import Scribe
from codewire.errors import RequestError
from codewire.io.clock import CLOCK, Clock, Moment
from codewire.wire.codes import BUSY

# Bounds on what is kept in memory; the oldest request that nobody waits for makes room.
MAX_OPEN = 10_000
MAX_OPEN_BYTES = 64 << 20
KEPT_ANSWERS = 1000
KEPT_ANSWER_BYTES = 4 << 20
OPEN_SECONDS = 7 * 24 * 3600
SECOND = 1_000_000_000
# A worker that was killed may have written so many changes without doing the rest: one for each
# client that waited.
LAST_LINES = 256


@dataclass(slots=True)
class Answer:
    """A reply. `key` names the attempt it was made in, so that it is not refused when repeated."""

    from_id: int
    from_name: str
    body: str
    key: str
    sent_ns: int


@dataclass(slots=True)
class Request:
    """A question from one session (0: anonymous) to another. Times: nanoseconds since the epoch."""

    id: str
    token: str
    from_id: int
    from_name: str
    to_id: int
    to_name: str
    body: str
    sent_ns: int
    timeout_seconds: float
    # When it was sent on the steady clock, and of which boot.
    steady_ns: int = 0
    boot: str = ""
    # When its callers stop waiting, on the steady clock of this boot; kept by Pending.
    ends_ns: int = 0
    answer: Answer | None = None
    is_closed: bool = False
    # An answer is on its way to the file: nobody closes or answers it meanwhile.
    is_being_answered: bool = False
    # Woken when the request is answered or closed; one for each connection that waits.
    wakers: list[threading.Event] = field(default_factory=list)

    @property
    def sent(self) -> Moment:
        """When it was sent, on both clocks."""
        return Moment(self.sent_ns, self.steady_ns, self.boot)

    def data(self) -> dict[str, Any]:
        """Return what a message.request event carries (spec/wire.md 13.1)."""
        sender = {"from": self.from_id, **_named("from_name", self.from_name)}
        recipient = {"to": self.to_id, **_named("to_name", self.to_name)}
        key = {"request_id": self.id, "reply_token": self.token}
        return {**key, **sender, **recipient, "body": self.body}

    def reply_data(self) -> dict[str, Any]:
        """Return what the message.reply event of an answered request carries."""
        answer = self.answer
        assert answer is not None
        sender = {"from": answer.from_id, **_named("from_name", answer.from_name)}
        return {"request_id": self.id, **sender, "body": answer.body}

    def wake(self) -> None:
        """Make everyone who waits look again."""
        for waker in self.wakers:
            waker.set()


def _named(key: str, name: str) -> dict[str, str]:
    return {key: name} if name else {}


class Pending:
    """The open requests of the node, by id, and the last answered ones."""

    def __init__(
        self,
        path: str,
        clock: Clock = CLOCK,
        scribe: Scribe | None = None,
    ) -> None:
        """`scribe` writes what nobody waits for."""
        self.lock = threading.Lock()
        self._journal = Journal(path)
        self._scribe = scribe or Scribe()
        self._clock = clock
        self._open: OrderedDict[str, Request] = OrderedDict()
        self._answered: OrderedDict[str, Request] = OrderedDict()
        self._open_bytes = 0
        self._answer_bytes = 0

    def load(self) -> list[Request]:
        """Bring back what was open; return what the last lines were about, unless it is closed.

        Whoever wrote those may have been killed before they did the rest. Blocks.
        """
        self._last: deque[Request] = deque(maxlen=LAST_LINES)
        is_whole = self._journal.replay(self._replay)
        for request in list(self._open.values()):
            if self._clock.since(request.sent) > OPEN_SECONDS * SECOND:
                self._remove(request)
        if not is_whole:
            self._journal.shorten(self._all_lines)
        last = {request.id: request for request in self._last}
        return [request for request in last.values() if not request.is_closed or request.answer]

    def _replay(self, line: Line) -> None:
        """Apply one line. Raises ValueError, TypeError or KeyError."""
        if "open" in line:
            request = _read_request(line)
            self._add(request)
            self._last.append(request)
            while self._is_full():
                self._remove(next(iter(self._open.values())))
        elif "answered" in line:
            answer = _read_answer(line["answer"])
            answered = self._open.get(_text(line, "answered"))
            if answered is not None:
                self._settle(answered, answer)
                self._last.append(answered)
        else:
            closed = self._open.get(_text(line, "closed"))
            if closed is not None:
                self._remove(closed)

    def seconds_left(self, request: Request) -> float:
        """Return how long its callers still wait; never more than they wanted to, maybe below 0."""
        return (request.ends_ns - self._clock.steady_ns()) / SECOND

    def commit(self, line: Entry) -> bool:
        """Have a change on the disk; False when it refuses. Blocks; the lock is not held."""
        is_synced = self._journal.commit(line)
        if self._is_long():
            self._journal.shorten(lambda: self._all_lines() if self._is_long() else None)
        return is_synced

    def find(self, request_id: str) -> Request | None:
        """Return an open request."""
        return self._open.get(request_id)

    def recent(self, request_id: str) -> Request | None:
        """Return a request that is open or was answered not long ago."""
        return self._open.get(request_id) or self._answered.get(request_id)

    def all(self) -> list[Request]:
        """Return the open requests, oldest first."""
        return list(self._open.values())

    def open(self, request: Request) -> Entry:
        """Register a request; return the line to `commit`. Raises RequestError: too many."""
        self._make_room(len(request.body))
        self._add(request)
        return self._journal.append(_opened(request))

    def answer(self, request: Request, answer: Answer) -> Entry:
        """Settle an open request as soon as the line to `commit` is in the file; return that."""
        request.is_being_answered = True
        line = _answered(request, answer)
        return self._journal.append(line, partial(self._answered_is, request, answer))

    def _answered_is(self, request: Request, answer: Answer, is_written: bool) -> None:
        with self.lock:
            request.is_being_answered = False
            if is_written and self._open.get(request.id) is request:
                self._settle(request, answer)
        request.wake()

    def close(self, request: Request) -> None:
        """Forget an open request without an answer, unless it gets one just now. Idempotent."""
        if self._open.get(request.id) is request and not request.is_being_answered:
            self._remove(request)
            self._journal.append({"closed": request.id})
            self._scribe.remind(self._journal)
            request.wake()

    def _make_room(self, size: int) -> None:
        while self._is_full(1, size):
            idle = (r for r in self._open.values() if not r.is_being_answered)
            unheard = next((r for r in idle if not r.wakers), None)
            if unheard is None:
                raise RequestError("too many requests are waiting for an answer", BUSY)
            self.close(unheard)

    def _is_full(self, count: int = 0, size: int = 0) -> bool:
        """Say whether `count` more requests of `size` bytes would be too much."""
        return len(self._open) + count > MAX_OPEN or self._open_bytes + size > MAX_OPEN_BYTES

    def _add(self, request: Request) -> None:
        earlier = self._open.get(request.id)
        if earlier is not None:
            self._remove(earlier)
        lifetime_ns = int(request.timeout_seconds * SECOND)
        request.ends_ns = self._clock.steady_of(request.sent) + lifetime_ns
        self._open[request.id] = request
        self._open_bytes += len(request.body)

    def _remove(self, request: Request) -> None:
        del self._open[request.id]
        self._open_bytes -= len(request.body)
        request.is_closed = True

    def _settle(self, request: Request, answer: Answer) -> None:
        request.answer = answer
        self._remove(request)
        self._answered[request.id] = request
        self._answer_bytes += len(answer.body)
        while len(self._answered) > KEPT_ANSWERS or self._answer_bytes > KEPT_ANSWER_BYTES:
            _, oldest = self._answered.popitem(last=False)
            self._answer_bytes -= len(oldest.answer.body) if oldest.answer else 0

    def _is_long(self) -> bool:
        live = len(self._open) + 2 * len(self._answered)
        return self._journal.is_long(live, self._open_bytes + self._answer_bytes)

    def _all_lines(self) -> list[Line]:
        with self.lock:
            return list(self._lines())

    def _lines(self) -> Iterator[Line]:
        for request in self._answered.values():
            if request.answer is not None:
                # The question itself is in the inboxes; for a caller only the answer matters.
                yield _opened(request, body="")
                yield _answered(request, request.answer)
        for request in self._open.values():
            yield _opened(request)


def _opened(request: Request, body: str | None = None) -> Line:
    return {
        "open": {
            "id": request.id,
            "token": request.token,
            "from_id": request.from_id,
            "from_name": request.from_name,
            "to_id": request.to_id,
            "to_name": request.to_name,
            "body": request.body if body is None else body,
            "sent_ns": request.sent_ns,
            # Whole, as an older release reads it.
            "timeout_seconds": math.ceil(request.timeout_seconds),
        },
        # Beside the rest: an older release takes no more in there.
        "steady_ns": request.steady_ns,
        "boot": request.boot,
    }


def _read_request(line: Line) -> Request:
    entry = line["open"]
    return Request(
        id=_text(entry, "id"),
        token=_text(entry, "token"),
        from_id=_whole(entry, "from_id"),
        from_name=_text(entry, "from_name"),
        to_id=_whole(entry, "to_id"),
        to_name=_text(entry, "to_name"),
        body=_text(entry, "body"),
        sent_ns=_whole(entry, "sent_ns"),
        timeout_seconds=_whole(entry, "timeout_seconds"),
        steady_ns=_whole({"steady_ns": 0, **line}, "steady_ns"),
        boot=_text({"boot": "", **line}, "boot"),
    )


def _read_answer(entry: Line) -> Answer:
    texts = {key: _text(entry, key) for key in ("from_name", "body", "key")}
    return Answer(_whole(entry, "from_id"), **texts, sent_ns=_whole(entry, "sent_ns"))


def _whole(entry: Line, key: str) -> int:
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError(f"bad {key}")
    return value


def _text(entry: Line, key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise ValueError(f"bad {key}")
    return value


def _answered(request: Request, answer: Answer) -> dict[str, Any]:
    return {"answered": request.id, "answer": asdict(answer)}
