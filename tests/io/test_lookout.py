"""The lookout over real logs, without a node: what it looks at, how often, and what it survives."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.session import lookout as module
from codewire.session.agentrules import Rules
from codewire.session.agentstate import steady_now
from codewire.session.lookout import FLOW_BYTES, Lookout, Watch
from codewire.session.records.record import Record
from codewire.session.session import Session


class Stand:
    """One session with a log and a lookout; the loop is turned by hand."""

    def __init__(self, directory: Path) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        record = Record(1, ["x"], "/", 1)
        self.session = Session(record, str(directory / "output.log"), str(directory / "events"))
        self.session.open_log(0)
        self.lookout = Lookout(Rules("/nowhere"), self._publish, lambda session: None)
        self.lookout.add(self.session, self.session.log, is_restored=False)
        self.watch: Watch = self.lookout._rung.popleft()

    def _publish(self, session: Session, kind: str, data: dict[str, Any]) -> None:
        self.told.append((kind, data))

    def look(self, later: float = 1.0) -> float | None:
        """Glance at the session `later` seconds after now."""
        return self.lookout._step(self.watch, steady_now() + later)

    def states(self) -> list[str]:
        return [data["to"] for kind, data in self.told if kind == "session.state"]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path)
    yield stand
    stand.session.close_log()


MENU = b"Really?\r\n> 1. Yes\r\n  2. No\r\n"


def test_a_question_is_told_once(stand: Stand) -> None:
    stand.session.log.take_bytes(MENU)
    stand.look()
    stand.look(1.5)
    assert stand.told == [
        (
            "session.state",
            {
                "from": "idle",
                "to": "blocked",
                "reason": "Really?",
                "source": "screen",
                "preview": "Really? > 1. Yes 2. No",
            },
        )
    ]


def test_while_output_flows_nothing_is_drawn(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.session.log.take_bytes(b"x")
    stand.look()
    monkeypatch.setattr(Lookout, "_screen", lambda *_: pytest.fail("a screen was drawn"))
    for _ in range(5):
        stand.session.log.take_bytes(b"y" * FLOW_BYTES)
        # Too soon after the last look; later, too much for one.
        assert stand.look(0.0) == module.PAUSE_SECONDS
    stand.watch.looked_at = -1e9
    stand.session.log.take_bytes(b"y" * FLOW_BYTES)
    assert stand.look(0.0) == module.PAUSE_SECONDS
    assert stand.states() == ["working"]


def test_silence_costs_nothing_and_output_rings_again(stand: Stand) -> None:
    stand.session.log.take_bytes(MENU)
    stand.watch.is_rung = True
    assert stand.look(0.3) is not None
    assert stand.look(10.0) is None
    stand.lookout._turn(stand.watch)
    while stand.watch.is_rung:
        # It settles in its own time.
        stand.watch.grown_at = -1e9
        stand.lookout._turn(stand.watch)
    assert not stand.lookout._rung
    stand.session.log.take_bytes(b"more")
    assert list(stand.lookout._rung) == [stand.watch]


def test_an_error_costs_its_own_session_only(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(Lookout, "_step", fail)
    with caplog.at_level(logging.ERROR):
        stand.lookout._turn(stand.watch)
    assert "session 1: looking at its agent failed" in caplog.text
    assert stand.lookout._heap


def test_signals_far_behind_are_skipped(stand: Stand) -> None:
    output, agent = stand.session.log, stand.watch.agent
    output.take_bytes(b"\x1b]2;old\x07" + b"z" * (3 << 20) + b"\x1b]2;new\x07")
    read: list[int] = []
    original = output.read

    def counted(offset: int, limit: int) -> Any:
        chunk = original(offset, limit)
        read.append(len(chunk.data))
        return chunk

    output.read = counted  # type: ignore[method-assign]
    agent.read_signals(output, 1.0, 0)
    assert agent.signals.title == "new" and sum(read) < 1 << 18


def test_what_reported_and_is_gone_does_nothing_any_more(stand: Stand) -> None:
    stand.session.log.take_bytes(b"\x1b]7501;state=working\x1b\\")
    stand.look()
    assert stand.states() == ["working"]
    stand.watch.agent.reporter = 1 << 30
    stand.watch.program_at = -1e9
    stand.look(2.0)
    stand.look(4.0)
    assert stand.states() == ["working", "done"]


def test_rules_of_a_wrong_directory_harm_nobody(tmp_path: Path) -> None:
    os.mkdir(tmp_path / "x.toml")
    assert Rules(str(tmp_path)).program_of(["claude"]).name == "claude"


def test_a_blinking_title_is_no_news(stand: Stand) -> None:
    for number, glyph in enumerate("⠂⠐⠂⠐"):
        stand.session.log.take_bytes(f"\x1b]2;{glyph} building\x07".encode())
        stand.look(number + 1.0)
    assert stand.states() == ["working"]
    for number, glyph in enumerate("!.!."):
        stand.session.log.take_bytes(f"\x1b]2;[ {glyph} ] Action Required\x07".encode())
        stand.look(number + 6.0)
    assert stand.states() == ["working", "blocked"]
