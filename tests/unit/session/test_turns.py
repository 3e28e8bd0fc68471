"""A launch that is sent again while it is under way starts nothing more."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from codewire.config import load_settings
from codewire.errors import LaunchError
from codewire.paths import DataDir
from codewire.session import lifecycle
from codewire.session.lifecycle import Lifecycle
from codewire.session.program import LaunchRequest
from codewire.session.session import Session
from codewire.session.turns import Turns
from tests.unit.session.records import running

PATIENCE = 20.0


class Slow(Lifecycle):
    """Launches of which the first waits until it may go on."""

    def __init__(self, directory: Path) -> None:
        super().__init__(DataDir(str(directory)), load_settings(str(directory / "none"), {}))
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.started: list[Session] = []

    def _launch(self, request: LaunchRequest) -> Session:
        self.begun.set()
        assert self.may_end.wait(PATIENCE)
        number = len(self.started) + 1
        session = Session(running(number, launch_key=request.key), "/none/output.log", "")
        self.registry.add(session)
        self.started.append(session)
        return session


def ask(sessions: Slow, key: str, answers: list[Session]) -> threading.Thread:
    request = LaunchRequest(command=("x",), key=key)
    thread = threading.Thread(target=lambda: answers.append(sessions.launch(request)), daemon=True)
    thread.start()
    return thread


def test_a_repeated_launch_is_the_first(tmp_path: Path) -> None:
    sessions, answers = Slow(tmp_path), []
    threads = [ask(sessions, "k", answers) for _ in range(3)]
    assert sessions.begun.wait(PATIENCE)
    sessions.may_end.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(sessions.started) == 1 and answers == sessions.started * 3


def test_launches_without_a_key_do_not_wait_for_one_another(tmp_path: Path) -> None:
    sessions, answers = Slow(tmp_path), []
    sessions.may_end.set()
    for thread in [ask(sessions, "", answers) for _ in range(2)]:
        thread.join(PATIENCE)
    assert len(sessions.started) == 2


def test_a_launch_that_does_not_end_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "LAUNCH_SECONDS", 0.01)
    sessions, answers = Slow(tmp_path), []
    first = ask(sessions, "k", answers)
    assert sessions.begun.wait(PATIENCE)
    with pytest.raises(LaunchError, match="still under way"):
        sessions.launch(LaunchRequest(command=("x",), key="k"))
    sessions.may_end.set()
    first.join(PATIENCE)
    assert len(answers) == 1


def test_names_are_forgotten() -> None:
    turns: Any = Turns()
    with turns.take("a", 1.0) as first, turns.take("b", 1.0):
        assert first and set(turns._turns) == {"a", "b"}
        with turns.take("a", 0.0) as second:
            assert not second
    assert turns._turns == {}
