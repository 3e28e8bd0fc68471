"""Text made harmless, and the switch for bracketed paste found in any output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.term.paste import PasteMode, as_typed, bracketed, harmless, plain

ON, OFF = b"\x1b[?2004h", b"\x1b[?2004l"


@pytest.mark.parametrize(
    ("output", "is_on"),
    [
        (b"", False),
        (ON, True),
        (ON + OFF, False),
        (b"text" + OFF + b"more" + ON + b"$ ", True),
        (b"\x1b[?1;2004;25h", True),
        (ON + b"\x1b[?1;2004l", False),
        (ON + b"\x1bc", False),
        (b"\x1bc" + ON, True),
        (b"\x1b[2004h", False),
        (b"\x1b[?12004h", False),
        (b"\x1b[?20041h", False),
        (b"?2004h", False),
        (ON + b"2004 \x1b[?25l", True),
        (ON + b"x" * 1000, True),
    ],
)
def test_switch(output: bytes, is_on: bool) -> None:
    whole = PasteMode()
    whole.feed(output)
    assert whole.is_on is is_on
    by_bytes = PasteMode()
    for byte in output:
        by_bytes.feed(bytes([byte]))
    assert by_bytes.is_on is is_on


PIECES = st.sampled_from([ON, OFF, b"\x1bc", b"\x1b[?1;2004h", b"\x1b", b"[?", b"2004", b"h", b"x"])


@given(st.lists(PIECES, max_size=12), st.integers(1, 9))
def test_pieces_say_what_the_whole_says(pieces: list[bytes], size: int) -> None:
    output = b"".join(pieces)
    whole, cut = PasteMode(), PasteMode()
    whole.feed(output)
    for start in range(0, len(output), size):
        cut.feed(output[start : start + size])
    assert whole.is_on is cut.is_on


def test_what_is_held_back_is_bounded() -> None:
    mode = PasteMode()
    for _ in range(100):
        mode.feed(b"\x1b[?" + b"1;" * 50)
    assert len(mode._held) <= 64 + 103


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain café 名\n", "plain café 名\n"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\x1b[201~", "^[[201~"),
        ("\x9b201~", "\\x9b201~"),
        ("\x00\x03\x7f", "^@^C^?"),
        ("a\tb", "a    b"),
    ],
)
def test_harmless(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text())
def test_nothing_but_line_feeds_reaches_the_terminal(text: str) -> None:
    for data in (plain(text), bracketed(text)[6:-6]):
        shown = data.decode()
        assert not any(ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160 for c in shown)
    assert bracketed(text).startswith(b"\x1b[200~") and bracketed(text).endswith(b"\x1b[201~")


def test_lone_surrogates_are_replaced() -> None:
    assert plain("a\udcff") == b"a?"


@pytest.mark.parametrize(
    "data", [b"a\x1b[201~b", b"a\x1b[20\x1b[201~1~b", b"a\x1b[2\x1b[20\x1b[201~1~01~b"]
)
def test_no_end_inside_a_typed_paste(data: bytes) -> None:
    assert as_typed(data) == b"\x1b[200~ab\x1b[201~"
