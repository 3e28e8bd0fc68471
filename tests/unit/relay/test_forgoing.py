"""Commands on nodes that have a login shell and nothing else: what is typed, what is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.errors import CodewireError
from codewire.relay.ssh.forgoing import Fence, end_input

ECHO = b"bash-5.2$  stty -echo; exec sh -c \"$(printf %b 'printf \\0047\\0134036...')\"\r\n"
FIRST, LAST = b"\x1enonce\x1e", b"\x1enonce:%d\x1e"


def run(chunks: list[bytes]) -> tuple[bytes, int | None]:
    fence = Fence("true", "nonce", has_terminal=False)
    return b"".join(map(fence.feed, chunks)), fence.code


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (b"", 0),
        (b"hello\n", 7),
        (b"no end of line", 255),
        (b"\x1e half a mark \x1enonc \x1enonce", 3),
        (b"\x1enonce:no number\x1e", 1),
        (bytes(range(256)) * 9, 126),
    ],
)
def test_the_output_is_what_is_between_the_marks(output: bytes, code: int) -> None:
    whole = ECHO + FIRST + output + LAST % code + b"logout\r\n"
    assert run([whole]) == (output, code)
    assert run([whole[at : at + 1] for at in range(len(whole))]) == (output, code)


@given(st.binary(max_size=60), st.lists(st.integers(0, 90), max_size=6))
def test_it_does_not_matter_how_it_is_cut(output: bytes, cuts: list[int]) -> None:
    whole = FIRST + output + LAST % 5
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    assert run([whole[a:b] for a, b in zip(edges, edges[1:], strict=False)]) == (output, 5)


def test_nothing_is_shown_before_the_command_runs() -> None:
    fence = Fence("true", "nonce", has_terminal=False)
    assert (fence.feed(ECHO * 100), fence.is_open) == (b"", False)
    assert fence.feed(FIRST + b"x") == b"x" and fence.is_open and fence.code is None


def test_what_is_typed_is_one_line_of_harmless_characters() -> None:
    fence = Fence("a\tb\nc 'd' \"!!\" \\ \x03 ü", "nonce", has_terminal=True)
    assert fence.typed.startswith(b" ") and fence.typed.count(b"\n") == 1
    body = fence.typed[:-1]
    assert all(0x20 <= byte < 0x7F for byte in body) and b"!" not in body
    assert b"nonce\x1e" not in body


def test_a_command_that_a_terminal_would_cut_is_refused() -> None:
    with pytest.raises(CodewireError, match="too long for this node"):
        Fence("x" * 4000, "nonce", has_terminal=False)


@pytest.mark.parametrize(
    ("last", "keys"), [(b"", b"\x04"), (b"\n", b"\x04"), (b"x", b"\x04\x04"), (b"\r", b"\x04\x04")]
)
def test_the_end_of_input_is_typed_so_that_it_counts(last: bytes, keys: bytes) -> None:
    assert end_input(last) == keys
