"""Escape sequences leave, text stays, however the stream is cut."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.term.strip import MAX_SEQUENCE, AnsiStripper, strip_ansi

CASES = [
    # (what it is, output of a program, the text in it)
    ("plain", b"text\r\nmore\t\x07\x08\x0f\x00\x7f", b"text\r\nmore\t"),
    ("empty", b"", b""),
    ("colour", b"a\x1b[1;31mred\x1b[0mb", b"aredb"),
    ("colon parameters", b"a\x1b[38:2::1:2:3mb", b"ab"),
    ("private mode", b"\x1b[?25l\x1b[?1049hx", b"x"),
    ("csi intermediate", b"a\x1b[2 qb\x1b[!pc\x1b[>0qd", b"abcd"),
    ("csi finals", b"a\x1b[@b\x1b[~c", b"abc"),
    ("csi over a line", b"a\x1b[3\n1mb", b"ab"),
    ("title with BEL", b"a\x1b]0;title\x07b", b"ab"),
    ("title with ST", b"a\x1b]0;title\x1b\\b", b"ab"),
    ("hyperlink", b"\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\", b"link"),
    ("title over a line", b"a\x1b]0;ti\ntle\x07b", b"ab"),
    ("title in UTF-8", "a\x1b]0;日本\x07b".encode(), b"ab"),
    ("dcs", b"a\x1bPq#0;2;0\x07still\x1b\\b", b"ab"),
    ("apc", b"a\x1b_Gf=100;AAAA\x1b\\b", b"ab"),
    ("pm", b"a\x1b^secret\x1b\\b", b"ab"),
    ("sos", b"a\x1bXstring\x1b\\b", b"ab"),
    ("through tmux", b"a\x1bPtmux;\x1b\x1b]0;t\x07\x1b\\b", b"ab"),
    ("through tmux twice", b"a\x1bPtmux;\x1b\x1b_Gx\x1b\x1b\\\x1b\\b", b"ab"),
    ("charset", b"a\x1b(Bb\x1b)0c", b"abc"),
    ("two intermediates", b"a\x1b$(Cb", b"ab"),
    ("line size", b"a\x1b#8b", b"ab"),
    ("two bytes", b"a\x1b7b\x1b8c\x1b=d\x1b>e\x1bNf\x1bcg\x1b\\h", b"abcdefgh"),
    ("control after esc", b"a\x1b\nb\x1b(\nc", b"a\nb\nc"),
    ("8-bit codes are text", "a\u009b31mb é".encode(), "a\u009b31mb é".encode()),
    ("raw 8-bit bytes too", b"a\x9b31mb\x90\x9d", b"a\x9b31mb\x90\x9d"),
    ("a character after esc", "a\x1béb\x1b(ßc".encode(), "aébßc".encode()),
    ("esc esc", b"a\x1b\x1b[31mb", b"ab"),
    ("csi cut by csi", b"a\x1b[31\x1b[0mb", b"ab"),
    ("csi cut by esc", b"a\x1b[3\x1b7b", b"ab"),
    ("title cut by colour", b"a\x1b]0;never ended\x1b[31mred\x07", b"ared"),
    ("dcs cut by colour", b"a\x1bPnever\x1b[mb", b"ab"),
    ("title cut by title", b"a\x1b]0;t\x1b\x1b\\b", b"ab"),
    ("csi cancelled", b"a\x1b[3\x18b\x1b[3\x1ac", b"abc"),
    ("strings cancelled", b"a\x1b]0;t\x18b\x1bPq\x1ac\x1b_\x18d", b"abcd"),
    ("pairs cancelled", b"a\x1b\x18b\x1b(\x1ac", b"abc"),
    ("nothing to cancel", b"a\x18b\x1ac", b"abc"),
    ("lone esc at the end", b"a\x1b", b"a"),
    ("unfinished csi", b"a\x1b[31;4", b"a"),
    ("unfinished osc", b"a\x1b]0;title", b"a"),
    ("unfinished dcs", b"a\x1bPq", b"a"),
    ("unfinished charset", b"a\x1b(", b"a"),
    ("unfinished st", b"a\x1b]0;t\x1b", b"a"),
]
ALL = b"".join(data + b"\x1b[m|" for _, data, _ in CASES)

# Bytes that mean something, so that random streams do too.
TERMINAL_BYTES = st.lists(
    st.sampled_from(
        [b"\x1b", b"[", b"]", b"P", b"_", b"\\", b"\x07", b"(", b" ", b"3", b"\x18", b"m"]
    )
    | st.sampled_from([b"u", b"B", b"\n", b"x", b"\x80", b"\xc3\xa9", b"\x9b"]),
    max_size=30,
).map(b"".join)


MOVES = [
    # (what it is, output of a program, how people read it)
    ("forward", b"Do\x1b[1Cyou\x1b[Cwant\x1b[2Cto", b"Do you want  to"),
    ("forward, HPR", b"a\x1b[3ab", b"a   b"),
    ("a tab forward", b"a\x1b[Ib", b"a\tb"),
    ("to a column", b"a\x1b[5Gb\x1b[7`c", b"a   b c"),
    ("to a column, wide characters", "日本\x1b[6Gb".encode(), "日本 b".encode()),
    ("to a column after text in UTF-8", "é│\x1b[4Gb".encode(), "é│ b".encode()),
    ("to where it is", b"ab\x1b[3Gc", b"abc"),
    ("back to the left", b"50%\x1b[G60%", b"50%\r60%"),
    ("word by word on a row", b"\x1b[5;1HDo\x1b[5;4Hyou\x1b[5;8fwant", b"Do you want"),
    ("row by row", b"\x1b[1;1Hone\x1b[2;1Htwo\x1b[3dthree", b"one\ntwo\nthree"),
    ("newlines count", b"\x1b[1;1Hone\r\ntwo\x1b[2;5Hb", b"one\r\ntwo b"),
    ("down and up", b"a\x1b[2Bb\x1b[Ac\x1b[Ed\x1b[Fe", b"a\nb\nc\nd\ne"),
    ("next line", b"a\x1bEb\x1bDc\x1bMd", b"a\nb\nc\nd"),
    ("no two newlines", b"a\n\x1b[2Bb", b"a\nb"),
    ("a screen erased first", b"\x1b[H\x1b[2J\x1b[Ha", b"a"),
    ("a move that ends a title", b"a\x1b]0;title\x1b[2Cb", b"a  b"),
    ("backwards, saved, erased", b"a\x1b[2Db\x1b[Kc\x1b7d", b"abcd"),
    ("huge", b"a\x1b[99999999Cb", b"a" + 256 * b" " + b"b"),
]


def words(text: bytes) -> bytes:
    return text.translate(None, b" \t\r\n")


def stripped(*chunks: bytes) -> bytes:
    stripper = AnsiStripper()
    return b"".join(stripper.feed(chunk) for chunk in chunks)


@pytest.mark.parametrize(("data", "text"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_sequences(data: bytes, text: bytes) -> None:
    assert strip_ansi(data) == text
    assert stripped(data) == text
    assert stripped(*(data[i : i + 1] for i in range(len(data)))) == text
    for split in range(len(data) + 1):
        assert stripped(data[:split], b"", data[split:]) == text


@pytest.mark.parametrize(("data", "text"), [case[1:] for case in MOVES], ids=[c[0] for c in MOVES])
def test_moves_of_the_cursor_are_white_space(data: bytes, text: bytes) -> None:
    assert strip_ansi(data) == text
    for split in range(len(data) + 1):
        assert stripped(data[:split], b"", data[split:]) == text
    assert stripped(*(data[i : i + 1] for i in range(len(data)))) == text


def test_a_long_stream_at_every_split() -> None:
    whole = strip_ansi(ALL)
    assert b"\x1b" not in whole and whole.count(b"|") == len(CASES)
    for split in range(len(ALL) + 1):
        assert stripped(ALL[:split], ALL[split:]) == whole


@settings(max_examples=200, deadline=None)
@given(TERMINAL_BYTES, st.lists(st.integers(0, 40), max_size=5))
def test_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    chunks = [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    assert stripped(*chunks) == strip_ansi(data)


@settings(max_examples=200, deadline=None)
@given(TERMINAL_BYTES)
def test_no_escape_is_left_and_no_text_is_made(data: bytes) -> None:
    text = strip_ansi(data)
    assert b"\x1b" not in text
    rest = iter(data)
    # But for white space, which stands for moves of the cursor.
    shown = text.translate(None, b" \t\r\n")
    assert all(byte in rest for byte in shown), "not a subsequence of the input"
    head = data.partition(b"\x1b")[0]
    assert text.startswith(re.sub(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", b"", head))


@settings(max_examples=200, deadline=None)
@given(TERMINAL_BYTES, TERMINAL_BYTES, TERMINAL_BYTES)
def test_a_reader_resumes_before_what_is_pending(first: bytes, second: bytes, third: bytes) -> None:
    stripper = AnsiStripper()
    before = stripper.feed(first) + stripper.feed(second)
    seen = first + second
    assert 0 <= stripper.pending <= len(seen)
    resumed = AnsiStripper(is_continued=True).feed(seen[len(seen) - stripper.pending :] + third)
    # But for white space where the cursor moves from a place that only the first one knew.
    assert words(before + resumed) == words(strip_ansi(seen + third))
    # No more is pending than the unfinished sequence: what is before it is text or done.
    assert stripper.pending == 0 or seen[len(seen) - stripper.pending] == 0x1B
    assert b"\x1b" not in seen[len(seen) - stripper.pending + 1 :] or stripper.pending == 0


def test_pending_counts_raw_bytes() -> None:
    stripper = AnsiStripper()
    counts = []
    for byte in b"a\x1b[31mb\x1b]0;t\x07c":
        stripper.feed(bytes([byte]))
        counts.append(stripper.pending)
    assert counts == [0, 1, 2, 3, 4, 0, 0, 1, 2, 3, 4, 5, 0, 0]


LONG = [
    # (beginning, a byte of its body, a byte that ends it)
    (b"\x1b]", b"x", b"\x07"),
    (b"\x1bP", b"x", b"\x18"),
    (b"\x1b_", b" ", b"\x1a"),
    (b"\x1b[", b"0", b"m"),
    (b"\x1b(", b" ", b"B"),
]
CUTS_AT_THE_LIMIT = (65536, 99_991, MAX_SEQUENCE - 1, MAX_SEQUENCE, MAX_SEQUENCE + 1)


@pytest.mark.parametrize(("start", "body", "end"), LONG)
def test_a_sequence_takes_no_memory(start: bytes, body: bytes, end: bytes) -> None:
    stripper = AnsiStripper()
    stripper.feed(start)
    chunk = body * 65536
    tracemalloc.start()
    try:
        for _ in range(15):
            assert stripper.feed(chunk) == b""
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 10_000
    assert stripper.pending == len(start) + 15 * 65536
    assert stripper.feed(end + b"text") == b"text"
    assert stripper.pending == 0


@pytest.mark.parametrize(("start", "body", "end"), LONG)
def test_a_sequence_without_an_end_ends_at_the_limit(start: bytes, body: bytes, end: bytes) -> None:
    longest = start + body * (MAX_SEQUENCE - 1 - len(start))
    # The last byte the limit allows may still be the one that ends it.
    for data, text in ((longest + end + b"text", b"text"), (longest + body + b"text", None)):
        expected = body + b"text" if text is None else text
        assert strip_ansi(data) == expected
        for size in CUTS_AT_THE_LIMIT:
            assert stripped(*(data[i : i + size] for i in range(0, len(data), size))) == expected


def test_at_the_limit_one_byte_at_a_time() -> None:
    stripper = AnsiStripper()
    stripper.feed(b"\x1b]" + b"x" * (MAX_SEQUENCE - 5))
    shown = [stripper.feed(bytes((byte,))) for byte in b"12345\x1b[mz"]
    assert b"".join(shown) == b"345z"
    assert stripper.pending == 0
