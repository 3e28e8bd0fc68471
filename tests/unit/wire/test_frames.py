"""The frame codec: limits, order of checks, and streams cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.errors import ProtocolError
from codewire.wire.frames import (
    CONTROL,
    DATA,
    HEADER_BYTES,
    MAX_PAYLOAD,
    FrameDecoder,
    encode_frame,
)

Frame = tuple[int, bytes]

FRAMES: list[Frame] = [
    (CONTROL, b'{"type":"Nope"}'),
    (DATA, b""),
    (DATA, b"hi\r\n"),
    (CONTROL, b"{}"),
]
STREAM = b"".join(encode_frame(kind, payload) for kind, payload in FRAMES)


def take_all(decoder: FrameDecoder) -> list[Frame]:
    frames = []
    while (frame := decoder.next_frame()) is not None:
        frames.append(frame)
    return frames


def decode(*chunks: bytes) -> list[Frame]:
    """Feed chunk by chunk, taking what is whole after each."""
    decoder = FrameDecoder()
    frames = []
    for chunk in chunks:
        decoder.feed(chunk)
        frames += take_all(decoder)
    decoder.finish()
    return frames


@pytest.mark.parametrize(
    ("kind", "payload", "encoded"),
    [
        (CONTROL, b"{}", b"\x00\x00\x00\x00\x02{}"),
        (DATA, b"", b"\x01\x00\x00\x00\x00"),
        (DATA, b"\x00\xff", b"\x01\x00\x00\x00\x02\x00\xff"),
        (DATA, b"x" * 0x010203, b"\x01\x00\x01\x02\x03" + b"x" * 0x010203),
    ],
)
def test_bytes_of_a_frame(kind: int, payload: bytes, encoded: bytes) -> None:
    assert encode_frame(kind, payload) == encoded
    assert decode(encoded) == [(kind, payload)]


def test_one_byte_at_a_time() -> None:
    assert decode(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == FRAMES


@pytest.mark.parametrize("split", range(len(STREAM) + 1))
def test_every_split_point(split: int) -> None:
    assert decode(STREAM[:split], STREAM[split:]) == FRAMES


def test_a_frame_comes_with_its_last_byte() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(DATA, b"abc")[:-1])
    assert decoder.next_frame() is None
    decoder.feed(b"c")
    assert decoder.next_frame() == (DATA, b"abc")
    assert decoder.next_frame() is None


@settings(max_examples=100, deadline=None)
@given(
    frames=st.lists(st.tuples(st.sampled_from([CONTROL, DATA]), st.binary(max_size=40))),
    data=st.data(),
)
def test_any_frames_cut_anywhere(frames: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(kind, payload) for kind, payload in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    chunks = [stream[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    assert decode(*chunks) == frames


@settings(max_examples=200, deadline=None)
@given(garbage=st.binary(max_size=64))
def test_garbage_is_refused_or_taken_literally(garbage: bytes) -> None:
    try:
        frames = decode(garbage)
    except ProtocolError:
        return
    encoded = b"".join(encode_frame(kind, payload) for kind, payload in frames)
    # Only an unfinished header may be left over.
    assert garbage.startswith(encoded)
    assert len(garbage) - len(encoded) < HEADER_BYTES


def test_the_largest_payload_passes_and_one_byte_more_does_not() -> None:
    payload = bytes(MAX_PAYLOAD)
    assert decode(encode_frame(DATA, payload)) == [(DATA, payload)]
    with pytest.raises(ProtocolError, match="^frame payload too large: 16777217 bytes$"):
        encode_frame(DATA, payload + b"x")


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"\x01\x01\x00\x00\x01", "frame payload too large: 16777217 bytes"),
        (b"\x00\xff\xff\xff\xff", "frame payload too large: 4294967295 bytes"),
        # The length is looked at before the type.
        (b"\x09\xff\xff\xff\xff", "frame payload too large: 4294967295 bytes"),
        (b"\x02\x00\x00\x00\x00", "unknown frame type: 0x02"),
        (b"\xff\x00\x00\x00\x00", "unknown frame type: 0xff"),
    ],
)
def test_bad_headers(header: bytes, text: str) -> None:
    decoder = FrameDecoder()
    decoder.feed(header[:-1])
    assert decoder.next_frame() is None
    decoder.feed(header[-1:])
    # The stream stays unusable, whatever follows.
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            decoder.next_frame()
        assert str(caught.value) == text
        decoder.feed(encode_frame(CONTROL, b"{}"))


def test_an_unknown_type_waits_for_its_payload() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\x07\x00\x00\x00\x02x")
    assert decoder.next_frame() is None
    decoder.feed(b"y")
    with pytest.raises(ProtocolError, match="^unknown frame type: 0x07$"):
        decoder.next_frame()


def test_frames_before_a_bad_one_are_delivered() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(DATA, b"good") + b"\x05\x00\x00\x00\x00")
    assert decoder.next_frame() == (DATA, b"good")
    with pytest.raises(ProtocolError):
        decoder.next_frame()


@pytest.mark.parametrize("length", range(HEADER_BYTES))
def test_an_end_inside_a_header_is_clean(length: int) -> None:
    assert decode(encode_frame(DATA, b"first") + b"\x01\x00\x00\x00\x09"[:length]) == [
        (DATA, b"first")
    ]


@pytest.mark.parametrize("received", [0, 1, 8])
def test_an_end_inside_a_payload_is_an_error(received: int) -> None:
    with pytest.raises(ProtocolError, match="connection closed inside a frame"):
        decode(b"\x01\x00\x00\x00\x09" + b"x" * received)
