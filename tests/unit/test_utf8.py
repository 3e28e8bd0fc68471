"""Incremental UTF-8: the same text wherever the stream was cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.wire.utf8 import Utf8Stream
from tests.unit.cuts import cut_at, every_cut


def decode(pieces: list[bytes]) -> str:
    stream = Utf8Stream()
    return "".join([stream.feed(piece) for piece in pieces] + [stream.feed(b"", final=True)])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\r\n", "plain\r\n"),
        ("é漢😀".encode(), "é漢😀"),
        (b"a\xffb", "a\ufffdb"),
        (b"\xe2\x82a", "\ufffda"),
        (b"\xe2\x82", "\ufffd"),
        (b"\xf0\x9f\x98", "\ufffd"),
        (b"\xc3\xc3\xa9", "\ufffdé"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xc0\x80", "\ufffd\ufffd"),
        (b"\xef\xbb\xbfx", "\ufeffx"),
    ],
)
def test_every_cut(data: bytes, text: str) -> None:
    for pieces in every_cut(data):
        assert decode(pieces) == text


def test_what_is_held_back_is_counted() -> None:
    stream = Utf8Stream()
    assert (stream.feed(b"a\xf0"), stream.pending) == ("a", 1)
    assert (stream.feed(b"\x9f\x98"), stream.pending) == ("", 3)
    assert (stream.feed(b"\x80"), stream.pending) == ("😀", 0)
    assert (stream.feed(b"\xf0\x9f", final=True), stream.pending) == ("\ufffd", 0)
    assert stream.feed(b"\x98a") == "\ufffda"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_any_bytes_any_cuts(data: bytes, positions: list[int]) -> None:
    assert decode(cut_at(data, positions)) == data.decode("utf-8", "replace")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20), st.integers(0, 80))
def test_a_reader_that_resumes_before_the_pending_bytes_loses_nothing(text: str, cut: int) -> None:
    data = text.encode()
    first, second = Utf8Stream(), Utf8Stream()
    start = first.feed(data[:cut])
    assert start + second.feed(data[min(cut, len(data)) - first.pending :]) == text
