"""The event queue: who is too slow loses the oldest, is told how many, and costs no more."""

from __future__ import annotations

import threading
from pathlib import Path

from codewire.disk.lines import Lines
from codewire.disk.scribe import Scribe
from codewire.session import events as module
from codewire.session.events import Event, EventBus
from codewire.session.session import EVENTS_BYTES


def event(number: int, kind: str = "x", tags: tuple[str, ...] = ()) -> Event:
    return Event(number, tags, kind, {}, number)


def test_the_oldest_are_dropped_and_counted() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    total = module.QUEUE_EVENTS + 7
    for number in range(total):
        bus.tell([event(number)])
    lost, events = subscription.take()
    assert lost == 7
    assert [e.session_id for e in events] == list(range(7, total))
    assert subscription.take() == (0, [])


def test_filters_and_wakers() -> None:
    bus = EventBus()
    waker = threading.Event()
    subscription = bus.subscribe(None, ["a", "b"], ["x"], waker)
    bus.tell([event(1, "y", ("a",))])
    bus.tell([event(2, "x", ("c",))])
    assert not waker.is_set()
    bus.tell([event(3, "x", ("b", "c"))])
    assert waker.is_set() and [e.session_id for e in subscription.take()[1]] == [3]
    bus.unsubscribe(subscription)
    bus.tell([event(4, "x", ("a",))])
    assert subscription.take() == (0, [])


def test_one_piece_of_news_reaches_each_once() -> None:
    bus = EventBus()
    every, second = bus.subscribe(), bus.subscribe(2)
    bus.tell([event(1), event(2)])
    assert [e.session_id for e in every.take()[1]] == [1]
    assert [e.session_id for e in second.take()[1]] == [2]


def test_events_of_a_session_have_a_budget_on_disk(tmp_path: Path) -> None:
    scribe = Scribe()
    bus = EventBus(scribe)
    path = tmp_path / "events.jsonl"
    file = Lines(str(path), EVENTS_BYTES // 2)
    for _ in range(60):
        bus.publish(1, [], "session.input", {"text": "x" * 100_000}, file)
        scribe.write()
    bus.publish(1, [], "session.status", {"to": "completed"}, file)
    scribe.write()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["events.jsonl", "events.jsonl.1"]
    assert sum(file.stat().st_size for file in files) <= EVENTS_BYTES + 200_000
    assert b"session.status" in path.read_bytes(), "the newest is there"


def test_a_disk_that_refuses_is_no_reason_to_raise(tmp_path: Path) -> None:
    scribe = Scribe()
    bus = EventBus(scribe)
    subscription = bus.subscribe()
    bus.publish(1, [], "x", {}, Lines(str(tmp_path / "missing" / "events.jsonl")))
    scribe.write()
    assert len(subscription.take()[1]) == 1
