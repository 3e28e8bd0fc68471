"""What a relay says of a session's groups: remembered, waited for a bounded time, never in line."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from codewire.errors import RelayUnreachable
from codewire.network import bindings
from codewire.network.answers import Binding
from codewire.network.bindings import Bindings
from tests.processes import wait_until

MESH = Binding("mesh", "internal-only", "none")


@pytest.fixture(autouse=True)
def long_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine: what is counted below is not asked for anew meanwhile."""
    monkeypatch.setattr(bindings, "FRESH_SECONDS", 600.0)
    monkeypatch.setattr(bindings, "AWAY_SECONDS", 600.0)


class Source:
    """A relay that answers when it is let, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.says: Sequence[Binding] | None = [MESH]
        self.may_answer = threading.Event()
        self.may_answer.set()

    def fetch(self, name: str) -> Sequence[Binding]:
        self.asked.append(name)
        assert self.may_answer.wait(30)
        if self.says is None:
            raise RelayUnreachable("away")
        return self.says


def test_one_look_up_serves_all_and_is_remembered() -> None:
    source = Source()
    kept = Bindings(source.fetch)
    source.may_answer.clear()
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(kept.of("a", 30))) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_until(lambda: source.asked == ["a"], 30)
    source.may_answer.set()
    for thread in threads:
        thread.join(30)
    assert found == [(MESH,)] * 5
    assert kept.of("a", 30) == (MESH,) and source.asked == ["a"]
    assert kept.of("b", 30) == (MESH,) and source.asked == ["a", "b"]
    kept.forget("a")
    source.says = []
    assert kept.of("a", 30) == ()


def test_nobody_waits_longer_than_he_wants() -> None:
    source = Source()
    kept = Bindings(source.fetch)
    source.may_answer.clear()
    began = time.monotonic()
    assert kept.of("a", 0) is None
    assert kept.of("a", 0.05) is None
    assert time.monotonic() - began < 20
    source.may_answer.set()
    wait_until(lambda: kept.of("a", 0) == (MESH,), 30)
    assert source.asked == ["a"]


def test_a_relay_that_is_away_is_not_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source()
    kept = Bindings(source.fetch)
    assert kept.of("a", 30) == (MESH,)
    source.says = None
    kept.forget("a")
    # What was said last counts.
    assert [kept.of("a", 30) for _ in range(3)] == [(MESH,)] * 3
    # Nor is it asked about others.
    assert kept.of("new", 30) is None
    assert source.asked == ["a", "a"]
    monkeypatch.setattr(bindings, "FRESH_SECONDS", -1.0)
    monkeypatch.setattr(bindings, "AWAY_SECONDS", -1.0)
    kept = Bindings(source.fetch)
    assert kept.of("new", 30) is None
    source.says = [MESH]
    assert kept.of("new", 30) == (MESH,)
    source.says = []
    assert kept.of("new", 30) == ()
