"""Where frames begin and end, told from headers alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from codewire.wire.framebounds import FrameBounds
from codewire.wire.websocket import BINARY, CLOSE, NORMAL, PING, encode, encode_close

SIZES = st.sampled_from((0, 1, 125, 126, 127, 65535, 65536, 70000))
FRAMES = st.tuples(st.sampled_from((BINARY, PING)), SIZES, st.booleans())


def _encoded(opcode: int, size: int, is_masked: bool) -> bytes:
    payload = b"\x88" * (min(size, 125) if opcode == PING else size)
    return encode(opcode, payload, b"\x88\x80\x88\x80" if is_masked else None)


@given(st.lists(FRAMES, max_size=4), st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_it_is_between_frames_exactly_where_they_end(
    frames: list[tuple[int, int, bool]], steps: list[int]
) -> None:
    encoded = [_encoded(*frame) for frame in frames]
    ends = {sum(map(len, encoded[:count])) for count in range(len(encoded) + 1)}
    data, bounds, at, turn = b"".join(encoded), FrameBounds(), 0, 0
    while at < len(data):
        # Small steps over headers, and past what lies between them.
        left = min((end - at for end in ends if end > at), default=0)
        step = steps[turn % len(steps)] if left < 40 or turn % 3 else left - 20
        bounds.feed(data[at : at + step])
        at, turn = min(at + step, len(data)), turn + 1
        assert bounds.is_between == (at in ends)
        if turn > 64:
            bounds.feed(data[at:])
            break
    assert bounds.is_between and not bounds.has_closed


def test_one_byte_at_a_time() -> None:
    frames = [_encoded(BINARY, size, masked) for size in (0, 5, 126, 300) for masked in (0, 1)]
    bounds = FrameBounds()
    for frame in [*frames, _encoded(BINARY, 65536, True)]:
        for at in range(len(frame)):
            bounds.feed(frame[at : at + 1])
            assert bounds.is_between == (at == len(frame) - 1)


def test_a_close_frame_is_seen_once_it_is_whole() -> None:
    for mask in (None, b"abcd"):
        for close in (encode_close(NORMAL, "bye", mask), encode(CLOSE, b"", mask)):
            bounds = FrameBounds()
            bounds.feed(encode(BINARY, b"x" * 300, mask) + close[:-1])
            assert not bounds.has_closed
            bounds.feed(close[-1:])
            assert bounds.has_closed and bounds.is_between
            # What comes behind it is nobody's frame.
            bounds.feed(b"\x82\x05ab")
            assert bounds.is_between
