"""Who sends, and what others see of that."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.mail.party import NOBODY, Party, elsewhere, here, person
from codewire.session.session import Session
from tests.unit.session.records import running


def session(name: str) -> Session:
    record = running(3)
    record.name = name
    return Session(record, "", "")


@pytest.mark.parametrize(
    ("party", "label", "fields"),
    [
        (NOBODY, "the user", {"from": 0}),
        (here(session("")), "session-3", {"from": 3}),
        (here(session("coder")), "coder", {"from": 3, "from_name": "coder"}),
        (elsewhere("dev-1", "planner"), "dev-1:planner", {"from": 0, "from_name": "dev-1:planner"}),
        (person("ada"), "ada", {"from": 0, "from_name": "ada"}),
    ],
)
def test_what_is_shown(party: Party, label: str, fields: dict[str, Any]) -> None:
    assert party.label() == label
    assert party.fields("from") == fields


def test_only_a_session_of_this_node_has_an_inbox() -> None:
    assert here(session("x")).session is not None
    for party in (NOBODY, elsewhere("dev-1", "planner"), person("ada")):
        assert party.session is None and party.id == 0
