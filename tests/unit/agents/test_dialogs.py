"""Dialogs as real programs draw them: text, choices, the mark, and an id that stays."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from codewire.agents.dialogs import BAR, LIST, NO, YES, YES_OR_NO, Dialog, read_dialog
from codewire.term.screen import Screen
from tests.recordings import NAMES, Label, load

# Recording and dialog -> shape, how many choices, the marked one, the only yes, the only no.
EXPECTED = {
    ("aider", "permission_shell"): (YES_OR_NO, 2, None, 1, 2),
    ("aider", "permission_edit"): (YES_OR_NO, 2, None, 1, 2),
    ("claude", "trust"): (LIST, 2, 1, 1, 2),
    ("claude", "permission_shell"): (LIST, 3, 1, None, 3),
    ("claude", "permission_edit"): (LIST, 3, 1, None, 3),
    ("claude", "question"): (LIST, 4, 1, None, None),
    ("claudenew", "trust"): (LIST, 2, 1, 2, 1),
    ("claudenew", "dialog"): (LIST, 2, 1, 1, 2),
    ("claudenew", "permission_shell"): (LIST, 4, 1, None, 4),
    ("claudenew", "permission_edit"): (LIST, 3, 1, None, 3),
    ("codex", "trust"): (LIST, 2, 1, None, None),
    ("codex", "permission_shell"): (LIST, 3, 1, None, 3),
    ("codex", "question"): (LIST, 3, 1, None, None),
    ("gemini", "trust"): (LIST, 3, 1, None, 3),
    ("gemini", "permission_shell"): (LIST, 3, 1, None, 3),
    ("gemini", "permission_edit"): (LIST, 4, 1, None, 4),
    ("opencode", "permission_shell"): (BAR, 3, 1, None, 3),
    ("opencode", "permission_edit"): (BAR, 3, 1, None, 3),
    ("opencode", "question"): (LIST, 3, 1, None, None),
}


def dialog_at(name: str, label: Label, moments: tuple[float, ...]) -> list[Dialog | None]:
    header, chunks, _ = load(name)
    screen, found, done = Screen(header["rows"], header["cols"]), [], 0
    for moment in moments:
        while done < len(chunks) and chunks[done][0] <= moment:
            screen.feed(chunks[done][1])
            done += 1

        def paint(row: int, column: int) -> Hashable:
            return screen.grid.rows[row].styles[column]

        lines = [row.text() for row in screen.grid.rows]
        found.append(read_dialog(lines, (screen.y, screen.x), paint))
    return found


def dialogs(name: str) -> list[Label]:
    return [label for label in load(name)[2] if label.truth == "blocked"]


@pytest.mark.parametrize("name", NAMES)
def test_dialogs_of_real_programs(name: str) -> None:
    seen = 0
    for label in dialogs(name):
        expected = EXPECTED.get((name.split("-")[0], label.state.partition("/")[2]))
        if expected is None:
            continue
        seen += 1
        early, late = dialog_at(name, label, (label.start + 0.9, label.end - 1.0))
        assert early is not None and late is not None
        # Spinners, blinking titles and timers change nothing.
        assert early.id == late.id
        yes, no = late.only(YES), late.only(NO)
        assert (
            late.shape,
            len(late.items),
            late.marked.number if late.marked else None,
            yes.number if yes else None,
            no.number if no else None,
        ) == expected, late
    assert seen >= 2


def numbered(*labels: str, mark: int = 1, head: str = "Run `rm -r x`?") -> list[str]:
    rows = [f"{'❯' if n == mark else ' '} {n}. {label}" for n, label in enumerate(labels, 1)]
    return [head, "", *rows]


def only(lines: list[str]) -> Dialog:
    found = read_dialog(lines)
    assert found is not None
    return found


def test_the_mark_may_move_and_the_id_stays() -> None:
    one, two = (only(numbered("Yes", "No", mark=n)) for n in (1, 2))
    assert one.id == two.id
    assert [d.marked.number for d in (one, two) if d.marked] == [1, 2]


@pytest.mark.parametrize(
    "other",
    ["Run `rm -r y`?", "Run `rm -r x`? 5s", "Run `rm > x`?", "Run `sleep 5m`?", "Run `rm -r x |`?"],
)
def test_another_question_has_another_id(other: str) -> None:
    assert only(numbered("Yes", "No")).id != only(numbered("Yes", "No", head=other)).id


def test_another_choice_has_another_id() -> None:
    assert only(numbered("Yes", "No")).id != only(numbered("Yes", "No, never")).id


def test_a_menu_in_the_text_above_is_not_the_dialog() -> None:
    text = ["> 1. Yes", "  2. No", "", "Really delete everything?", "❯ No, exit", "  Yes, do it"]
    found = only(text)
    assert [item.label for item in found.items] == ["No, exit", "Yes, do it"]
    assert found.marked is not None and found.marked.number == 1


def test_several_that_say_yes_are_not_one() -> None:
    found = only(numbered("Yes", "Yes, always", "No"))
    assert found.only(YES) is None and found.only(NO) is not None
    assert only(numbered("Yesterday", "Nothing")).only(YES) is None


def test_colour_marks_only_where_one_differs_from_two_alike() -> None:
    lines = ["Which?", " 1. Red", " 2. Blue", " 3. Green"]
    odd = read_dialog(lines, paint=lambda row, column: row == 2)
    assert odd is not None and odd.marked is not None and odd.marked.number == 2
    same = read_dialog(lines, paint=lambda row, column: 1)
    assert same is not None and same.marked is None
    two = read_dialog(lines[:3], paint=lambda row, column: row == 2)
    assert two is not None and two.marked is None


@pytest.mark.parametrize("lines", [[], [""], ["$ "], ["> one line"], ["1. only one"]])
def test_no_dialog(lines: list[str]) -> None:
    assert read_dialog(lines) is None
