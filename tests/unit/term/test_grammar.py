"""One grammar of escapes: the expressions that scan output for speed agree with the parser."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from codewire.client.attaching.statusbar import SPECIAL, StatusBar
from codewire.term.looks import SETTING
from codewire.term.modes import SWITCHES
from codewire.term.parser import CONTROL, TEXT, Parser
from codewire.term.queries import QUERY, REGION, STATUS_QUERY
from codewire.term.strip import MOVE, AnsiStripper, strip_ansi
from tests.recordings import NAMES, load

WHOLE = {
    "QUERY": QUERY,
    "REGION": REGION,
    "SWITCHES": SWITCHES,
    "SPECIAL": SPECIAL,
    "STATUS_QUERY": STATUS_QUERY,
    "MOVE": MOVE,
}
PIECES = [
    *(b"\x1b", b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b_", b"\x1b^", b"\x1b\\", b"\x1b(", b"\x1b)"),
    *(b"\x1b[?", b"\x1b[>", b"\x1b]11;?", b"\x1b]7501;?", b"\x1bP$q", b"\x1bP+q", b"\x1b_Ga=q"),
    *(b"\x07", b"\x18", b"\x1a", b"\n", b"\r", b"\x00", b"\x0e", b"\x7f", b"\x9b", b"\xc3\xa9"),
    *(b"0", b"1", b"6", b";", b":", b"?", b" ", b"$", b"!", b"2004", b"1049", b"47"),
    *(b"n", b"c", b"q", b"u", b"p", b"t", b"h", b"l", b"r", b"m", b"s", b"x", b"B", b"C", b"H"),
]
OUTPUT = st.lists(st.sampled_from(PIECES), max_size=16).map(b"".join)
RECORDED = {name: b"".join(data for _, data in load(name)[1]) for name in NAMES}


def tokens(data: bytes) -> list[tuple[int, int, int]]:
    """Return each token's kind, start and end."""
    parser, found, at = Parser(), [], 0
    for kind, raw in [*parser.feed(data), *parser.finish()]:
        found.append((kind, at, at + len(raw)))
        at += len(raw)
    return found


def check(data: bytes) -> None:
    parsed = tokens(data)
    spans = {(start, end) for kind, start, end in parsed if kind not in (TEXT, CONTROL)}
    starts = {start for start, _ in spans}
    for name, expression in WHOLE.items():
        for found in expression.finditer(data):
            if found[0] not in (b"\x0e", b"\x0f"):
                assert found.span() in spans, (name, found[0])
    for found in SETTING.finditer(data):
        assert found.start() in starts
    if not MOVE.search(data):
        kept = [
            data[start:end]
            for kind, start, end in parsed
            if kind == TEXT or (kind == CONTROL and data[start:end] in (b"\t", b"\n", b"\r"))
        ]
        assert strip_ansi(data) == b"".join(kept)


def check_ends(data: bytes) -> None:
    """What the terminal was sent ends between two sequences wherever the bar may be drawn."""
    bar = StatusBar()
    bar.resize(24, 80)
    sent = b""
    for at in range(len(data)):
        sent += bar.feed(data[at : at + 1])
        if bar.may_draw and not SPECIAL.search(data) and not STATUS_QUERY.search(data):
            parser = Parser()
            parser.feed(sent)
            # An ESC that is held back ends whatever it was.
            assert not parser.pending or data[len(sent) :].startswith(b"\x1b"), sent


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(OUTPUT)
@example(b"a\x1b\nb")
@example(b"\x1b(\x1b[?25l")
@example(b"\x1b(\n0")
@example(b"\x1bP$q\x18\x1b\\")
@example(b"\x1b]11;\x18;?\x07")
@example(b"\x1b_Ga=q\x1a\x1b\\")
@example(b"\x1bPq\x07\x1b\\")
def test_expressions_and_parser_agree(data: bytes) -> None:
    check(data)
    check_ends(data)


@pytest.mark.parametrize("name", NAMES)
def test_they_agree_on_recorded_programs(name: str) -> None:
    data = RECORDED[name]
    check(data)
    assert re.search(rb"\x1b", data)
    stripper = AnsiStripper()
    pieces = [data[start : start + 997] for start in range(0, len(data), 997)]
    assert b"".join(map(stripper.feed, pieces)) == strip_ansi(data)
