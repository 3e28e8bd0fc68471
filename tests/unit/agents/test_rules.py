"""Rules over screens: which dialogs are seen and what is none, tables of programs, explanations."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.agents.evidence import Evidence, Rhythm, Verdict
from codewire.agents.programs import (
    NO_PROGRAM,
    BadRules,
    explain,
    judge,
    program_of,
    read_program,
)


def look(*lines: str, **more: Any) -> Evidence:
    return Evidence(lines, **{"cursor": (len(lines) - 1, 0), **more})


BLOCKED = [
    look("Do you want to proceed?", "❯ 1. Yes", "  2. No"),
    look("│ Apply this change? │", "│ ● 1. Allow once │", "│   2. No │"),
    look("? ", "› 1) yes", "  2) no", "", ""),
    look("Trust this folder?", "", " enter continue · esc back"),
    look("Press Enter to", "confirm or esc to cancel"),
    look("  Allow once  Reject   ⇆ select  enter con"),
    look("What now?", "", "❯ No, exit", "  Yes, I trust it"),
    look("Run shell command? (Y)es/(N)o/(D)on't ask again [Yes]: "),
    look("Proceed? [y/N] "),
    look("", title="✋  Action Required (w1)"),
    look("", title="[ ! ] Action Required | w1"),
    look("❯ 1. Yes", "  2. No", "⠏ esc to cancel", quiet_seconds=0.1),
    look("Sure? [y/N] ", progress=3),
]


@pytest.mark.parametrize("evidence", BLOCKED)
def test_dialogs(evidence: Evidence) -> None:
    assert judge(evidence).state == "blocked"


WORKING = [
    look("• Working (3s • esc to interrupt)", "", "› "),
    look("⠋ joke… (6s · ↓ 43 tokens · esc to", "cancel)"),
    look("press ctrl+c to stop"),
    look("", title="⠋ thinking"),
    look("", title="✦  Working… (w1)"),
    look("", progress=3),
    look("⠴ Thinking", quiet_seconds=1.0),
    look("text", busy_slots=4, quiet_seconds=0.2),
]


@pytest.mark.parametrize("evidence", WORKING)
def test_work(evidence: Evidence) -> None:
    assert judge(evidence).state == "working"


IDLE = [
    look(),
    look("$ "),
    look("1. first", "2. second", "3. third", "> "),
    look("Proceed? [y/N] y", "done", "$ "),
    look("› Ask Codex to do anything", "", "  mock default · ~/w1"),
    look("⠴ Thinking", quiet_seconds=3.0),
    look("text", busy_slots=5, quiet_seconds=1.0),
    look("❯ 1. Yes", "  2. No", *(f"later line {n}" for n in range(20))),
]


@pytest.mark.parametrize("evidence", IDLE)
def test_nothing_of_the_kind(evidence: Evidence) -> None:
    assert judge(evidence) == Verdict("idle", "nothing")


def test_a_person_is_shown_what_is_asked() -> None:
    evidence = look("│ Do you want to proceed? │", "│ ❯ 1. Yes │", "│   2. No │")
    assert judge(evidence).text == "Do you want to proceed?"


TABLE = {
    "name": "x",
    "commands": ["x", "x.js"],
    "rule": [
        {"state": "idle", "where": "title", "match": "^ready"},
        {"state": "blocked", "where": "last", "match": "your turn", "kind": "question"},
        {"state": "working", "where": "cursor", "absent": "^> "},
    ],
}


def test_a_programs_own_rules() -> None:
    program = read_program(TABLE)
    assert judge(look("your turn", "> "), program) == Verdict(
        "blocked", "x 2", "question", "your turn"
    )
    assert judge(look("> ", title="ready"), program).rule == "x 1"
    assert judge(look("busy"), program).rule == "x 3"
    assert judge(look("❯ 1. a", "  2. b"), program).rule == "menu"


def test_every_rule_is_explained() -> None:
    found = dict(explain(look("Sure? [y/N] "), read_program(TABLE)))
    assert found["yes_no"] is not None and found["menu"] is None
    assert {"x 1", "x 2", "x 3"} <= set(found)


BAD_TABLES: list[tuple[dict[str, Any], str]] = [
    ({}, "name must be a string"),
    ({"name": "x", "commands": "x"}, "commands must be a list of strings"),
    ({"name": "x", "rule": [1]}, "rule 1 must be a table"),
    ({"name": "x", "rule": [{"state": "up", "match": "a"}]}, "rule 1: state must be one of"),
    ({"name": "x", "rule": [{"state": "idle"}]}, "rule 1 needs match or absent"),
    ({"name": "x", "rule": [{"state": "idle", "match": "("}]}, "rule 1: match: "),
    ({"name": "x", "rule": [{"state": "idle", "match": "a", "where": "sky"}]}, "where must be"),
    ({"name": "x", "rule": [{"state": "idle", "match": "a", "wher": "title"}]}, "unknown key"),
]


@pytest.mark.parametrize(("table", "words"), BAD_TABLES)
def test_tables_that_cannot_be_used(table: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRules) as caught:
        read_program(table)
    assert words in str(caught.value)


def test_a_program_is_known_by_its_process() -> None:
    program = read_program(TABLE)
    assert program_of(["node", "x.js"], [program]) is program
    assert program_of(["bash"], [program]) is NO_PROGRAM


def test_the_echo_of_what_is_typed_is_no_work() -> None:
    rhythm = Rhythm()
    for step in range(20):
        rhythm.typed(step * 0.1)
        rhythm.printed(step * 0.1 + 0.01)
    assert rhythm.busy_slots(2.0) == 0
    for step in range(20, 45):
        rhythm.printed(step * 0.1 + 0.35)
    assert rhythm.busy_slots(4.8) == 5
