"""What a screen says of a text that was typed (spec/submit.md 2)."""

from __future__ import annotations

import pytest

from codewire.term.submission import (
    COMPLETED,
    NEWLINE,
    SUBMITTED,
    UNKNOWN,
    WAITING,
    Snapshot,
    judge,
    may_press_again,
    needs_space,
    opening_key,
    shows,
    snapshot,
)

PROMPT = Snapshot("❯", "────", 20, 2)


def left(text: str, above: str = "────", row: int = 20) -> Snapshot:
    return Snapshot(text, above, row, len(text))


SHOWN = [
    (PROMPT, left("❯ fix the bug"), "fix the bug", True),
    (PROMPT, left("❯ [Pasted text #1 +59 lines]"), "a\nb\nc", True),
    (PROMPT, left("ug", "❯ fix the long b", 21), "fix the long bug", True),
    (PROMPT, left("│ last line", "│ first", 21), "first\nlast line", True),
    (PROMPT, left("❯ 日本 👩‍👩‍👧"), "日本 👩‍👩‍👧", True),
    (PROMPT, PROMPT, "fix the bug", False),
    (PROMPT, left("❯ other text"), "fix the bug", False),
    (left("❯ fix the bug"), left("❯ fix the bug"), "fix the bug", False),
    (Snapshot("", "", 5, 0), Snapshot("", "", 6, 0), "yes", False),
]


@pytest.mark.parametrize(("before", "after", "text", "expected"), SHOWN)
def test_is_it_there(before: Snapshot, after: Snapshot, text: str, expected: bool) -> None:
    assert shows(before, after, text) is expected


TYPED = left("❯ fix the bug")
VERDICTS = [
    (PROMPT, TYPED, left("❯"), SUBMITTED),
    (PROMPT, TYPED, Snapshot("", "❯ fix the bug", 21, 0), NEWLINE),
    (PROMPT, left("❯ see @READ"), left("❯ see @README.md"), COMPLETED),
    (PROMPT, TYPED, TYPED, WAITING),
    (PROMPT, TYPED, left("❯ 1. Yes"), UNKNOWN),
    (left("┃"), left("┃ fix the bug"), left("┃", "┃ fix the bug", 21), NEWLINE),
    (left("┃"), left("┃ fix the bug"), left("┃", "────"), SUBMITTED),
    (left("┃"), left("┃ [Pasted ~60 lines]"), left("┃", "┃ [Pasted ~60 lines]", 21), NEWLINE),
    (PROMPT, left("❯ [Pasted text #1]"), Snapshot("", "❯ [Pasted text #1]", 21, 0), NEWLINE),
    (left("┃"), left("┃ [Pasted ~60 lines]"), left("┃", "────"), SUBMITTED),
    (Snapshot("", ""), left("fix the bug"), Snapshot("", "fix the bug", 1, 0), UNKNOWN),
]


@pytest.mark.parametrize(("before", "typed", "after", "expected"), VERDICTS)
def test_verdicts(before: Snapshot, typed: Snapshot, after: Snapshot, expected: str) -> None:
    assert judge(before, typed, after, "fix the bug") == expected


def test_enter_is_pressed_again_only_where_the_text_is_still_in_the_box() -> None:
    again = {
        v
        for v in (SUBMITTED, NEWLINE, COMPLETED, WAITING, UNKNOWN)
        if may_press_again(v, pastes=True, canonical=False)
    }
    assert again == {NEWLINE, COMPLETED}
    assert not may_press_again(NEWLINE, pastes=False, canonical=False)
    assert not may_press_again(NEWLINE, pastes=True, canonical=True)


@pytest.mark.parametrize(
    ("text", "needs"),
    [("a\\", True), ("see @READ", True), ("see @READ ", False), ("a@b", False), ("", False)],
)
def test_texts_that_need_a_blank_behind(text: str, needs: bool) -> None:
    assert needs_space(text) is needs


@pytest.mark.parametrize(
    ("text", "key"), [("/help", "/"), ("!ls", "!"), ("/", ""), ("/a\nb", ""), ("x", "")]
)
def test_the_key_that_opens_a_mode(text: str, key: str) -> None:
    assert opening_key(text) == key


def test_snapshots_fold_blanks() -> None:
    rows = ["  top  ", "❯\u00a0 fix   it  later"]
    assert snapshot(rows, 1, 11) == Snapshot("❯ fix it", "top", 1, 11)
    assert snapshot(rows, 7, 0) == Snapshot("", "", 7, 0)
