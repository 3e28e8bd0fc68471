"""A remote node that falls silent: it is asked for a sign of life, and left when none comes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from codewire.client import Client
from codewire.client.attaching.link import Link
from codewire.client.reach import connection
from codewire.client.reach.asking import deadline_behind
from codewire.client.reach.connection import Redial
from codewire.client.reach.route import Route
from codewire.client.readers import read_events, read_watch
from codewire.errors import ConnectionLost
from codewire.io.deadline import NEVER, Deadline
from codewire.io.websockets import WebSocketStream
from codewire.wire.answers.events import Subscribed
from tests.processes import wait_until

PROMPT = 0.1


class FarRoute(Route):
    """The way to a Far."""

    def __init__(self, far: Far) -> None:
        super().__init__("ws://far")
        self._far = far

    def __str__(self) -> str:
        return f"node {self.key}"

    def open(self, deadline: Deadline = NEVER) -> WebSocketStream:
        return self._far.dial()


class Far:
    """A remote node on socket pairs; the n-th connection is served by the n-th handler."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.route = FarRoute(self)
        self.said: list[str] = []
        self.dialled = 0
        self.handlers: list[Callable[[WebSocketStream], object]] = []
        self.knows_pings = True
        self._streams: list[WebSocketStream] = []
        self._threads: list[threading.Thread] = []
        monkeypatch.setattr(connection, "PROMPT_SECONDS", PROMPT)
        monkeypatch.setattr("codewire.client.attaching.link.PROMPT_SECONDS", PROMPT)

    def dial(self) -> WebSocketStream:
        ours, theirs = socket.socketpair()
        near = WebSocketStream(ours, is_server=False)
        near.answers_pings = self.knows_pings
        far = WebSocketStream(theirs, is_server=True)
        self._streams += [near, far]
        thread = threading.Thread(target=self.handlers[self.dialled], args=(far,), daemon=True)
        self._threads.append(thread)
        thread.start()
        self.dialled += 1
        return near

    def redial(self) -> Redial:
        return Redial(self.route, self.said.append)

    def close(self) -> None:
        for stream in self._streams:
            stream.abort()
        for thread in self._threads:
            thread.join(10)
        for stream in self._streams:
            stream.close()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    far = Far(monkeypatch)
    yield far
    far.close()


def reads_nothing(stream: WebSocketStream) -> None:
    """Take the request, then neither read nor answer: a worker that is stopped."""
    stream.receive()


def lives_on(seconds: float, *answers: dict[str, Any]) -> Callable[[WebSocketStream], None]:
    """Read, and answer after a while in which nothing is to be said."""

    def serve(stream: WebSocketStream) -> None:
        stream.receive()
        timer = threading.Timer(seconds, lambda: [stream.send_control(a) for a in answers])
        timer.start()
        while stream.receive() is not None:
            pass

    return serve


WATCH = {"type": "WatchSession", "id": 1}
DONE = {"type": "WatchUpdate", "status": "completed (0)", "output": "x", "offset": 1, "done": True}


def test_one_that_says_nothing_but_lives_is_waited_for(far: Far) -> None:
    far.handlers = [lives_on(8 * PROMPT, DONE)]
    assert [chunk.text for chunk in read_watch(far.dial, far.redial(), WATCH)] == ["x"]
    assert (far.dialled, far.said) == (1, [])


def test_a_watch_goes_on_over_another_connection(far: Far) -> None:
    far.handlers = [reads_nothing, lives_on(0, DONE)]
    assert [chunk.text for chunk in read_watch(far.dial, far.redial(), WATCH)] == ["x"]
    assert far.dialled == 2 and far.said == [
        "[cw] node ws://far does not answer any more; connecting again"
    ]


def test_so_do_events(far: Far) -> None:
    far.handlers = [reads_nothing, lives_on(0, {"type": "SubscribeAck"})]
    events = read_events(far.dial, far.redial(), {"type": "Subscribe"})
    assert isinstance(next(events), Subscribed) and far.dialled == 2


def test_what_is_not_repeated_says_so(far: Far) -> None:
    far.handlers = [reads_nothing]
    redial = far.redial()
    stream, request = far.dial(), {"type": "Wait", "id": 1}
    redial.send(stream, request)
    with pytest.raises(ConnectionLost, match="ws://far does not answer any more"):
        redial.receive(stream, request)


def test_one_of_another_make_need_not_answer_pings(far: Far) -> None:
    far.knows_pings = False

    def serve(stream: WebSocketStream) -> None:
        stream.receive()
        threading.Timer(6 * PROMPT, stream.send_control, [DONE]).start()

    far.handlers = [serve]
    assert [chunk.text for chunk in read_watch(far.dial, far.redial(), WATCH)] == ["x"]
    assert far.dialled == 1


def test_an_attachment_looks_for_another_connection(far: Far) -> None:
    attached = {"type": "Attached", "id": 1, "offset": 0}

    def falls_silent(stream: WebSocketStream) -> None:
        stream.receive()
        stream.send_control(attached)

    far.handlers = [falls_silent, lives_on(0, attached)]
    client = Client(route=far.route)
    link = Link(client, 1, False, None)
    link.open()

    def tend() -> bool:
        if link.is_up and far.dialled == 2:
            return True
        if link.next_dial is not None:
            link.dial()
            link.next_item()
        if link.fileno() >= 0 and far.dialled == 2:
            link.read()
            link.next_item()
        return False

    wait_until(tend, 30, "it is attached again")
    link.close()


def test_the_client_is_not_far_behind_the_time_out_of_a_node() -> None:
    """Which words it, where it lives."""
    left = deadline_behind(1).left()
    assert left is not None and 1 < left <= 1.25
