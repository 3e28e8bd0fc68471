"""The frame codec: cut anywhere, limits to the byte, errors in upstream's order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.errors import ProtocolError
from codewire.wire.frames import CONTROL, DATA, MAX_PAYLOAD, FrameDecoder, encode_frame
from tests.unit.cuts import cut_at, every_cut

Frame = tuple[int, bytes]
FRAMES: list[Frame] = [(CONTROL, b'{"type":"Detach"}'), (DATA, b""), (DATA, b"hi\r"), (CONTROL, b"")]
STREAM = b"".join(encode_frame(kind, payload) for kind, payload in FRAMES)


def decode(pieces: list[bytes]) -> list[Frame]:
    decoder, frames = FrameDecoder(), []
    for piece in pieces:
        decoder.feed(piece)
        while (frame := decoder.next_frame()) is not None:
            frames.append(frame)
    decoder.finish()
    return frames


def test_encoded_bytes() -> None:
    assert encode_frame(DATA, b"hi\r") == b"\x01\x00\x00\x00\x03hi\r"
    assert encode_frame(CONTROL, b"") == b"\x00\x00\x00\x00\x00"
    assert encode_frame(DATA, b"x" * 0x1234)[:5] == b"\x01\x00\x00\x12\x34"


def test_every_cut_gives_the_same_frames() -> None:
    for pieces in every_cut(STREAM):
        assert decode(pieces) == FRAMES


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from((CONTROL, DATA)), st.binary(max_size=40)), max_size=8),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_frames_survive_any_cuts(frames: list[Frame], positions: list[int]) -> None:
    stream = b"".join(encode_frame(kind, payload) for kind, payload in frames)
    assert decode(cut_at(stream, positions)) == frames


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_noise_raises_nothing_but_protocol_errors(data: bytes) -> None:
    try:
        decode([data])
    except ProtocolError:
        pass


def test_the_largest_frame_passes_both_ways() -> None:
    frame = encode_frame(DATA, bytes(MAX_PAYLOAD))
    pieces = [frame[i : i + 65536] for i in range(0, len(frame), 65536)]
    assert decode(pieces) == [(DATA, bytes(MAX_PAYLOAD))]


def test_one_byte_more_is_too_large_both_ways() -> None:
    with pytest.raises(ProtocolError, match=r"^frame payload too large: 16777217 bytes$"):
        encode_frame(DATA, bytes(MAX_PAYLOAD + 1))
    decoder = FrameDecoder()
    decoder.feed(b"\x01" + (MAX_PAYLOAD + 1).to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match=r"^frame payload too large: 16777217 bytes$"):
        decoder.next_frame()


def test_the_length_is_checked_before_the_type() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\x7f\xff\xff\xff\xff")
    with pytest.raises(ProtocolError, match="too large: 4294967295 bytes"):
        decoder.next_frame()


def test_a_bad_type_waits_for_its_payload() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"\x7f\x00\x00\x00\x02a")
    assert decoder.next_frame() is None
    decoder.feed(b"b")
    with pytest.raises(ProtocolError, match=r"^unknown frame type: 0x7f$"):
        decoder.next_frame()


@pytest.mark.parametrize("bad", [b"\x02\x00\x00\x00\x00", b"\x00\xff\x00\x00\x00"])
def test_after_an_error_nothing_more_is_taken(bad: bytes) -> None:
    decoder = FrameDecoder()
    decoder.feed(bad + STREAM)
    for _ in range(2):
        with pytest.raises(ProtocolError):
            decoder.next_frame()


@pytest.mark.parametrize("length", range(5))
def test_an_end_inside_a_header_is_clean(length: int) -> None:
    assert decode([STREAM + STREAM[:length]]) == FRAMES


def test_an_end_inside_a_payload_is_not() -> None:
    for end in range(5, len(encode_frame(*FRAMES[0]))):
        with pytest.raises(ProtocolError, match="inside a frame"):
            decode([STREAM[:end]])
