"""docs/python.md says what the API is: every call, every answer and its fields."""

from __future__ import annotations

import inspect
import re

import pytest

from codewire.client import Client
from codewire.client.reach.asking import Asker
from codewire.errors import ProtocolError
from codewire.wire.answers.agents import read_approvals
from codewire.wire.answers.kills import Survivor
from codewire.wire.answers.reading import read, read_each
from codewire.wire.answers.sessions import SessionInfo
from codewire.wire.exits import Exited, Lost, Signalled
from tests.pythonapi import DOCUMENT, answers, written

# What a program calls on a client besides its requests: how, and to whom.
PLUMBING = {name for name, value in vars(Asker).items() if inspect.isfunction(value)}
CALLS = [
    (name, value)
    for name, value in inspect.getmembers(Client, inspect.isfunction)
    if not name.startswith("_") and name not in PLUMBING
]


def test_the_table_is_the_types() -> None:
    text = DOCUMENT.read_text()
    assert text == written(text), "python -m tests.pythonapi writes it anew"


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_every_call_is_documented_and_typed(name: str, call: object) -> None:
    assert re.search(rf"`[^`]*\b{name}\(", DOCUMENT.read_text()), name
    returned = str(inspect.signature(call).return_annotation)  # type: ignore[arg-type]
    assert "dict" not in returned and "Any" not in returned, returned


def test_answers_keep_all_that_was_sent_and_have_defaults() -> None:
    for kind in answers():
        assert kind._fields[-1] == "sent"
        assert all(name in kind._field_defaults for name in kind._fields[1:] if name[-1] != "s")
    info = read(SessionInfo, {"id": 3, "tags": ["a", 7], "new": 1, "exit_code": None})
    assert (info.id, info.tags, info.name, info.exit_code) == (3, ("a",), "", None)
    assert info.sent["new"] == 1
    [one] = read_approvals([{"id": "3-x", "choices": [{"number": 1, "label": "Yes"}, 5]}, None])
    assert [choice.label for choice in one.choices] == ["Yes"]
    assert read_each(Survivor, None) == []


@pytest.mark.parametrize(
    "sent", [{"id": "3"}, {"id": True}, {"attached": 1}, {"tags": "x"}, {"exit_code": "0"}]
)
def test_what_has_another_type_is_refused(sent: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match=f"bad SessionInfo: {next(iter(sent))} must be"):
        read(SessionInfo, sent)


@pytest.mark.parametrize(
    ("info", "how"),
    [
        (SessionInfo(status="running"), None),
        (SessionInfo(status="completed (2)", exit_code=2), Exited(2)),
        (SessionInfo(status="completed (-1)", exit_code=-1, signal=9), Signalled(9)),
        (SessionInfo(status="completed (-1)", exit_code=-1, end_reason="lost"), Lost()),
        (SessionInfo(status="completed (-1)", end_reason="lost"), Lost()),
    ],
)
def test_how_a_process_ended(info: SessionInfo, how: object) -> None:
    assert info.exit == how
