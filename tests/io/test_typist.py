"""Texts typed into terminals: a bounded line, and nothing unforeseen is called typed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewire.mail import delivery
from codewire.mail.delivery import MAX_WAITING, DeliveryFailed, DeliveryUnknown, Typist
from codewire.session.session import Session
from codewire.terminal.input import InputClosed
from tests.unit.session.records import running

PATIENCE = 20.0


class Terminal:
    """A lifecycle with nothing but a keyboard; `type_in` is what a test makes of that."""

    def __init__(self) -> None:
        self.keyboard = self
        self.type_in: Callable[..., int] = lambda *_, **__: 0


@pytest.fixture
def session(tmp_path: Path) -> Session:
    path = tmp_path / "output.log"
    path.touch()
    return Session(running(1), str(path), "")


def typist(terminal: Any) -> Typist:
    return Typist(terminal)


def test_the_line_of_waiting_texts_is_bounded(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that reads nothing costs so many texts, not all that are sent."""
    monkeypatch.setattr(delivery, "REPORT_SECONDS", 0.0)
    may_go, typed, all_typed = threading.Event(), [], threading.Event()

    def blocked(*_: Any, **__: Any) -> int:
        assert may_go.wait(PATIENCE)
        typed.append(1)
        if len(typed) == MAX_WAITING:
            all_typed.set()
        return 1

    terminal = Terminal()
    terminal.type_in = blocked
    box = typist(terminal)
    for _ in range(MAX_WAITING):
        assert "is not reading" in box.type(session, "text", False)
    for _ in range(3):
        with pytest.raises(DeliveryFailed, match="is not reading"):
            box.type(session, "text", False)
    may_go.set()
    assert all_typed.wait(PATIENCE)


def test_an_unforeseen_error_is_not_called_typed_and_stops_nobody(session: Session) -> None:
    def fails(*_: Any, **__: Any) -> int:
        raise RuntimeError("unforeseen")

    terminal = Terminal()
    terminal.type_in = fails
    box = typist(terminal)
    for _ in range(2):
        with pytest.raises(DeliveryUnknown, match="not known whether"):
            box.type(session, "text", False)
    terminal.type_in = lambda *_, **__: 1
    assert box.type(session, "text", False) == ""


def test_a_session_that_ends_meanwhile(session: Session) -> None:
    def closed(*_: Any, **__: Any) -> int:
        session.ended.set()
        raise InputClosed(0)

    terminal = Terminal()
    terminal.type_in = closed
    with pytest.raises(DeliveryFailed, match="not running"):
        typist(terminal).type(session, "text", False)
