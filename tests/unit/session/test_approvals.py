"""What keeps two from pressing keys in one dialog."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.errors import RequestError
from codewire.session.approvals import Approver


def test_a_decision_waits_its_turn_at_the_keyboard() -> None:
    """What is typed by somebody else would move the mark; who leaves meanwhile decides nothing."""
    typed: list[Any] = []
    keyboard: Any = SimpleNamespace(type_in=lambda *args, **_: typed.append(args))
    turn = threading.Lock()
    session: Any = SimpleNamespace(
        id=1, terminal=SimpleNamespace(turn=turn), is_running=lambda: True
    )
    with turn, pytest.raises(RequestError, match="session 1 takes no input"):
        Approver(keyboard).approve(session, "1-0a0b0c0d", None, False, lambda: True)
    assert typed == []
