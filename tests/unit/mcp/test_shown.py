"""What is new on a screen, and what a line is after all that was written over in it."""

from __future__ import annotations

from codewire.mcp import prompts
from codewire.mcp.memory import MAX_READS, Memory, added
from codewire.mcp.shown import FEW_MOVES, MOVES, without_redraws


def test_lines_that_were_there_are_not_new() -> None:
    before = ["> fix it", "", "Thinking 1s", "a", "a"]
    assert added(before, ["> fix it", "Thinking 9s", "a", "a", "a", "", "done"]) == [
        "Thinking 9s",
        "a",
        "done",
    ]
    assert added(before, before) == []


def test_only_so_many_reads_are_remembered() -> None:
    memory = Memory()
    for offset in range(MAX_READS + 1):
        memory.keep(1, {"offset": offset, "lines": [str(offset)]})
    now = {"offset": 99, "history": ["1"], "lines": ["new", ""]}
    assert memory.new_lines(1, 0, now) is None
    assert memory.new_lines(1, 1, now) == ["new"]
    assert memory.new_lines(2, 1, now) is None
    memory.keep(3, {"lines": ["of a node that names no offset"]})


def test_a_progress_bar_is_its_last_state() -> None:
    text = "start\r\n" + "".join(f"\r{n:3}%" for n in range(101)) + "\r\ndone\r\n"
    assert without_redraws(text) == "start\r\n100%\r\ndone\r\n"
    for untouched in ("a\r\nb\r\n", "a\nb", "", "waits\r"):
        assert without_redraws(untouched) == untouched


def test_what_redraws_moves_the_cursor_often() -> None:
    spinner = "\x1b[2A\x1b[2K⠋ Working\r\n" * FEW_MOVES
    assert len(MOVES.findall(spinner)) >= FEW_MOVES
    lines = "\x1b[1;32mok\x1b[0m\x1b[K\r\n" * 100
    assert not MOVES.findall(lines)


def test_the_prompt_names_what_is_to_be_watched() -> None:
    answer = prompts.get_prompt(
        {"name": "supervise", "arguments": {"session": "planner", "task": "ship {it}"}}
    )
    assert answer is not None
    text = answer["messages"][0]["content"]["text"]
    assert "session planner" in text and "ship {it}" in text
    assert prompts.get_prompt({"name": "other"}) is None
    assert prompts.get_prompt({"name": "supervise", "arguments": 7}) is not None
