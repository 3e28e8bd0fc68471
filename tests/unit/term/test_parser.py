"""The parser: tokens joined are the bytes that came, whatever comes and however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codewire.term.modes import Modes
from codewire.term.parser import (
    BROKEN,
    CONTROL,
    CSI,
    DCS,
    ESCAPE,
    MAX_SEQUENCE,
    MAX_STRING,
    OSC,
    STRING,
    TEXT,
    Parser,
    Token,
    embedded_controls,
    split_csi,
    split_osc,
)
from codewire.term.queries import find_unfinished, mask_queries
from codewire.term.screen import Screen

# Half of what is fed is made of these, so that sequences come about.
PIECES = [
    *(b"\x1b", b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b_", b"\x1b\\", b"\x1b(", b"\x07", b"\x18"),
    *(b"[", b"]", b"?", b";", b":", b" ", b"$", b"0", b"1", b"25", b"1049", b"999999999999"),
    *(b"m", b"h", b"l", b"H", b"J", b"K", b"r", b"u", b"n", b"c", b"q", b"b", b"L", b"P", b"@"),
    *(b"\r", b"\n", b"\t", b"\b", b"\x0e", b"\x0f", b"\x7f", b"text", "日本".encode()),
    *("e\u0301".encode(), b"\xc3", b"\xf0\x9f", b"\x80", b"\xff", b"\x9b", b"\x00"),
]
# A byte stands for a piece or for itself: fast to make, easy to shrink.
OUTPUT = st.binary(max_size=40).map(
    lambda data: b"".join(PIECES[b] if b < len(PIECES) else bytes((b,)) for b in data)
)
# With so many examples a busy machine needs minutes.
PATIENT = pytest.mark.timeout(600)
CASES = settings(
    max_examples=10_000,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def parse(data: bytes, cuts: list[int]) -> list[Token]:
    parser, tokens, last = Parser(), [], 0
    for cut in [*cuts, len(data)]:
        tokens += parser.feed(data[last:cut])
        last = cut
    return tokens + parser.finish()


def joined_text(tokens: list[Token]) -> list[Token]:
    """Join neighbouring texts: where text is cut means nothing."""
    out: list[Token] = []
    for kind, raw in tokens:
        if out and out[-1][0] == kind == TEXT:
            out[-1] = (kind, out[-1][1] + raw)
        else:
            out.append((kind, raw))
    return out


@pytest.mark.slow
@PATIENT
@CASES
@given(OUTPUT)
def test_nothing_is_lost_or_changed(data: bytes) -> None:
    assert b"".join(raw for _, raw in parse(data, [])) == data


@pytest.mark.slow
@PATIENT
@CASES
@given(OUTPUT)
def test_one_byte_at_a_time_gives_the_same_tokens(data: bytes) -> None:
    assert joined_text(parse(data, list(range(1, len(data))))) == joined_text(parse(data, []))


@pytest.mark.slow
@PATIENT
@CASES
@given(OUTPUT, st.integers(0, 60))
def test_modes_come_out_the_same_and_can_be_entered_and_left(data: bytes, cut: int) -> None:
    whole, cut_up, copy = Modes(), Modes(), Modes()
    whole.feed(data)
    cut_up.feed(data[:cut])
    cut_up.feed(data[cut:])
    assert cut_up.enter() == whole.enter()
    copy.feed(whole.enter())
    assert copy.enter() == whole.enter()
    copy.feed(whole.leave())
    copy.title = ""
    assert copy.enter() == Modes().enter()


@pytest.mark.slow
@PATIENT
@CASES
@given(OUTPUT, st.integers(0, 60))
def test_a_screen_takes_anything_and_keeps_its_shape(data: bytes, cut: int) -> None:
    whole, cut_up = Screen(5, 12), Screen(5, 12)
    whole.feed(data)
    cut_up.feed(data[:cut])
    cut_up.feed(data[cut:])
    assert cut_up.lines() == whole.lines()
    assert (cut_up.y, cut_up.x) == (whole.y, whole.x)
    assert 0 <= whole.y < 5
    assert 0 <= whole.x < 12
    assert [(len(row.chars), len(row.styles)) for row in whole.grid.rows] == [(12, 12)] * 5
    whole.resize(3, 20)
    assert [len(row.chars) for row in whole.grid.rows] == [20] * 3


@pytest.mark.slow
@PATIENT
@CASES
@given(OUTPUT)
def test_masking_queries_keeps_length_and_everything_else(data: bytes) -> None:
    masked = mask_queries(data)
    assert len(masked) == len(data)
    assert all(new in (old, 0) for old, new in zip(data, masked, strict=True))
    assert 0 <= find_unfinished(data) <= len(data)


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (b"plain", [TEXT]),
        ("日本\u009b".encode(), [TEXT]),
        (b"a\r\n", [TEXT, CONTROL, CONTROL]),
        (b"\x1b[31;1mred\x1b[m", [CSI, TEXT, CSI]),
        (b"\x1b[?1049h\x1b[2 q\x1b[>4;2m", [CSI, CSI, CSI]),
        (b"\x1b[1\n2H", [CSI]),
        (b"\x1b]0;title\x07x", [OSC, TEXT]),
        (b"\x1b]0;title\x1b\\x", [OSC, TEXT]),
        (b"\x1bP+q436f\x1b\\", [DCS]),
        (b"\x1b_Gi=1\x1b\\\x1bXsos\x1b\\\x1b^pm\x1b\\", [STRING, STRING, STRING]),
        (b"\x1b(0\x1b=\x1bM\x1b#8\x1bc", [ESCAPE] * 5),
        (b"\x1b[12\x18x", [BROKEN, TEXT]),
        (b"\x1b]0;ti\x1b[mx", [BROKEN, CSI, TEXT]),
        (b"\x1b\x1b[m", [BROKEN, CSI]),
        (b"\x1b[3", [BROKEN]),
        (b"\xe6\x97", [TEXT]),
    ],
)
def test_tokens(data: bytes, kinds: list[int]) -> None:
    assert [kind for kind, _ in parse(data, [])] == kinds
    assert joined_text(parse(data, list(range(1, len(data))))) == parse(data, [])


def test_a_character_is_never_cut() -> None:
    parser = Parser()
    data = "aß日😀".encode()
    for byte in data:
        for _, raw in parser.feed(bytes((byte,))):
            raw.decode()
    assert parser.pending == 0


@pytest.mark.parametrize("start", [b"\x1b]52;c;", b"\x1bPq", b"\x1b_G", b"\x1b["])
def test_an_endless_sequence_is_bounded_and_passed_on(start: bytes) -> None:
    parser = Parser()
    end = b"m" if start == b"\x1b[" else b"\x1b\\"
    pieces = [start, *([b"1" * 1000] * 20), end, b"after"]
    tokens = []
    for piece in pieces:
        tokens += parser.feed(piece)
        assert parser.pending <= MAX_SEQUENCE + 1000
    assert b"".join(raw for _, raw in tokens) == b"".join(pieces)
    assert tokens[-1] == (TEXT, b"after")
    assert {kind for kind, _ in tokens[:-1]} == {BROKEN}


def test_a_stray_beginning_of_a_string_does_not_swallow_output_for_ever() -> None:
    parser = Parser()
    tokens = parser.feed(b"\x1bP")
    for _ in range(MAX_STRING // 65536 + 2):
        tokens += parser.feed(b"x" * 65536)
    assert parser.feed(b"text\n") == [(TEXT, b"text"), (CONTROL, b"\n")]


def test_parts_of_sequences() -> None:
    csi = split_csi(b"\x1b[?12;;7$p")
    assert csi is not None
    assert (csi.prefix, csi.params, csi.intermediates, csi.final) == ("?", [12, -1, 7], "$", "p")
    assert split_csi(b"\x1b[1?2h") is None
    assert embedded_controls(b"\x1b[1\r\n2H") == b"\r\n"
    inner = split_csi(b"\x1b[1\n2H")
    assert inner is not None
    assert inner.params == [12]
    assert split_osc(b"\x1b]2;a;b\x1b\\") == (2, b"a;b")
    assert split_osc(b"\x1b]x\x07") == (-1, b"")
