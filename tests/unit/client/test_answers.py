"""What an agent said, read off screens; and what a person at the keyboard has not finished."""

from __future__ import annotations

from typing import Any

from codewire.client.answers import MAX_LINES, Answer, Reading
from codewire.term.submission import opening_key
from codewire.terminal.viewers import Viewer, Viewers


def screen(*lines: str, number: int = 0, **more: Any) -> dict[str, Any]:
    row = len(lines) - 1
    return {"lines": list(lines), "cursor": {"row": row, "col": 2}, "screen_hash": number, **more}


def test_the_lines_above_the_input_row_without_the_prompts_echo() -> None:
    reading = Reading("what is left to do?", screen("hello", "> "))
    after = screen("hello", "> what is left", "  to do?", "", "● nothing", "────", "> ", number=1)
    assert reading.take(after, 0.2) is None
    assert reading.take(after, 1.5) == Answer("idle", ["● nothing"])


def test_a_dialog_is_shown_whole_and_a_screen_that_stands_still_is_stalled() -> None:
    dialog = screen("> go", "Proceed?", "❯ 1. Yes", "  2. No", number=1, state="blocked")
    reading = Reading("go", screen("> "))
    assert reading.take(dialog, 0.0) is None
    assert reading.take(dialog, 1.1) == Answer("blocked", ["Proceed?", "❯ 1. Yes", "  2. No"])
    reading = Reading("go", screen("> "))
    still = screen("> ", number=2)
    assert reading.take(still, 0.0) is None and reading.take(still, 9.9) is None
    assert reading.take(still, 10.1) == Answer("stalled", [])


def test_an_answer_is_bounded_and_work_is_waited_for() -> None:
    lines = [f"line {number}" for number in range(3 * MAX_LINES)]
    reading = Reading("go", screen("> "))
    assert reading.take(screen(*lines, "...", number=1, state="working"), 60.0) is None
    assert reading.take(screen(*lines, "...", number=1, state="working"), 90.0) is None
    done = screen(*lines, "> ", number=2)
    assert reading.take(done, 91.0) is None
    assert reading.take(done, 93.0) == Answer("idle", lines[-MAX_LINES:])


def test_a_path_is_no_command() -> None:
    assert [opening_key(text) for text in ("/help", "!ls", "/usr/bin x", "/a\nb", "/", "")] == [
        *("/", "!", "", "", "", "")
    ]


def test_what_a_client_has_typed_of_a_line() -> None:
    viewers = Viewers(lambda *_: None)
    viewers.note(b"nobody is attached")
    assert viewers.draft == ""
    viewers = Viewers(lambda *_: None)
    viewers.add(Viewer())
    for data, draft in (
        (b"\x1b[I\x1b[<35;1;1M\x1b[12;4R", ""),
        (b"ab", "ab"),
        (b"c\x7f", "ab"),
        (b"\x1b[A", "ab"),
        (b"\rnext", "next"),
        (b"\x03", ""),
    ):
        viewers.note(data)
        assert viewers.draft == draft
    assert viewers.typed_seconds() < 60
