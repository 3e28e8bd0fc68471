"""The detach chord among keys: the automaton of spec/cli.md 6 without its listed bugs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.term.chord import DETACH, MAX_HELD, DetachChord

KITTY_B = b"\x1b[98;5u"
KITTY_D = b"\x1b[100u"

Events = list[bytes | object]


def joined(events: Events) -> Events:
    """Join neighbouring pieces: how keys are grouped does not matter."""
    result: Events = []
    for event in events:
        if isinstance(event, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += event
        else:
            result.append(event)
    return result


def typed(*chunks: bytes, flush: bool = False) -> Events:
    chord = DetachChord()
    events: Events = []
    for chunk in chunks:
        events += chord.feed(chunk)
    if flush:
        held = chord.flush()
        events += [held] if held else []
    return joined(events)


# (keys, what comes of them)
CASES: list[tuple[str, bytes, Events]] = [
    ("plain keys", b"ls -l\r\x03\x04", [b"ls -l\r\x03\x04"]),
    ("d alone", b"dd", [b"dd"]),
    ("the chord", b"\x02d", [DETACH]),
    ("keys before it", b"abc\x02d", [b"abc", DETACH]),
    ("keys after it", b"\x02dxyz", [DETACH, b"xyz"]),
    ("twice", b"a\x02db\x02d", [b"a", DETACH, b"b", DETACH]),
    ("another key", b"\x02x", [b"\x02x"]),
    ("another run", b"\x02xd", [b"\x02xd"]),
    ("shift d", b"\x02D", [b"\x02D"]),
    ("held", b"a\x02", [b"a"]),
    ("literal", b"\x02\x02", [b"\x02"]),
    ("literal, then d", b"\x02\x02d", [b"\x02d"]),
    ("literal, then the chord", b"\x02\x02\x02d", [b"\x02", DETACH]),
    ("two literals", b"\x02\x02\x02\x02", [b"\x02\x02"]),
    # prefix-esc: forward both, stay in prefix
    ("alt key between", b"\x02\x1bxd", [b"\x1bx", DETACH]),
    ("esc esc between", b"\x02\x1b\x1bxd", [b"\x1b\x1bx", DETACH]),
    # prefix-csi
    ("cursor key between", b"\x02\x1b[Ad", [b"\x1b[A", DETACH]),
    ("focus report between", b"\x02\x1b[I\x1b[Od", [b"\x1b[I\x1b[O", DETACH]),
    ("mouse report between", b"\x02\x1b[<0;12;7Md", [b"\x1b[<0;12;7M", DETACH]),
    ("old mouse report between", b"\x02\x1b[M dxd", [b"\x1b[M dx", DETACH]),
    ("old mouse report far right", b"\x02\x1b[M#\xff\xfed", [b"\x1b[M#\xff\xfe", DETACH]),
    ("ss3 cursor key between", b"\x02\x1bOAd", [b"\x1bOA", DETACH]),
    ("function key between", b"\x02\x1b[15~d", [b"\x1b[15~", DETACH]),
    ("kitty flags between", b"\x02\x1b[?1ud", [b"\x1b[?1u", DETACH]),
    ("malformed between", b"\x02\x1b[1\x01d", [b"\x02\x1b[1\x01d"]),
    ("kitty d", b"\x02\x1b[100u", [DETACH]),
    ("kitty d, no modifier", b"\x02\x1b[100;1u", [DETACH]),
    ("kitty d, sub-fields", b"\x02\x1b[100:68;1:1u", [DETACH]),
    ("kitty d, empty modifier", b"\x02\x1b[100;;100u", [DETACH]),
    ("kitty d, text", b"\x02\x1b[100;1;100u", [DETACH]),
    ("kitty d, num lock", b"\x02\x1b[100;129u", [DETACH]),
    ("kitty shift d", b"\x02\x1b[100;2u", [b"\x02\x1b[100;2u"]),
    ("kitty ctrl d", b"\x02\x1b[100;5u", [b"\x02\x1b[100;5u"]),
    ("kitty other key", b"\x02\x1b[101ud", [b"\x02\x1b[101ud"]),
    ("kitty keys after it", b"\x02\x1b[100ux", [DETACH, b"x"]),
    ("kitty d alone", KITTY_D, [KITTY_D]),
    ("modifyOtherKeys", b"\x1b[27;5;98~d", [DETACH]),
    ("modifyOtherKeys, num lock", b"\x1b[27;133;98~d", [DETACH]),
    ("modifyOtherKeys twice", b"\x1b[27;5;98~\x1b[27;5;98~", [b"\x1b[27;5;98~"]),
    ("modifyOtherKeys, another key", b"\x1b[27;5;97~d", [b"\x1b[27;5;97~d"]),
    ("modifyOtherKeys, shift too", b"\x1b[27;6;98~d", [b"\x1b[27;6;98~d"]),
    ("modifyOtherKeys, then kitty", b"\x1b[27;5;98~\x1b[100u", [DETACH]),
    ("modifyOtherKeys, ctrl d", b"\x02\x1b[27;5;100~", [b"\x02\x1b[27;5;100~"]),
    (
        "win32 keys",
        b"\x1b[17;29;0;1;8;1_\x1b[66;48;2;1;8;1_\x1b[66;48;2;0;8;1_\x1b[68;32;100;1;0;1_",
        [b"\x1b[17;29;0;1;8;1_\x1b[66;48;2;0;8;1_", DETACH],
    ),
    ("pasted", b"\x1b[200~a\x02d\x1b[201~", [b"\x1b[200~a\x02d\x1b[201~"]),
    ("pasted, then typed", b"\x1b[200~\x02\x1b[201~d\x02d", [b"\x1b[200~\x02\x1b[201~d", DETACH]),
    ("begun before a paste", b"\x02\x1b[200~d\x1b[201~d", [b"\x02\x1b[200~d\x1b[201~d"]),
    ("pasted twice", 2 * b"\x1b[200~\x02d\x1b[201~", [2 * b"\x1b[200~\x02d\x1b[201~"]),
    ("pasted kitty keys", b"\x1b[200~\x1b[98;5u\x1b[100u", [b"\x1b[200~\x1b[98;5u\x1b[100u"]),
    ("an end without a start", b"\x1b[201~\x02d", [b"\x1b[201~", DETACH]),
    # esc, csi
    ("kitty chord", KITTY_B + KITTY_D, [DETACH]),
    ("kitty, then plain d", KITTY_B + b"d", [DETACH]),
    ("kitty with sub-fields", b"\x1b[98:66:5;5:1u" + KITTY_D, [DETACH]),
    ("kitty with locks", b"\x1b[98;197u" + KITTY_D, [DETACH]),
    ("kitty repeat", b"\x1b[98;5:2ud", [DETACH]),
    ("kitty releases", KITTY_B + b"\x1b[98;5:3ud", [b"\x1b[98;5:3u", DETACH]),
    ("kitty ctrl let go", KITTY_B + b"\x1b[57442;1:3u" + KITTY_D, [b"\x1b[57442;1:3u", DETACH]),
    ("kitty ctrl as a key", b"\x02\x1b[57442;5ud", [b"\x1b[57442;5u", DETACH]),
    ("kitty b alone", b"\x1b[98ud", [b"\x1b[98ud"]),
    ("kitty alt ctrl b", b"\x1b[98;7ud", [b"\x1b[98;7ud"]),
    ("kitty literal", KITTY_B + KITTY_B, [KITTY_B]),
    ("kitty, another key", KITTY_B + b"x", [KITTY_B + b"x"]),
    ("kitty, mixed literal", b"\x02" + KITTY_B + b"d", [KITTY_B + b"d"]),
    ("cursor keys", b"\x1b[A\x1b[1;5Cx", [b"\x1b[A\x1b[1;5Cx"]),
    ("alt ctrl b", b"\x1b\x02d", [b"\x1b\x02d"]),
    ("esc, then the chord", b"\x1b\x1b[98;5ud", [b"\x1b", DETACH]),
    ("csi cut by a chord", b"\x1b[1\x1b[98;5ud", [b"\x1b[1", DETACH]),
    ("csi cut by ctrl b", b"\x1b[1\x02d", [b"\x1b[1", DETACH]),
    ("prefixed csi cut by ctrl b", b"\x02\x1b[1\x02d", [b"\x02\x1b[1", DETACH]),
    ("ss3 cut by ctrl b", b"\x1bO\x02d", [b"\x1bO", DETACH]),
    ("old mouse report cut by ctrl b", b"\x1b[M\x02d", [b"\x1b[M", DETACH]),
    ("ss3 keys", b"\x1bOA\x1bOPd", [b"\x1bOA\x1bOPd"]),
    ("malformed csi", b"\x1b[1\x01d", [b"\x1b[1\x01d"]),
    ("no modifier number", b"\x1b[98;xud", [b"\x1b[98;xud"]),
    ("paste", b"\x1b[200~d\r\n\x1b[201~", [b"\x1b[200~d\r\n\x1b[201~"]),
    ("utf-8", "é日😀".encode(), ["é日😀".encode()]),
]

KEYS = st.lists(
    st.sampled_from([b"\x02", b"d", b"x", b"\x1b", b"[", b"98;5u", b"100u", KITTY_B, KITTY_D])
    | st.sampled_from(
        [b"\x1b[A", b"\x1b[98;5:3u", b"1", b";", b"\x01", b"\xc3\xa9", b"u", b"~", b"O", b"M"]
    ),
    max_size=12,
).map(b"".join)


@pytest.mark.parametrize(("keys", "events"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_keys(keys: bytes, events: Events) -> None:
    assert typed(keys) == events
    assert typed(*(keys[i : i + 1] for i in range(len(keys)))) == events
    for split in range(len(keys) + 1):
        assert typed(keys[:split], keys[split:]) == events


@settings(max_examples=200, deadline=None)
@given(KEYS, st.integers(0, 60))
def test_cuts_change_nothing(keys: bytes, cut: int) -> None:
    whole = typed(keys, flush=True)
    assert typed(keys[:cut], keys[cut:], flush=True) == whole
    assert typed(*(keys[i : i + 1] for i in range(len(keys))), flush=True) == whole


@settings(max_examples=200, deadline=None)
@given(KEYS.filter(lambda keys: b"\x02" not in keys and b"98" not in keys))
def test_without_ctrl_b_everything_is_passed_on(keys: bytes) -> None:
    assert typed(keys, flush=True) == ([keys] if keys else [])


@settings(max_examples=200, deadline=None)
@given(KEYS.filter(lambda keys: b"98" not in keys))
def test_only_the_chord_is_swallowed(keys: bytes) -> None:
    events = typed(keys, flush=True)
    kept = Counter(b"".join(event for event in events if isinstance(event, bytes)))
    assert kept <= Counter(keys)
    if DETACH not in events:
        assert set(Counter(keys) - kept) <= {0x02}


def test_a_lone_escape_key() -> None:
    chord = DetachChord()
    assert chord.feed(b"\x1b") == []
    assert chord.holding
    assert chord.flush() == b"\x1b"
    assert not chord.holding
    assert chord.flush() == b""
    # What comes later is no part of it.
    assert chord.feed(b"[98;5ud") == [b"[98;5ud"]


@pytest.mark.parametrize(
    "keys", [b"\x1b[", b"\x1b[98", b"\x1b[98;5", b"\x1bO", b"\x1b[M", b"\x1b[M !"]
)
def test_an_unfinished_sequence(keys: bytes) -> None:
    chord = DetachChord()
    assert chord.feed(b"a" + keys) == [b"a"]
    assert chord.holding
    assert chord.flush() == keys
    assert chord.feed(b"\x02d") == [DETACH]


@pytest.mark.parametrize("prefix", [b"\x02", KITTY_B])
def test_the_first_key_waits_for_the_user(prefix: bytes) -> None:
    chord = DetachChord()
    assert chord.feed(prefix) == []
    assert not chord.holding
    assert chord.flush() == b""
    assert chord.feed(b"d") == [DETACH]


@pytest.mark.parametrize("prefix", [b"\x02", KITTY_B])
@pytest.mark.parametrize("keys", [b"\x1b", b"\x1b[1"])
def test_an_escape_key_ends_a_chord(prefix: bytes, keys: bytes) -> None:
    chord = DetachChord()
    assert chord.feed(prefix + keys) == []
    assert chord.holding
    assert chord.flush() == prefix + keys
    assert chord.feed(b"d") == [b"d"]


def test_what_is_held_is_bounded() -> None:
    chord = DetachChord()
    keys = b"\x1b[" + b"1" * 100_000
    out = b""
    for start in range(0, len(keys), 7):
        for event in chord.feed(keys[start : start + 7]):
            assert isinstance(event, bytes)
            out += event
        assert len(out) >= start - MAX_HELD
    assert out + chord.flush() == keys


def test_a_large_paste_is_one_piece() -> None:
    keys = b"\x1b[200~" + b"line of text\r" * 80_000
    assert DetachChord().feed(keys) == [keys]


PASTE = b"x\x1b[200~rm -r \x02d\x1b\x02dir\x1b[201~y"


def test_no_chord_is_in_a_paste_however_slowly_it_comes() -> None:
    for size in range(1, len(PASTE)):
        chord, got = DetachChord(), b""
        for start in range(0, len(PASTE), size):
            for event in [*chord.feed(PASTE[start : start + size]), chord.flush()]:
                assert isinstance(event, bytes)
                got += event
        assert got == PASTE
        assert not chord.is_pasting
        assert DETACH in chord.feed(b"\x02d")


def test_a_paste_whose_end_is_lost_can_be_left() -> None:
    chord = DetachChord()
    assert chord.feed(b"\x1b[200~text") == [b"\x1b[200~text"]
    assert chord.is_pasting
    chord.end_paste()
    assert chord.feed(b"\x02d") == [DETACH]
