"""Texts typed into terminals: a bounded line, and nothing unforeseen is called typed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codewire.mail import delivery
from codewire.mail.delivery import MAX_WAITING, DeliveryFailed, DeliveryUnknown, Typist
from codewire.mail.untyped import Untyped
from codewire.session.life import State
from codewire.session.session import Session
from codewire.terminal.input import InputClosed
from codewire.terminal.submitting import Outcome, Refused
from tests.unit.session.records import running

PATIENCE = 20.0


class Terminal:
    """A lifecycle with nothing but a keyboard; `submit` is what a test makes of typing."""

    def __init__(self) -> None:
        self.keyboard = self
        self.submit: Callable[..., Outcome] = lambda *_, **__: Outcome("typed")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    path = tmp_path / "output.log"
    path.touch()
    return Session(running(1), str(path), "")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    monkeypatch.setattr(delivery, "submit", lambda *words, **named: made.submit(*words, **named))
    return made


def typist(terminal: Any) -> Typist:
    return Typist(terminal)


def test_the_line_of_waiting_texts_is_bounded(
    session: Session, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that reads nothing costs so many texts, not all that are sent."""
    monkeypatch.setattr(delivery, "REPORT_SECONDS", 0.0)
    may_go, typed, all_typed = threading.Event(), [], threading.Event()

    def blocked(*_: Any, **__: Any) -> Outcome:
        assert may_go.wait(PATIENCE)
        typed.append(1)
        if len(typed) == MAX_WAITING:
            all_typed.set()
        return Outcome("typed")

    terminal.submit = blocked
    box = typist(terminal)
    for _ in range(MAX_WAITING):
        assert "is not reading" in box.type(session, "text", False).note
    for _ in range(3):
        with pytest.raises(DeliveryFailed, match="is not reading"):
            box.type(session, "text", False)
    may_go.set()
    assert all_typed.wait(PATIENCE)


def test_an_unforeseen_error_is_not_called_typed_and_stops_nobody(
    session: Session, terminal: Terminal
) -> None:
    def fails(*_: Any, **__: Any) -> Outcome:
        raise RuntimeError("unforeseen")

    terminal.submit = fails
    box = typist(terminal)
    for _ in range(2):
        with pytest.raises(DeliveryUnknown, match="not known whether"):
            box.type(session, "text", False)
    terminal.submit = lambda *_, **__: Outcome("typed")
    assert box.type(session, "text", False).note == ""


def test_a_session_that_ends_meanwhile(session: Session, terminal: Terminal) -> None:
    def closed(*_: Any, **__: Any) -> Outcome:
        session.life.state = State.CLOSED
        raise InputClosed(0)

    terminal.submit = closed
    with pytest.raises(DeliveryFailed, match="not running"):
        typist(terminal).type(session, "text", False)


def test_at_a_dialog_letters_wait_in_order_and_what_no_inbox_keeps_is_refused(
    session: Session, terminal: Terminal, tmp_path: Path
) -> None:
    is_gone, order = threading.Event(), []

    def typed(_: Any, __: Any, typing: Any, *, before: Callable[[], None], **___: Any) -> Outcome:
        if not is_gone.is_set():
            raise Refused("blocked: waits for a decision", "Proceed?", is_dialog=True)
        before()
        order.append(typing.text)
        return Outcome("submitted")

    terminal.submit = typed
    kept = Untyped(str(tmp_path / "untyped.jsonl"))
    box = Typist(terminal, kept)  # type: ignore[arg-type]
    for number in range(3):
        answer = box.type(session, f"text {number}", False, f"msg_{number}")
        assert answer.is_waiting and "waits for a decision" in answer.note
    with pytest.raises(DeliveryFailed, match="waits for a decision .Proceed"):
        box.type(session, "not kept", False)
    # What a successor finds.
    left = [waiting.text for waiting in Untyped(str(tmp_path / "untyped.jsonl")).load()]
    assert left == ["text 0", "text 1", "text 2"]
    is_gone.set()
    assert box.type(session, "last", False, "msg_last").note == ""
    assert order == ["text 0", "text 1", "text 2", "last"]
    assert not Untyped(str(tmp_path / "untyped.jsonl")).load()


def test_a_request_that_is_closed_meanwhile_is_not_typed(
    session: Session, terminal: Terminal, tmp_path: Path
) -> None:
    wanted = {"req_1"}

    def refuses(*_: Any, **__: Any) -> Outcome:
        raise Refused("blocked", is_dialog=True)

    terminal.submit = refuses
    kept = Untyped(str(tmp_path / "untyped.jsonl"))
    box = Typist(terminal, kept, wanted.__contains__)  # type: ignore[arg-type]
    assert box.type(session, "text", False, "req_1").is_waiting
    assert kept.holds("req_1")
    wanted.clear()
    deadline = time.monotonic() + PATIENCE
    while kept.holds("req_1"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
