"""The overview without a terminal: what its keys do, what is drawn, which bytes are written."""

from __future__ import annotations

import re

import pytest

from codewire.client.overview.board import Board, Wish
from codewire.client.overview.canvas import ENTER, Canvas
from codewire.client.overview.drawing import draw, last_line, shorten
from codewire.client.overview.keyboard import Keyboard
from codewire.term.paint import Paint
from codewire.term.screen import Screen
from tests import crowd

BLOCKED = (0, 3)


def press(board: Board, *keys: str) -> Wish | None:
    """Press keys and return what the last one asks for."""
    return [board.press(key) for key in keys][-1]


def typed(board: Board, text: str) -> None:
    press(board, *text)


def footer(board: Board, cols: int = 80) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", draw(board, 24, cols, crowd.NOW, Paint(False))[-1])


# Keys


@pytest.mark.parametrize("size", [0, 1])
def test_keys_are_known_however_they_are_cut(size: int) -> None:
    data = b"n\x1b[B\x1bOA\xe6\x97\xa5\r\x7f\x1b[5~\x1b[99;1R\x1b[<0;1;1Mq"
    pieces = [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
    keyboard = Keyboard()
    found = [key for piece in pieces for key in keyboard.feed(piece)]
    assert found == ["n", "down", "up", "日", "enter", "backspace", "page up", "q"]


def test_an_escape_alone_is_a_key_once_nothing_follows() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b"\x1b") == [] and keyboard.is_waiting
    assert keyboard.flush() == ["escape"] and not keyboard.is_waiting


# The board


def test_who_is_blocked_is_selected_first() -> None:
    board = crowd.board()
    assert board.selected == BLOCKED
    assert [entry.info.id for entry in board.visible()][:4] == [3, 5, 4, 1]


def test_the_first_is_selected_until_a_key_is_pressed() -> None:
    board = crowd.board()
    board.changed((0, 2), "blocked", "", "Which?", crowd.ago(0), "")
    assert board.selected == (0, 2)
    press(board, "down", "up")
    board.changed((0, 1), "blocked", "", "Which?", crowd.ago(0), "")
    assert board.selected == (0, 2)


def test_enter_attaches_to_who_runs_only() -> None:
    board = crowd.board()
    assert press(board, "enter") == Wish("attach", BLOCKED)
    assert press(board, "end", "enter") is None
    assert "has ended" in footer(board)


def test_next_blocked_goes_round() -> None:
    board = crowd.board()
    press(board, "down", "down", "n")
    assert board.selected == BLOCKED
    board.changed((0, 4), "blocked", "question", "Which?", crowd.ago(1), "")
    assert board.selected == BLOCKED
    press(board, "n")
    assert board.selected == (0, 4)
    press(board, "n")
    assert board.selected == BLOCKED


def test_without_a_blocked_one_it_says_so() -> None:
    board = crowd.board()
    press(board, "up")
    board.changed(BLOCKED, "working", "", "", crowd.ago(0), "")
    press(board, "n")
    assert footer(board) == "no session is blocked"
    assert board.selected == BLOCKED


def test_a_session_is_ended_after_a_yes_only() -> None:
    board = crowd.board()
    assert press(board, "k") is None
    assert footer(board) == f"kill {crowd.LONG_NAME} and all it started? y/N"
    for no in ("enter", "n", "escape", "k", "q", "interrupt", "down"):
        assert press(board, no) is None and board.asks == ""
        assert board.selected == BLOCKED
        press(board, "k")
    assert press(board, "y") == Wish("kill", BLOCKED)


def test_the_question_is_about_the_session_it_names() -> None:
    """Whatever moves in the list meanwhile."""
    board = crowd.board()
    press(board, "k")
    board.listed(0, crowd.CROWD[3:])
    assert board.selected != BLOCKED
    assert press(board, "y") == Wish("kill", BLOCKED)


def test_a_prompt_is_typed_and_sent() -> None:
    board = crowd.board()
    press(board, "p")
    typed(board, "do itq")
    press(board, "backspace")
    assert footer(board).startswith(f"prompt {crowd.LONG_NAME}: do it")
    assert press(board, "enter") == Wish("prompt", BLOCKED, "do it")
    press(board, "p", "x")
    assert press(board, "escape") is None and board.asks == ""
    assert press(board, "p", " ", "enter") is None


def test_a_filter_narrows_at_once_and_escape_shows_all() -> None:
    board = crowd.board()
    press(board, "/")
    typed(board, "worker planner")
    assert [entry.info.id for entry in board.visible()] == [1]
    assert board.selected == (0, 1)
    press(board, "enter")
    assert "filter: worker planner" in draw(board, 24, 120, crowd.NOW, Paint(False))[0]
    press(board, "escape")
    assert len(board.visible()) > 20
    assert board.selected == (0, 1)
    press(board, "/", "q", "escape")
    assert board.filter == "" and press(board, "q") == Wish("quit")


def test_nothing_matches() -> None:
    board = crowd.board()
    press(board, "/", *"zzz", "enter")
    assert board.visible() == [] and board.selected is None
    for key in ("down", "up", "end", "n", "p", "k", "enter", "page down"):
        assert press(board, key) is None
    assert len(draw(board, 24, 80, crowd.NOW, Paint(False))) == 24


def test_a_session_that_ends_while_it_is_looked_at_stays_selected() -> None:
    board = crowd.board()
    press(board, "up")
    gone = [i if i.id != 3 else crowd.ended(id=3, completed_at=crowd.ago(0)) for i in crowd.CROWD]
    board.listed(0, gone)
    assert board.selected == BLOCKED
    assert board.screen is crowd.SCREEN
    assert press(board, "enter") is None


def test_a_session_that_is_gone_leaves_its_place_to_the_next() -> None:
    board = crowd.board()
    press(board, "down")
    board.listed(0, [info for info in crowd.CROWD if info.id != 5])
    assert board.selected == (0, 4)
    board.listed(0, [])
    assert board.selected is None and board.screen is None


def test_nodes_are_told_apart() -> None:
    board = Board(["local", "gpu"])
    board.listed(0, crowd.CROWD[:2])
    board.listed(1, crowd.CROWD[:2])
    assert [e.label for e in board.visible()].count("gpu:planner") == 1
    board.changed((1, 1), "blocked", "", "Proceed?", crowd.ago(0), "")
    assert board.visible()[0].label == "gpu:planner"
    board.troubles[1] = "the node does not answer"
    head = draw(board, 24, 80, crowd.NOW, Paint(False))[0]
    assert head == "cw top  gpu: the node does not answer"
    board.listed(1, crowd.CROWD[:1])
    assert "answer" not in draw(board, 24, 80, crowd.NOW, Paint(False))[0]


def test_news_of_unknown_sessions_is_no_news() -> None:
    board = crowd.board()
    board.changed((0, 999), "blocked", "", "", "", "")
    board.looked((0, 999), crowd.SCREEN, "x")
    assert (0, 999) not in [entry.key for entry in board.visible()]


# The picture


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 9, 10, 24, 60])
@pytest.mark.parametrize("cols", [1, 5, 12, 20, 80])
@pytest.mark.parametrize("asks", ["", "k", "p", "/"])
def test_every_size_is_filled_and_no_more(rows: int, cols: int, asks: str) -> None:
    board = crowd.board()
    for key in asks:
        board.press(key)
    lines = draw(board, rows, cols, crowd.NOW, Paint(True))
    assert len(lines) == rows
    screen = Screen(rows, cols)
    screen.feed(ENTER + Canvas().update(lines, cols))
    assert len(screen.lines()) == rows


def test_the_selected_one_is_in_sight_wherever_it_is() -> None:
    board = crowd.board()
    for _ in range(40):
        shown = "\n".join(draw(board, 24, 80, crowd.NOW, Paint(False)))
        assert shown.count("▸") == 1
        press(board, "down")
    assert board.selected == board.visible()[-1].key


def test_colours_are_kept_and_nothing_else() -> None:
    assert shorten("\x1b[31mab\x1b[2Jcd\x1b[0m", 3, True) == "\x1b[31mab[\x1b[0m\x1b[0m"
    assert shorten("\x1b[31mab", 1, False) == "a"
    assert shorten("あ\x1b[1mあ", 3, True) == "あ\x1b[1m\x1b[0m"


def test_the_last_line_is_one_that_says_something() -> None:
    assert last_line(["a  b", "\x1b[1m────\x1b[0m", ""]) == "a b"
    assert last_line([]) == ""


def test_only_what_has_changed_is_written() -> None:
    canvas, screen = Canvas(), Screen(3, 10)
    for rows in (["one", "two", "three"], ["one", "日本", ""], ["x" * 10, "日本", "end"]):
        screen.feed(canvas.update(rows, 10))
        assert screen.lines() == rows
    assert canvas.update(["x" * 10, "日本", "end"], 10) == b""
    changed = canvas.update(["x" * 10, "日本", "END"], 10)
    assert b"END" in changed and b"xxx" not in changed
    canvas.forget()
    assert b"xxx" in canvas.update(["x" * 10, "日本", "END"], 10)
