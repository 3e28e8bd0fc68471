"""Finding text in output that comes in pieces, the echo of what was typed left out."""

from __future__ import annotations

import re

import pytest

from codewire.client.expect import Matcher, find_shown


def find(
    wanted: str, pieces: list[str], typed: dict[int, str] | None = None, include_echo: bool = False
) -> str | None:
    """Return the line found; `typed` says before which piece what was typed."""
    matcher = Matcher(re.compile(wanted), include_echo)
    for number, piece in enumerate(pieces):
        if typed and number in typed:
            matcher.add_typed(number, typed[number])
        line = matcher.feed(piece)
        if line is not None:
            return line
    return None


@pytest.mark.parametrize(
    ("pieces", "line"),
    [
        (["all DONE here\r\nmore"], "all DONE here"),
        (["all DO", "NE"], "all DONE"),
        (list("x DONE"), "x DONE"),
        (["DON", "\r\nE"], None),
        ([], None),
    ],
)
def test_text_is_found_however_it_is_cut(pieces: list[str], line: str | None) -> None:
    assert find("DONE", pieces) == line


COMMAND = "make && echo DONE"


@pytest.mark.parametrize(
    ("pieces", "line"),
    [
        (["$ make && echo DONE\r\n", "DONE\r\n"], "DONE"),
        (["$ make && echo DONE\r\nbuilding\r\n"], None),
        (["make && echo DONE\r\n$ make && echo DONE\r\n"], None),
        (["$ make && ec \rho DONE\r\n"], None),
        (list("$ make && echo DONE\r\nworking"), None),
        (list("$ make && echo DONE\r\nDONE"), "DONE"),
    ],
)
def test_the_echo_of_a_command_is_no_output(pieces: list[str], line: str | None) -> None:
    assert find("DONE", pieces, {0: COMMAND}) == line


def test_an_echo_counts_if_asked_for() -> None:
    assert find("DONE", ["$ echo DONE"], {0: "echo DONE"}, include_echo=True) == "$ echo DONE"


def test_a_program_that_repeats_what_was_typed_has_printed_it() -> None:
    assert find("hello", ["hello\r\nhello\r\n"], {0: "hello"}) == "hello"
    assert find("hello", ["hello\r\n"], {0: "hello"}) is None


def test_what_was_printed_before_the_typing_counts() -> None:
    assert find("DONE", ["DONE\r\n$ ", "echo DONE"], {1: "echo DONE"}) == "DONE"


def test_much_output_is_looked_through_with_little_memory() -> None:
    matcher = Matcher(re.compile("needle"), False)
    for _ in range(50):
        assert matcher.feed("hay\n" * 10_000) is None
    assert len(matcher._text) < 300_000
    assert matcher.feed("a needle\n") == "a needle"


def shown(lines: list[str], wanted: str, typed: tuple[str, ...] = ()) -> str | None:
    match = find_shown({"lines": lines, "offset": 7}, re.compile(wanted), typed)
    return None if match is None else match.line


def test_what_a_screen_shows_is_found_but_for_what_was_typed() -> None:
    assert shown(["", " Do you want to proceed?", ""], "to proceed") == " Do you want to proceed?"
    assert shown(["$ echo DONE"], "DONE", ("echo DONE",)) is None
    assert shown(["$ echo DONE", "DONE"], "DONE", ("echo DONE",)) == "DONE"
    assert shown(["DON"], "DONE") is None
