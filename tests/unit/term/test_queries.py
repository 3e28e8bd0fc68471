"""Queries: found whole or cut, answered as a terminal would, and blotted out of replays."""

from __future__ import annotations

import pytest

from codewire.term.modes import Modes
from codewire.term.queries import QUERY, Replay, State, answer, find_unfinished, mask_queries

ANSWERS = [
    (b"\x1b[c", b"\x1b[?6c"),
    (b"\x1b[0c", b"\x1b[?6c"),
    (b"\x1b[>c", b"\x1b[>0;0;0c"),
    (b"\x1b[>0c", b"\x1b[>0;0;0c"),
    (b"\x1b[=c", b"\x1bP!|00000000\x1b\\"),
    (b"\x1b[5n", b"\x1b[0n"),
    (b"\x1b[6n", b"\x1b[3;5R"),
    (b"\x1b[?6n", b"\x1b[?3;5R"),
    (b"\x1b]4;0;?\x07", b"\x1b]4;0;rgb:0000/0000/0000\x07"),
    (
        b"\x1b]4;16;?;255;?\x1b\\",
        b"\x1b]4;16;rgb:0000/0000/0000\x1b\\\x1b]4;255;rgb:eeee/eeee/eeee\x1b\\",
    ),
    (b"\x1b]10;?\x07", b"\x1b]10;rgb:c0c0/c0c0/c0c0\x07"),
    (b"\x1b]11;?\x1b\\", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
    (b"\x1b]12;?\x07", b"\x1b]12;rgb:c0c0/c0c0/c0c0\x07"),
    (b"\x1b]10;?;?\x07", b"\x1b]10;rgb:c0c0/c0c0/c0c0\x07\x1b]11;rgb:0000/0000/0000\x07"),
    (b"\x1b[>q", b"\x1bP>|cw\x1b\\"),
    (b"\x1b[?u", b"\x1b[?5u"),
    (b"\x1b[?25$p", b"\x1b[?25;1$y"),
    (b"\x1b[?1049$p", b"\x1b[?1049;2$y"),
    (b"\x1b[?4711$p", b"\x1b[?4711;0$y"),
    (b"\x1b[4$p", b"\x1b[4;2$y"),
    (b"\x1bP+q436f;58\x1b\\", b"\x1bP1+r436f=323536\x1b\\\x1bP0+r58\x1b\\"),
    (b"\x1bP$q q\x1b\\", b"\x1bP1$r2 q\x1b\\"),
    (b"\x1bP$qm\x1b\\", b"\x1bP1$r0;31m\x1b\\"),
    (b"\x1b[18t", b"\x1b[8;24;80t"),
    (b"\x1b[14t", b""),
    (b"\x1b]52;c;?\x07", b""),
]
NO_QUERIES = [
    *(b"\x1b[1c", b"\x1b[m", b"\x1b[20;1H", b"\x1b]0;why?\x07", b"\x1b[?25h", b"\x1b[>4;1m"),
    *(b"\x1b[2 q", b"\x1b[u", b"\x1b[>1u", b"\x1b[22;0t", b"\x1b[8;24;80t", b"\x1b[6 q"),
    *(
        b"\x1b]4;1;rgb:00/00/00\x07",
        b"\x1b]52;c;aGk=\x07",
        b"\x1bPq#0\x1b\\",
        b"\x1b]8;;http://a/?q\x07",
    ),
]


@pytest.fixture
def state() -> State:
    modes = Modes()
    modes.feed(b"\x1b[>5u\x1b[2 q\x1b[31m")
    return State(lambda: (modes, 2, 4, 24, 80))


@pytest.mark.parametrize(("query", "expected"), ANSWERS)
def test_answers(state: State, query: bytes, expected: bytes) -> None:
    assert answer(query, state) == expected


@pytest.mark.parametrize("query", [query for query, _ in ANSWERS])
def test_a_query_is_found_however_it_is_cut(query: bytes) -> None:
    assert [found[0] for found in QUERY.finditer(b"a" + query + b"b")] == [query]
    assert find_unfinished(b"ab" + query) == 2 + len(query)
    for cut in range(1, len(query)):
        assert find_unfinished(b"ab" + query[:cut]) == 2


@pytest.mark.parametrize("query", [query for query, _ in ANSWERS])
def test_a_replay_holds_no_query(query: bytes) -> None:
    assert mask_queries(b"a" + query + b"b") == b"a" + b"\0" * len(query) + b"b"


@pytest.mark.parametrize("data", NO_QUERIES)
def test_what_is_no_query_stays(data: bytes) -> None:
    assert mask_queries(data) == data


def test_a_replay_sets_no_region_of_a_full_screen_program() -> None:
    replay = Replay(False)
    assert replay.feed(b"\x1b[0;23rapt\x1b[6n\x1b[?1049h\x1b[1;24rvim") == (
        b"\x1b[0;23rapt\0\0\0\0\x1b[?1049h\x1b[0000Hvim"
    )
    assert replay.feed(b"\x1b[2;9r\x1b[r\x1b[?1049l\x1b[3;9r") == (
        b"\x1b[000H\x1b[r\x1b[?1049l\x1b[3;9r"
    )


def test_looking_is_left_until_an_answer_needs_it() -> None:
    def look() -> tuple[Modes, int, int, int, int]:
        raise AssertionError("looked")

    assert answer(b"\x1b[c", State(look)) == b"\x1b[?6c"
    assert answer(b"\x1b]11;?\x07", State(look))
