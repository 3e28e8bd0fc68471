"""What a session's terminal remembers is bounded: questions, notes of what was typed, viewers."""

from __future__ import annotations

from typing import cast

from codewire.output.log import OutputLog
from codewire.terminal.questions import Asker, Questions
from codewire.terminal.typed import MAX_LINE_BYTES, MAX_LINES, Typed
from codewire.terminal.viewers import Viewer, Viewers


class Quiet:
    """A log without output."""

    end = first = 0

    def read(self, offset: int, limit: int) -> None:
        raise AssertionError("there is nothing to read")


def test_a_session_waits_for_one_answer_at_a_time() -> None:
    rung: list[Questions] = []
    questions = Questions(cast(Asker, object()), rung.append)
    for _ in range(1000):
        questions.set()
        questions.ring()
    assert rung == [questions]
    questions.is_rung = False
    questions.set()
    assert rung == [questions] * 2


def test_nobody_is_rung_while_a_client_is_attached() -> None:
    rung: list[Questions] = []
    questions = Questions(cast(Asker, object()), rung.append)
    assert questions.attached(cast(OutputLog, Quiet()), 7) == 7
    questions.set()
    assert rung == []
    questions.detached(9)
    assert (questions.offset, questions.limit, rung) == (9, None, [questions])


def test_notes_of_what_was_typed_are_bounded() -> None:
    typed = Typed()
    for number in range(10 * MAX_LINES):
        typed.note(number, b"line %d\n" % number)
    lines = typed.since(0)
    assert len(lines) == MAX_LINES
    assert lines[-1][2] == b"line %d" % (10 * MAX_LINES - 1)
    for number in range(100):
        typed.note(number, b"x" * MAX_LINE_BYTES)
    assert len(typed.since(lines[-1][0])[0][2]) == MAX_LINE_BYTES
    assert typed.unfinished == 100 * MAX_LINE_BYTES


def test_a_viewer_is_held_once_and_let_go() -> None:
    sizes: list[tuple[int, int]] = []
    viewers = Viewers(lambda rows, cols: sizes.append((rows, cols)))
    first, second = Viewer(), Viewer()
    viewers.add(first)
    viewers.add(second)
    for rows in range(1, 100):
        viewers.resize(first, (rows, 80))
        viewers.resize(second, (rows, 90))
        viewers.typed(first)
    assert len(viewers._viewers) == 2
    viewers.remove(first)
    assert sizes[-1] == (99, 90)
    viewers.remove(second)
    viewers.remove(second)
    assert viewers._viewers == []
