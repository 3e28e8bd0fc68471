"""Escape sequences vanish, wherever the stream is cut, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.term.strip import MAX_SEQUENCE, AnsiStripper, strip_ansi
from tests.unit.cuts import cut_at, every_cut

CASES = [
    (b"", b""),
    (b"plain \t\r\n", b"plain \t\r\n"),
    (b"\x1b[31mred\x1b[0m", b"red"),
    (b"\x1b[?25l\x1b[2J\x1b[10;20Ha", b"a"),
    (b"\x1b[38:2::1:2:3mx", b"x"),
    (b"\x1b[1 qx", b"x"),  # an intermediate before the final
    (b"a\x1b[@b\x1b[~c", b"abc"),
    (b"a\x1b]0;title\x07b", b"ab"),
    (b"a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", b"alinkb"),
    (b"a\x1bPq#0~\x07~\x1b\\b", b"ab"),  # BEL ends an OSC only
    (b"a\x1bXsos\x1b\\b\x1b^pm\x1b\\c\x1b_apc\x1b\\d", b"abcd"),
    (b"a\x1b(Bb\x1b)0c\x1b#8d\x1b%Ge\x1b &f", b"abc" + b"de"),
    (b"a\x1b7b\x1b8c\x1b=d\x1b>e\x1bMf\x1bcg", b"abcdefg"),
    (b"a\x1b\x1b[31mb", b"ab"),  # ESC begins anew
    (b"a\x1b[3\x1b[31mb", b"ab"),
    (b"a\x1b(\x1b[31mb", b"ab"),
    (b"a\x1b]0;cut\x1b[31mb", b"ab"),
    (b"a\x1b]0;t\x1b\x1b\\b", b"ab"),
    (b"a\x1b[3\x18b\x1b[3\x1ac", b"abc"),  # CAN and SUB cancel
    (b"a\x1b]0;t\x18b\x1bPq\x1ac\x1b\x18d\x1b(\x18e", b"abcde"),
    (b"\x18\x1a\x07\x08\x0b", b"\x18\x1a\x07\x08\x0b"),
    (b"a\x1bPtmux;\x1b\x1b]0;t\x07\x1b\\b", b"ab"),  # tmux pass-through
    (b"a\x1b]0;\xc3\xa9\xe2\x82\xac\x07b", b"ab"),
    (b"caf\xc3\xa9 \x9b31m \xe2\x82\xac", b"caf\xc3\xa9 \x9b31m \xe2\x82\xac"),  # C1 is text
    (b"a\x1b", b"a"),
    (b"a\x1b[", b"a"),
    (b"a\x1b[31;", b"a"),
    (b"a\x1b]0;title", b"a"),
    (b"a\x1b]0;title\x1b", b"a"),
    (b"a\x1bPq", b"a"),
    (b"a\x1b(", b"a"),
]

# Noise that is mostly made of what matters.
NOISE = st.lists(
    st.sampled_from(
        [b"\x1b", b"[", b"]", b"P", b"\\", b"(", b"0", b";", b"m", b"\x07", b"\x18", b"a", b"\xc3"]
    ),
    max_size=40,
).map(b"".join)
CUTS = st.lists(st.integers(0, 40), max_size=6)


def feed_all(pieces: list[bytes]) -> bytes:
    stripper = AnsiStripper()
    return b"".join(stripper.feed(piece) for piece in pieces)


@pytest.mark.parametrize(("data", "text"), CASES)
def test_every_cut(data: bytes, text: bytes) -> None:
    assert strip_ansi(data) == text
    for pieces in every_cut(data):
        assert feed_all(pieces) == text


@settings(max_examples=200, deadline=None)
@given(NOISE, CUTS)
def test_noise_at_any_cuts(data: bytes, positions: list[int]) -> None:
    text = strip_ansi(data)
    assert b"\x1b" not in text
    assert feed_all(cut_at(data, positions)) == text


@settings(max_examples=200, deadline=None)
@given(NOISE, st.integers(0, 40))
def test_a_fresh_stripper_goes_on_from_the_pending_bytes(data: bytes, cut: int) -> None:
    cut = min(cut, len(data))
    first = AnsiStripper()
    text = first.feed(data[:cut])
    assert text + AnsiStripper().feed(data[cut - first.pending :]) == strip_ansi(data)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60).filter(lambda data: b"\x1b" not in data))
def test_text_without_escapes_is_untouched(data: bytes) -> None:
    stripper = AnsiStripper()
    assert stripper.feed(data) == data
    assert stripper.pending == 0


def test_pending_counts_the_unfinished_sequence() -> None:
    stripper = AnsiStripper()
    seen = []
    for byte in b"ab\x1b[31mc\x1b]0;t\x1b\\d\x1b(B":
        stripper.feed(bytes((byte,)))
        seen.append(stripper.pending)
    # ESC ends a string and begins its terminator.
    assert seen == [0, 0, 1, 2, 3, 4, 0, 0, 1, 2, 3, 4, 5, 1, 0, 0, 1, 2, 0]
    stripper.feed(b"")
    assert stripper.pending == 0


@pytest.mark.parametrize("start", [b"\x1b]", b"\x1bP", b"\x1b[", b"\x1b("])
def test_a_sequence_without_end_ends_at_the_limit(start: bytes) -> None:
    body = b"0" if start != b"\x1b(" else b"("
    swallowed = start + body * (MAX_SEQUENCE - 1 - len(start))
    data = swallowed + b"\xc3\xa9 text"
    if start in (b"\x1b[", b"\x1b("):
        # Their next byte would be a final; another of the body is not.
        data = swallowed + body + b"\xc3\xa9 text"
    expected = strip_ansi(data)
    assert expected == data[len(swallowed) :]
    for size in (1000, 65536, len(swallowed) - 1, len(swallowed), len(swallowed) + 1):
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        assert feed_all(pieces) == expected


def test_a_final_byte_just_inside_the_limit_still_counts() -> None:
    data = b"\x1b]" + b"x" * (MAX_SEQUENCE - 3) + b"\x07\x07"
    assert strip_ansi(data) == b"\x07"
    for size in (1000, MAX_SEQUENCE - 1, MAX_SEQUENCE):
        assert feed_all([data[i : i + size] for i in range(0, len(data), size)]) == b"\x07"


def test_it_keeps_no_bytes_of_a_long_sequence() -> None:
    stripper = AnsiStripper()
    stripper.feed(b"\x1b]1337;File=" + b"A" * 100_000)
    assert stripper.pending == 100_012
    held = [value for value in vars(stripper).values() if isinstance(value, bytes)]
    assert sum(map(len, held)) <= 2
