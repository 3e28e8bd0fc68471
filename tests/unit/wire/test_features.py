"""What may be repeated and what must be known: the tables, and that they belong together."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.wire.features import FEATURES, NEEDS, listed, missing, needs_features
from codewire.wire.repeats import (
    KEYS,
    QUESTIONS,
    SLOW,
    WAITS,
    is_question,
    is_slow,
    is_wait,
    key_of,
)
from codewire.wire.requests import FIELDS


def test_the_tables_name_fields_of_the_wire_and_features_of_ours() -> None:
    assert set(KEYS.values()) <= set(FEATURES) & set(FIELDS)
    for fields in NEEDS.values():
        assert set(fields) <= set(FIELDS)
        assert {feature for feature, _ in fields.values()} <= set(FEATURES)
    assert len(set(FEATURES)) == len(FEATURES)


def test_nothing_is_both_a_question_and_done_by_key() -> None:
    assert not QUESTIONS & set(KEYS)


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
    assert not (WAITS | SLOW) & set(prompt.split())
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
    assert needs_features(request_) == bool(option)
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
