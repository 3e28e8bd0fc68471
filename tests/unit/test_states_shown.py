"""States in tables: on a terminal only, so that what programs read stays as it is."""

from __future__ import annotations

import pytest

from codewire.commands import output
from codewire.commands.sessions.sessions import show_table
from codewire.commands.sessions.states import state_line, state_of
from codewire.wire.answers.reading import read
from codewire.wire.answers.sessions import SessionInfo

NOW = 1_700_000_000_000_000_000
SENT = {
    "id": 3,
    "name": "coder",
    "prompt": "claude",
    "status": "running",
    "created_at": "2023-11-14T22:13:00Z",
    "state": "blocked",
    "state_kind": "permission",
    "state_reason": "Proceed?",
    "state_since": "2023-11-14T22:10:20Z",
}
INFO = read(SessionInfo, SENT)


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    output.flush_stdout()
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_pipe_gets_the_table_it_always_got(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: False)
    show_table([INFO], NOW)
    head, row = lines(capsys)
    assert head == ["ID", "NAME", "COMMAND", "STATUS", "AGE"]
    assert row == ["3", "coder", "claude", "running", "20s", "ago"]


def test_a_terminal_shows_the_state_and_its_age(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    show_table([INFO, read(SessionInfo, {**SENT, "state": None, "state_since": None})], NOW)
    head, row, unknown = lines(capsys)
    assert head == ["ID", "NAME", "COMMAND", "STATE", "STATUS", "AGE"]
    assert row == ["3", "coder", "claude", "blocked", "3m", "running", "20s", "ago"]
    assert unknown[3] == "-"


def test_one_session_says_why() -> None:
    assert state_line(INFO, NOW) == "blocked (permission) for 3m: Proceed?"
    assert state_line(SessionInfo(status="running"), NOW) is None
    assert state_of(SessionInfo()) == "-"
