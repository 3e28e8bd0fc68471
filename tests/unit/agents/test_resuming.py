"""Command lines that take up a conversation: what of the old one stays, which ids count."""

from __future__ import annotations

import pkgutil
from typing import Any

import pytest
import toml
from hypothesis import given
from hypothesis import strategies as st

from codewire.agents.programs import BUILT_IN, BadRules, read_program
from codewire.agents.resuming import (
    Resuming,
    id_in,
    is_id,
    printed_command,
    printed_id,
    read_resuming,
    resumed,
)
from codewire.session.agentprocess import program_names, program_place
from codewire.term.resumption import Resumption, parse_resumption
from codewire.term.signals import Signals


def rules(name: str) -> Resuming:
    data = pkgutil.get_data("codewire.agents", f"{name}.toml") or b""
    found = read_program(toml.loads(data.decode())).resume
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("program", "line", "wanted"),
    [
        ("claude", "claude", "claude --resume ID"),
        ("claude", "claude --model opus FIX", "claude --model opus --resume ID"),
        (
            "claude",
            "claude --dangerously-skip-permissions -- FIX",
            "claude --dangerously-skip-permissions --resume ID",
        ),
        ("claude", "claude --model=opus --resume old", "claude --model=opus --resume ID"),
        ("claude", "npx claude --session-id old FIX", "npx claude --resume ID"),
        ("claude", "claude -p FIX", None),
        ("codex", "codex -m o5 FIX", "codex resume ID -m o5"),
        ("codex", "codex resume old --search", "codex resume ID --search"),
        ("codex", "codex exec FIX", None),
        ("gemini", "gemini --yolo", "gemini --yolo --resume ID"),
        ("qwen", "qwen -p FIX", None),
        ("opencode", "opencode --session old", "opencode --session ID"),
        ("copilot", "copilot --allow-all-tools", "copilot --allow-all-tools --resume=ID"),
    ],
)
def test_what_a_program_is_resumed_with(program: str, line: str, wanted: str | None) -> None:
    argv = line.split()
    place = program_place(argv, (program,))
    assert program in program_names(argv)
    found = resumed(argv, place, rules(program), "ID")
    assert found == (None if wanted is None else tuple(wanted.split()))


def test_a_command_line_may_name_its_conversation() -> None:
    assert id_in(["claude", "--session-id", "abc"], 0, rules("claude")) == "abc"
    assert id_in(["claude", "--resume=abc"], 0, rules("claude")) == "abc"
    assert id_in(["claude", "--resume"], 0, rules("claude")) == ""
    assert id_in(["claude", "--resume", "--model"], 0, rules("claude")) == ""
    assert id_in(["codex", "resume", "abc"], 0, rules("codex")) == "abc"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-x",
        "--dangerously-skip-permissions",
        "a b",
        "a;b",
        "a" * 65,
        "a\n",
        "ä",
        "a/b",
        None,
        7,
    ],
)
def test_what_is_no_id_goes_nowhere(text: Any) -> None:
    assert not is_id(text)
    if isinstance(text, str):
        assert resumed(["claude"], 0, rules("claude"), text) is None


@given(st.text(max_size=70))
def test_an_id_is_one_word_of_the_argv_or_nothing(text: str) -> None:
    found = resumed(["claude", "x"], 0, rules("claude"), text)
    assert found is None or found == ("claude", "--resume", text)


def test_a_screen_may_show_the_id() -> None:
    table = {"args": ["--go", "{id}"], "match": "resume with ([^ ]+)"}
    found = read_resuming(table)
    assert found is not None
    assert printed_id("x\nresume with abc-1 now", found) == "abc-1"
    assert printed_id("resume with --yolo", found) == ""


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("x", "resume must be a table"),
        ({"args": ["--resume"]}, "args must name {id} once"),
        ({"args": ["{id}"], "flag": ["x"]}, "unknown key 'flag'"),
        ({"args": ["{id}"], "flags": "x"}, "flags must be a list"),
        ({"args": ["{id}"], "match": "("}, "resume: match"),
        ({"args": ["{id}"], "match": "x"}, "must have one group"),
        ({"args": ["{id}"], "match": 5}, "resume: match"),
    ],
)
def test_bad_tables_are_named(table: Any, words: str) -> None:
    with pytest.raises(BadRules, match=words):
        read_program({"name": "x", "resume": table})


def test_every_program_but_aider_can_be_resumed() -> None:
    for name in BUILT_IN:
        if name != "aider":
            assert rules(name).args


def test_a_printed_command_line_is_words_that_can_be_shown() -> None:
    assert printed_command("claude --resume 'a b'") == ("claude", "--resume", "a b")
    assert printed_command("a 'b") == ()
    assert printed_command("a\x1b[2Kb") == ()
    assert printed_command("a\u202eb") == ()
    assert printed_command("x" * 2000) == ()
    assert printed_command("") == ()


def test_what_programs_print_in_band_byte_by_byte() -> None:
    signals = Signals()
    data = (
        b"\x1b]26;CodeAgent=claude;SessionId=abc-1;Status=running\x07"
        # claude --resume abc-1
        b"\x1b]88;MethodResume=Y2xhdWRlIC0tcmVzdW1lIGFiYy0x\x1b\\"
    )
    for at in range(len(data)):
        signals.feed(data[at : at + 1], 0.0)
    assert signals.resumption == Resumption("abc-1", "claude --resume abc-1")


def test_what_is_not_said_again_stays() -> None:
    before = Resumption("a", "b")
    assert parse_resumption(b"SessionId=c", before) == Resumption("c", "b")
    assert parse_resumption(b"Status=idle", before) == before
    assert parse_resumption(b"SessionId=" + b"c" * 5000, before) == before
    assert parse_resumption(b"Command=make", Resumption()).command == "make"
