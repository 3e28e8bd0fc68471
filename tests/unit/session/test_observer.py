"""Output summaries: at most one a second, and none is late because nothing more was printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.session.events import EventBus, Subscription
from codewire.session.life import State
from codewire.session.observer import SUMMARY_SECONDS, Observer
from codewire.session.records.record import Record
from codewire.session.session import Session


class Watched:
    """An observer with one session, and who is told of its summaries."""

    def __init__(self, directory: Path) -> None:
        record = Record(id=1, argv=["x"], working_dir="/", created_ns=0)
        self.session = Session(record, str(directory / "output.log"), "")
        self.log = self.session.open_log(0)
        bus = EventBus()
        self._told: Subscription = bus.subscribe()
        self.observer = Observer(lambda: [self.session], bus)
        self.log.watch(self.observer.waker)

    def look(self, now: float) -> list[int]:
        """Let the observer look, if it was woken; return the totals it told."""
        if self.observer.waker.is_set():
            self.observer.waker.clear()
            self.observer.look(now)
        return [event.data["total_bytes"] for event in self._told.take()[1]]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.session.close_log()


def test_output_within_a_second_is_told_at_its_end(watched: Watched) -> None:
    watched.log.take_bytes(b"one\n")
    assert watched.look(10.0) == [4]
    watched.log.take_bytes(b"two\n")
    assert watched.look(10.2) == []
    assert watched.look(10.4) == []
    # Nothing more was printed.
    assert watched.look(10.0 + SUMMARY_SECONDS) == [8]
    assert watched.look(20.0) == []


def test_a_count_that_somebody_asked_for_is_told_all_the_same(watched: Watched) -> None:
    watched.log.take_bytes(b"one\n")
    watched.observer.catch_up(watched.session)
    assert watched.look(10.0) == [4]


def test_an_ended_session_is_told_to_its_end_and_never_again(watched: Watched) -> None:
    watched.log.take_bytes(b"one\n")
    assert watched.look(10.0) == [4]
    watched.log.take_bytes(b"two\n")
    watched.observer.finish(watched.session)
    watched.session.life.state = State.CLOSED
    assert watched.look(10.1) == [8]
    assert watched.look(20.0) == []
