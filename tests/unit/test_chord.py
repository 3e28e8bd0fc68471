"""The detach chord: every row of the automaton (spec/cli.md 6), at every cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.term.chord import DETACH, MAX_HELD, DetachChord
from tests.unit.cuts import cut_at, every_cut

KITTY_B = b"\x1b[98;5u"
KITTY_D = b"\x1b[100u"

# What detaches, and what is forwarded before it.
DETACHING = [
    (b"\x02d", b""),
    (b"ls\r\x02d", b"ls\r"),  # keys before the chord are not lost
    (KITTY_B + KITTY_D, b""),
    (b"\x02" + KITTY_D, b""),
    (KITTY_B + b"d", b""),
    (b"\x02\x1b[100;1u", b""),
    (b"\x02\x1b[100:68:100;1:1u", b""),
    (b"\x02\x1b[100;1;100u", b""),
    (b"\x02\x1b[100;;100u", b""),
    (b"\x02\x1b[100;129u", b""),  # Num Lock
    (b"\x1b[98:66;133:1ud", b""),
    (KITTY_B + b"\x1b[98;5:3u" + b"\x1b[57442;1:3u" + KITTY_D, b"\x1b[98;5:3u\x1b[57442;1:3u"),
    # Reports between the two keys are forwarded and change nothing.
    (b"\x02\x1b[Id", b"\x1b[I"),
    (b"\x02\x1b[24;80Rd", b"\x1b[24;80R"),
    (b"\x02\x1b[<35;10;10Md", b"\x1b[<35;10;10M"),
    (b"\x02\x1b[M dxd", b"\x1b[M dx"),  # an old mouse report: its coordinates are no keys
    (b"\x02\x1b[?1ud", b"\x1b[?1u"),
    (b"\x02\x1b[Ad", b"\x1b[A"),
    (b"\x02\x1bOAd", b"\x1bOA"),
    (b"\x02\x1bxd", b"\x1bx"),
    (b"\x02\x1b\x1b[Ad", b"\x1b\x1b[A"),
    # What was begun is no sequence after all: its end may begin the chord.
    (b"\x1b[\x02d", b"\x1b["),
    (b"\x1b[1\x1b[98;5ud", b"\x1b[1"),
    (b"\x02\x1b[\x02d", b"\x02\x1b["),
    # A literal Ctrl+B, then the chord.
    (b"\x02\x02\x02d", b"\x02"),
]

# What does not, and what the session gets when the keys have been released.
FORWARDED = [
    (b"plain text\r", b"plain text\r"),
    (b"d", b"d"),
    (b"\x02\x02", b"\x02"),
    (b"\x02\x02d", b"\x02d"),
    (b"\x02x", b"\x02x"),
    (b"\x02D", b"\x02D"),
    (b"\x02\r", b"\x02\r"),
    (KITTY_B + KITTY_B, KITTY_B),
    (b"\x02" + KITTY_B, KITTY_B),
    (KITTY_B + b"\x02", b"\x02"),
    (KITTY_B + b"\x1b[120u", b"\x02\x1b[120u"),
    (b"\x02\x1b[100;2u", b"\x02\x1b[100;2u"),  # Shift is another key
    (b"\x02\x1b[100;5u", b"\x02\x1b[100;5u"),
    (b"\x1b[98;6u" + KITTY_D, b"\x1b[98;6u" + KITTY_D),
    (b"\x1b[98u" + KITTY_D, b"\x1b[98u" + KITTY_D),
    (b"\x1b[98;5:3u" + KITTY_D, b"\x1b[98;5:3u" + KITTY_D),
    (b"\x1b[A\x1bOP\x1bx", b"\x1b[A\x1bOP\x1bx"),
    (b"\x1b[I\x1b[O", b"\x1b[I\x1b[O"),
    (b"\x1b\x02d", b"\x1b\x02d"),  # Alt+Ctrl+B
    (b"\x1b", b"\x1b"),
    (b"\x1b\x1b", b"\x1b\x1b"),
    (b"\x1b[", b"\x1b["),
    (b"\x1b[200~paste\x1b[201~", b"\x1b[200~paste\x1b[201~"),
    (b"\x1b[1\r", b"\x1b[1\r"),
    (b"\x02\x1b[1\r", b"\x02\x1b[1\r"),
    (b"\x02\x1b[1\xc3\xa9", b"\x02\x1b[1\xc3\xa9"),
    (b"\x1b[" + b"1" * 200 + b"u", b"\x1b[" + b"1" * 200 + b"u"),
    (b"\x02\x1b[" + b"1" * 200 + b"d", b"\x02\x1b[" + b"1" * 200 + b"d"),
]

KEYS = st.lists(
    st.sampled_from(
        [b"\x02", b"d", b"x", b"\x1b", b"[", b"O", b"M", b"1", b";", b"u", b"\r", KITTY_B, KITTY_D]
    ),
    max_size=12,
).map(b"".join)


def run(pieces: list[bytes]) -> tuple[bytes, bool]:
    """Return what was forwarded before the chord, all of it without one, and whether it came."""
    chord, out = DetachChord(), b""
    for piece in pieces:
        for event in chord.feed(piece):
            if not isinstance(event, bytes):
                assert event is DETACH
                return out, True
            out += event
    return out + chord.flush(), False


@pytest.mark.parametrize(("typed", "before"), DETACHING)
def test_chords(typed: bytes, before: bytes) -> None:
    for pieces in every_cut(typed):
        assert run(pieces) == (before, True)


@pytest.mark.parametrize(("typed", "forwarded"), FORWARDED)
def test_no_chords(typed: bytes, forwarded: bytes) -> None:
    for pieces in every_cut(typed):
        assert run(pieces) == (forwarded, False)


def test_events_are_in_order_and_text_comes_in_one_piece() -> None:
    events = DetachChord().feed(b"ab\x02dcd\x1b[A\x02de")
    assert events == [b"ab", DETACH, b"cd\x1b[A", DETACH, b"e"]


@pytest.mark.parametrize(
    ("typed", "held"),
    [
        (b"\x1b", b"\x1b"),
        (b"a\x1b[", b"\x1b["),
        (b"\x1b[1;5", b"\x1b[1;5"),
        (b"\x02\x1b", b"\x02\x1b"),
        (b"\x02\x1bO", b"\x02\x1bO"),
        (b"\x02\x1b[1", b"\x02\x1b[1"),
        (b"\x02\x1b[M!", b"\x02\x1b[M!"),
    ],
)
def test_a_pause_releases_what_is_held(typed: bytes, held: bytes) -> None:
    chord = DetachChord()
    chord.feed(typed)
    assert chord.holding
    assert chord.flush() == held
    assert not chord.holding
    assert chord.feed(b"d") == [b"d"]


@pytest.mark.parametrize("prefix", [b"\x02", KITTY_B])
def test_a_pause_does_not_release_the_prefix(prefix: bytes) -> None:
    chord = DetachChord()
    assert chord.feed(prefix) == []
    assert not chord.holding
    assert chord.flush() == b""
    assert chord.feed(b"d") == [DETACH]


def test_nothing_is_held_of_plain_keys() -> None:
    chord = DetachChord()
    assert chord.feed(b"x" * 100_000) == [b"x" * 100_000]
    assert not chord.holding
    assert chord.feed(b"") == []


def test_what_is_held_is_bounded() -> None:
    chord = DetachChord()
    out = b"".join(event for event in chord.feed(b"\x1b[" + b"1" * 10_000) if event is not DETACH)
    assert len(out) >= 10_002 - MAX_HELD


@settings(max_examples=200, deadline=None)
@given(KEYS, st.lists(st.integers(0, 60), max_size=6))
def test_cuts_change_nothing(typed: bytes, positions: list[int]) -> None:
    assert run(cut_at(typed, positions)) == run([typed])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40).filter(lambda keys: b"\x02" not in keys and b"98" not in keys))
def test_without_ctrl_b_every_byte_is_forwarded(typed: bytes) -> None:
    assert run([typed]) == (typed, False)
