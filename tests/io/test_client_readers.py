"""Streams that lose their node in the middle: every byte once, in order, at every cut."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from codewire.client import Client
from codewire.client.attaching.link import Ended, Gap, Link, Output
from codewire.client.reach import connection
from codewire.errors import ConnectionLost, NoWorker, RequestError
from codewire.wire.answers.events import Event, EventsLost, Subscribed
from codewire.wire.features import FEATURES
from tests.io.scripted_node import Handler, NodeEnd, ScriptedNode

LOG = b"".join(b"line %d\r\n" % n for n in range(9))
CHUNK = 7


def knows_all(end: NodeEnd) -> None:
    """A node of this version says what it knows, on a connection of its own."""
    assert end.receive_control() == {"type": "NodeStatus"}
    end.send_control({"type": "NodeStatus", "node": {}, "features": list(FEATURES)})


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BI", kind, len(payload)) + payload


def control(**message: Any) -> bytes:
    return frame(0, json.dumps(message).encode())


def log_answers(start: int, last: bytes = b"") -> bytes:
    """Every LogData frame of the log from an offset on, as bytes on the wire."""
    stream = b""
    for at in range(start, len(LOG), CHUNK):
        text = LOG[at : at + CHUNK]
        stream += control(type="LogData", data=text.decode(), done=False, offset=at + len(text))
    return stream + control(type="LogData", done=True, offset=len(LOG))


def attach_answers(start: int) -> bytes:
    """Every frame of an attachment from an offset on, the end notice included."""
    stream = control(type="Attached", id=1, offset=start)
    for at in range(start, len(LOG), CHUNK):
        stream += frame(1, LOG[at : at + CHUNK])
    return stream + control(type="Error", message="session completed (0)")


def cut(make: Any, at: int | None, seen: list[dict[str, Any]]) -> Handler:
    """A handler that answers from the offset asked for and closes after `at` bytes."""

    def handle(end: NodeEnd) -> None:
        request = end.receive_control()
        seen.append(request)
        end.send_raw(make(request.get("from_offset") or 0)[:at])

    return handle


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Call it with handlers to get a client of a node that does just that."""
    nodes: list[ScriptedNode] = []

    def start(*handlers: Handler) -> Client:
        node = ScriptedNode(*handlers)
        nodes.append(node)
        monkeypatch.setenv("CODEWIRE_DIR", node.data_dir.root)
        return Client(autostart=False)

    yield start
    for node in nodes:
        node.close()


def test_logs_lose_nothing_wherever_the_node_closes(client: Any) -> None:
    whole = log_answers(0)
    seen: list[dict[str, Any]] = []
    handlers = []
    for at in range(len(whole)):
        handlers += [cut(log_answers, at, seen), cut(log_answers, None, seen)]
    reader = client(*handlers)
    for at in range(len(whole)):
        chunks = list(reader.logs(1, follow=True, tail=50))
        assert "".join(c.text for c in chunks).encode() == LOG, f"cut after {at} bytes"
        assert [c.done for c in chunks] == [False] * (len(chunks) - 1) + [True]
    # Before the first answer the question is asked as it was; after it, from the offset.
    assert "tail" in seen[1] and "from_offset" not in seen[1]
    assert "tail" not in seen[-1] and seen[-1]["from_offset"] == len(LOG)


def pump(link: Link) -> list[Any]:
    """Do what the attach loop does, without a terminal."""
    items: list[Any] = []
    while True:
        item = link.next_item()
        if item is not None:
            items.append(item)
            if isinstance(item, Ended):
                return items
        elif link.next_dial is not None:
            link.dial()
        else:
            link.read()


def test_attachments_lose_nothing_wherever_the_node_closes(client: Any) -> None:
    whole = attach_answers(0)
    begin = len(control(type="Attached", id=1, offset=0))
    handlers = []
    for at in range(len(whole)):
        handlers += [cut(attach_answers, at, []), cut(attach_answers, None, [])]
    attached = client(*handlers)
    for at in range(len(whole)):
        link = Link(attached, 1, True, None)
        link.open()
        items = pump(link)
        link.close()
        output = b"".join(item.data for item in items if isinstance(item, Output))
        assert output == LOG, f"cut after {at} bytes (Attached ends at {begin})"
        assert items[-1] == Ended("session completed (0)")


def test_a_node_that_keeps_dying_is_survived_frame_by_frame(client: Any) -> None:
    def one_more(end: NodeEnd) -> None:
        stream = log_answers(end.receive_control().get("from_offset") or 0)
        first_frame = 5 + struct.unpack(">I", stream[1:5])[0]
        end.send_raw(stream[: first_frame + 9])

    frames = -(-len(LOG) // CHUNK)
    reader = client(*[one_more] * frames, cut(log_answers, None, []))
    chunks = list(reader.logs(1, follow=True))
    assert "".join(chunk.text for chunk in chunks).encode() == LOG
    assert chunks[-1].done


def no_worker(end: NodeEnd) -> None:
    """What a keeper says while it has no worker that serves."""
    end.receive_control()
    end.send_control({"type": "Error", "message": "cannot start: no room", "code": "no_worker"})


def test_what_was_under_way_outlives_a_time_without_a_worker(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WORKER_PAUSE", 0.01)
    begin = len(control(type="Attached", id=1, offset=0)) + 5 + CHUNK
    away = [no_worker] * 3
    for make in (log_answers, attach_answers):
        told: list[str] = []
        handlers = [cut(make, begin, []), *away, cut(make, None, [])]
        reader = client(*handlers).telling(told.append)
        if make is log_answers:
            chunks = list(reader.logs(1, follow=True))
            assert "".join(chunk.text for chunk in chunks).encode() == LOG
            assert told == ["[cw] still trying: cannot start: no room"]
            continue
        link = Link(reader, 1, True, None)
        link.open()
        items = pump(link)
        link.close()
        assert b"".join(item.data for item in items if isinstance(item, Output)) == LOG


def test_who_comes_while_there_is_no_worker_is_told_at_once(client: Any) -> None:
    for ask in (lambda c: list(c.logs(1, follow=True)), lambda c: c.wait(1), lambda c: c.status(1)):
        with pytest.raises(NoWorker, match="no room"):
            ask(client(no_worker))


def test_a_worker_that_never_comes_is_given_up(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WORKER_PAUSE", 0.01)
    monkeypatch.setattr(connection, "WORKER_SECONDS", 0.0)
    reader = client(cut(log_answers, 60, []), no_worker, no_worker).telling(lambda line: None)
    with pytest.raises(NoWorker, match="no room"):
        list(reader.logs(1, follow=True))


def test_watch_resumes_and_ends_with_the_final_status(client: Any) -> None:
    seen: list[dict[str, Any]] = []

    def first(end: NodeEnd) -> None:
        seen.append(end.receive_control())
        end.send_raw(
            control(type="WatchUpdate", status="running", output="ab", done=False, offset=2)
        )

    def second(end: NodeEnd) -> None:
        seen.append(end.receive_control())
        end.send_raw(control(type="Heartbeat"))
        end.send_raw(
            control(type="WatchUpdate", status="running", output="d", done=False, offset=4, gap=1)
        )
        end.send_raw(control(type="WatchUpdate", status="completed (0)", done=True, offset=4))

    chunks = list(client(first, second).watch(1, history_lines=3))
    assert [(c.text, c.gap, c.status) for c in chunks] == [
        ("ab", 0, "running"),
        ("d", 1, "running"),
        ("", 0, "completed (0)"),
    ]
    assert seen[1] == {"type": "WatchSession", "id": 1, "from_offset": 2}


def test_waiting_for_text_is_not_prolonged_by_a_new_worker(client: Any) -> None:
    seen: list[dict[str, Any]] = []

    def first(end: NodeEnd) -> None:
        seen.append(end.receive_control())
        end.send_raw(control(type="LogData", data="x", done=False, offset=1))
        time.sleep(1.1)  # the time-out counts whole seconds

    def second(end: NodeEnd) -> None:
        seen.append(end.receive_control())

    def third(end: NodeEnd) -> None:
        seen.append(end.receive_control())
        end.send_raw(control(type="LogData", data="DONE", done=False, offset=5))

    found = client(knows_all, first, second, third).wait_for_text(
        1, "DONE", timeout_seconds=1000, on="output"
    )
    assert found.line == "xDONE"
    assert [request["from_offset"] for request in seen] == [0, 1, 1]
    assert seen[0]["timeout_seconds"] == 1000
    # What is left is counted from the beginning, not twice.
    assert 900 < seen[2]["timeout_seconds"] <= seen[1]["timeout_seconds"] <= 999


def test_a_node_without_offsets_cannot_be_resumed(client: Any) -> None:
    def old_node(end: NodeEnd) -> None:
        end.receive_control()
        end.send_control({"type": "LogData", "data": "x", "done": False})

    chunks = client(old_node).logs(1, follow=True)
    assert next(chunks).text == "x"
    with pytest.raises(ConnectionLost, match="connection lost"):
        next(chunks)


def test_a_stream_ends_when_the_node_is_gone_for_good(client: Any) -> None:
    def last_words(end: NodeEnd) -> None:
        end.receive_control()
        end.send_control({"type": "LogData", "data": "x", "done": False, "offset": 1})

    chunks = client(last_words).logs(1, follow=True)
    assert next(chunks).offset == 1
    with pytest.raises(ConnectionLost, match="node is gone: connecting to local socket"):
        next(chunks)


def test_an_error_in_the_middle_of_a_stream_is_raised(client: Any) -> None:
    def refuse(end: NodeEnd) -> None:
        end.receive_control()
        end.send_control({"type": "Error", "message": "session 1 not found"})

    with pytest.raises(RequestError, match="session 1 not found"):
        list(client(refuse).watch(1))


def test_events_go_on_after_a_second_acknowledgement(client: Any) -> None:
    def serve(end: NodeEnd) -> None:
        assert end.receive_control() == {"type": "Subscribe", "id": 3, "event_types": ["a"]}
        end.send_control({"type": "SubscribeAck", "subscription_id": 0})
        end.send_control({"type": "Event", "session_id": 3, "event": {"type": "a"}})
        end.send_control({"type": "EventsLost", "count": 2})

    events = client(serve, serve).subscribe(3, event_types=["a"])
    kinds = [type(next(events)) for _ in range(6)]
    assert kinds == [Subscribed, Event, EventsLost] * 2
    events.close()


def test_a_gap_reaches_the_attachment(client: Any) -> None:
    seen: list[dict[str, Any]] = []

    def first(end: NodeEnd) -> None:
        seen.append(end.receive_control())
        end.send_raw(control(type="Attached", id=1, offset=0))
        end.send_raw(control(type="Gap", offset=10, gap=10) + frame(1, b"xy"))

    def second(end: NodeEnd) -> None:
        seen.append(end.receive_control())
        end.send_raw(control(type="Attached", id=1, offset=12))
        end.send_raw(frame(1, b"z") + control(type="Error", message="session killed"))

    link = Link(client(first, second), 1, False, None)
    link.open()
    assert pump(link) == [Gap(10), Output(b"xy"), Output(b"z"), Ended("session killed")]
    link.close()
    about = {"type": "Attach", "id": 1, "history": "terminal", "notices": True}
    assert seen[0] == {**about, "include_history": False}
    assert seen[1] == {**about, "from_offset": 12}


def test_typed_bytes_wait_for_the_new_worker(client: Any) -> None:
    received: list[Any] = []

    def dies(end: NodeEnd) -> None:
        end.receive_control()
        end.send_raw(control(type="Attached", id=1, offset=0))

    def lives(end: NodeEnd) -> None:
        end.receive_control()
        end.send_raw(control(type="Attached", id=1, offset=0))
        received.append(end.receive())
        received.append(end.receive())
        end.send_raw(control(type="Error", message="session completed (0)"))

    link = Link(client(dies, lives), 1, True, None)
    link.open()
    link.resize(10, 20)
    while link.is_up:
        link.read()
    link.typed += b"typed while away"
    assert not link.wants_to_write()
    while not link.is_up:
        if link.next_dial is not None:
            link.dial()
        link.read()
        link.next_item()
    while link.wants_to_write():
        link.write()
    assert pump(link) == [Ended("session completed (0)")]
    link.close()
    assert json.loads(received[0][1]) == {"type": "Resize", "cols": 20, "rows": 10}
    assert received[1] == (1, b"typed while away")
