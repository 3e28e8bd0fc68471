"""What may be repeated and what must be known: the tables, and that they belong together."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.wire.features import FEATURES, NEEDS, listed, missing
from codewire.wire.requests import (
    ALWAYS,
    FIELDS,
    NEVER,
    REQUESTS,
    is_question,
    is_slow,
    is_wait,
    key_of,
    row_of,
)

KEYS = {row.repeat for row in REQUESTS.values()} - {ALWAYS, NEVER}


def test_the_tables_name_fields_of_the_wire_and_features_of_ours() -> None:
    assert KEYS <= set(FEATURES) & set(FIELDS)
    for kind, fields in NEEDS.items():
        assert set(fields) <= REQUESTS[kind].fields
        assert {feature for feature, _ in fields.values()} <= set(FEATURES)
    assert len(set(FEATURES)) == len(FEATURES)


def test_a_row_and_the_features_agree_on_what_a_node_must_know() -> None:
    needed = {row.type: set(row.needs.split()) for row in REQUESTS.values() if row.needs}
    assert needed == {kind: set(fields) for kind, fields in NEEDS.items()}


def test_what_is_done_by_key_carries_it() -> None:
    for row in REQUESTS.values():
        assert row.repeat in (ALWAYS, NEVER) or row.repeat in row.fields


@pytest.mark.parametrize(
    "kind", ["Kill", "KillAll", "KillByTags", "NodeRestart", "Attach", "", "X"]
)
def test_what_does_something_and_has_no_key_is_never_repeated(kind: str) -> None:
    assert not is_question({"type": kind})
    assert key_of({"type": kind, "input_key": "k", "launch_key": "k"}) == ""


def test_a_key_must_be_there_to_be_one() -> None:
    assert key_of({"type": "SendInput", "input_key": None}) == ""
    assert key_of({"type": "SendInput", "input_key": "k"}) == "input_key"
    assert key_of({"type": "MsgSend", "input_key": "k"}) == ""


def test_what_is_answered_at_once() -> None:
    prompt = "ListSessions Launch GetStatus GetScreen NodeStatus NodeRestart MsgSend KVSet Attach"
    assert not any(is_wait({"type": kind}) or is_slow({"type": kind}) for kind in prompt.split())
    assert is_slow({"type": "Kill"})
    assert not is_slow({"type": "Wait"})
    assert not is_wait({"type": "Logs", "follow": False})
    assert is_wait({"type": "Logs", "follow": True})
    assert is_wait({"type": "SendInput"})


@pytest.mark.parametrize(
    ("request_", "option"),
    [
        ({"type": "SendInput", "data": "eA=="}, ""),
        ({"type": "SendInput", "input_key": None}, ""),
        ({"type": "SendInput", "input_key": "k"}, "--key"),
        ({"type": "SendInput", "if_idle_ms": 0}, "--if-idle"),
        ({"type": "SendInput", "expect_screen": "h"}, "--expect-screen"),
        ({"type": "Launch", "launch_key": "k", "dir_optional": True}, ""),
        ({"type": "Launch", "rows": 3}, "--size"),
        ({"type": "Wait", "id": 1, "timeout_seconds": 3}, ""),
        ({"type": "Wait", "id": 1, "idle_ms": 3}, "--idle"),
        ({"type": "Logs", "from_offset": 0}, "from_offset"),
        ({"type": "Logs", "from_offset": 0, "mark_typed": True}, "--for"),
        ({"type": "WatchSession", "from_offset": 9}, "from_offset"),
        ({"type": "KVSet", "request_key": "k"}, ""),
    ],
)
def test_options_that_must_not_be_dropped(request_: dict[str, Any], option: str) -> None:
    assert missing(request_, frozenset()) == option
    has_any = any(request_.get(name) is not None for name in row_of(request_).needs.split())
    assert has_any == bool(option)
    assert missing(request_, frozenset(FEATURES)) == ""


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "Error", "message": "unknown request type: NodeStatus"},
        {"type": "NodeStatus", "node": {"version": "0.1"}},
        {"type": "NodeStatus", "node": {}, "features": "input_key"},
        {"type": "NodeStatus", "node": {}, "features": {"input_key": 1}},
        {"type": "NodeStatus", "node": {}, "features": [1, None]},
        {},
    ],
)
def test_a_node_that_does_not_say_knows_nothing(answer: dict[str, Any]) -> None:
    assert listed(answer) == frozenset()


def test_features_we_have_not_heard_of_do_no_harm() -> None:
    answer = {"node": {}, "features": ["input_key", "of the future", 3]}
    assert listed(answer) == {"input_key", "of the future"}
