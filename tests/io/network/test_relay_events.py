"""A relay's events: parsed however they are cut, followed over lost connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.errors import RelayError, RelayRefused, RelayUnreachable
from codewire.network import events
from codewire.network.events import Event, EventParser
from codewire.network.relay import Relay
from codewire.web.sse import encode_event
from tests.io.network.scriptedrelay import Asked, ScriptedRelay, answer

STREAM = (
    b": hello\n\n"
    b'id: 7\nevent: access.grant.revoked\ndata: {"seq":7,"grant_id":"og_1"}\n\n'
    b": keepalive\r\n\r\n"
    b"id:8\r\nevent:  two\r\ndata: a\r\ndata:b\r\ndata\r\n\r\n"
    b'data: {"type":"stream.reset","seq":9}\rid: 9\r\r'
    b"data: last\n\n"
    b"event: never\n\n"
    b"data: cut off"
)
EVENTS = [
    Event("7", "access.grant.revoked", '{"seq":7,"grant_id":"og_1"}'),
    Event("8", " two", "a\nb\n"),
    Event("9", "stream.reset", '{"type":"stream.reset","seq":9}'),
    Event("9", "message", "last"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    parser, found = EventParser(), []
    ends = [0, *sorted(cuts), len(STREAM)]
    for start, end in zip(ends, ends[1:], strict=False):
        found += parser.feed(STREAM[start:end])
    assert found == EVENTS


def test_one_byte_at_a_time() -> None:
    parser = EventParser()
    assert [event for byte in STREAM for event in parser.feed(bytes([byte]))] == EVENTS


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=50))
def test_what_our_server_writes_comes_back(data: str) -> None:
    assert EventParser().feed(encode_event(data, "kind", "7")) == [Event("7", "kind", data)]


@pytest.mark.parametrize("data", [b"data: " + b"x" * (2 << 20), b"data: x\n" * (1 << 18)])
def test_an_event_without_end_is_refused(data: bytes) -> None:
    parser = EventParser()
    with pytest.raises(RelayError, match="too large"):
        for start in range(0, len(data), 4096):
            parser.feed(data[start : start + 4096])


@pytest.mark.parametrize("data", ["", "x", "[]", "[" * 5000])
def test_data_that_is_no_object_is_an_empty_one(data: str) -> None:
    assert Event("", "", data).value() == {}


@pytest.fixture
def scripted() -> Iterator[ScriptedRelay]:
    relay = ScriptedRelay()
    yield relay
    relay.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def stream(*pieces: bytes, is_chunked: bool = False) -> bytes:
    if not is_chunked:
        return HEAD + b"Connection: close\r\n\r\n" + b"".join(pieces)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks


class Over(Exception):
    """The test has seen enough."""


@pytest.mark.parametrize("is_chunked", [True, False])
def test_events_come_at_once_and_the_last_id_is_given_back(
    scripted: ScriptedRelay, is_chunked: bool
) -> None:
    said = iter([
        stream(b"id: 1\ndata: a\n\n", b"id: 2\nda", b"ta: b\n\n", is_chunked=is_chunked),
        answer(503, "starting"),
        stream(b"id: 3\ndata: c\n\n", is_chunked=is_chunked),
        b"",
        b"",
    ])  # fmt: skip
    scripted.script = lambda asked, sock: sock.sendall(next(said))
    lost: list[str] = []
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            raise Over

    followed = Relay(scripted.url, "t").follow_access_events("proj", "", lost.append, wait)
    found = []
    with pytest.raises(Over):
        for event in followed:
            found.append(event.data)
    assert found == ["a", "b", "c"]
    ids = [asked.fields.get("last-event-id") for asked in scripted.asked]
    assert ids == [None, "2", "2", "3", "3"]
    assert {asked.fields["accept"] for asked in scripted.asked} == {"text/event-stream"}
    # What worked begins the pauses anew.
    assert pauses == [1.0, 2.0, 1.0, 2.0, 4.0]
    assert "starting" in lost[1]


def test_an_event_is_given_before_the_next_comes(scripted: ScriptedRelay) -> None:
    def script(asked: Asked, sock: socket.socket) -> None:
        sock.sendall(stream(b"id: 1\ndata: a\n\n"))
        # Nothing more until the client has gone.
        sock.recv(1)

    scripted.script = script
    found = Relay(scripted.url, "t").access_events("proj", "0")
    assert next(found) == Event("1", "message", "a")
    found.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_will_never_serve_is_not_asked_again(scripted: ScriptedRelay, status: int) -> None:
    scripted.script = answer(status, "no")
    followed = Relay(scripted.url, "t").follow_task_events(
        "proj", "7", lambda why: None, lambda seconds: None, node="dev-1"
    )
    with pytest.raises(RelayRefused):
        next(followed)
    (asked,) = scripted.asked
    assert asked.target == "/api/v1/tasks/events?network_id=proj&node=dev-1"


def test_silence_is_the_end(scripted: ScriptedRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SILENCE_SECONDS", 0.2)

    def script(asked: Asked, sock: socket.socket) -> None:
        sock.sendall(stream(b": hello\n\n"))
        sock.recv(1)

    scripted.script = script
    with pytest.raises(RelayUnreachable, match="no answer within 0.2s"):
        list(Relay(scripted.url, "t").access_events("proj"))
