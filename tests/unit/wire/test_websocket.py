"""The WebSocket codec: RFC 6455's examples, every cut, round trips, and each kind of offence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.wire.websocket import (
    BAD_DATA,
    BINARY,
    CLOSE,
    CONTINUATION,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    TOO_BIG,
    TRANSLATE_FROM,
    VIOLATION,
    Closed,
    Event,
    Message,
    Ping,
    Pong,
    Receiver,
    Violation,
    apply_mask,
    encode,
    encode_close,
)

MASK = bytes.fromhex("37fa213d")


def events(data: bytes, *, is_server: bool = False, step: int = 0) -> list[Event]:
    """Return what a receiver makes of the data, fed `step` bytes at a time (0: at once)."""
    receiver = Receiver(is_server=is_server)
    found = []
    for start in range(0, len(data), step or max(len(data), 1)):
        receiver.feed(data[start : start + step] if step else data)
        while (event := receiver.next_event()) is not None:
            found.append(event)
    return found


# RFC 6455 5.7, in its order.
EXAMPLES = [
    ("unmasked text", "810548656c6c6f", False, [Message(TEXT, b"Hello")]),
    ("masked text", "818537fa213d7f9f4d5158", True, [Message(TEXT, b"Hello")]),
    ("fragments", "010348656c80026c6f", False, [Message(TEXT, b"Hello")]),
    ("ping", "890548656c6c6f", False, [Ping(b"Hello")]),
    ("masked pong", "8a8537fa213d7f9f4d5158", True, [Pong(b"Hello")]),
    ("256 bytes", "827e0100" + "00" * 256, False, [Message(BINARY, bytes(256))]),
    ("64 KiB", "827f0000000000010000" + "00" * 65536, False, [Message(BINARY, bytes(65536))]),
]


@pytest.mark.parametrize(("name", "data", "is_server", "wanted"), EXAMPLES)
def test_examples_of_the_rfc(name: str, data: str, is_server: bool, wanted: list[Event]) -> None:
    raw = bytes.fromhex(data)
    assert events(raw, is_server=is_server) == wanted
    if name != "fragments":
        opcode = raw[0] & 15
        payload = wanted[0].data  # type: ignore[union-attr]
        assert encode(opcode, payload, MASK if is_server else None) == raw


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(("name", "data", "is_server", "wanted"), EXAMPLES)
def test_cut_anywhere(
    name: str, data: str, is_server: bool, wanted: list[Event], step: int
) -> None:
    assert events(bytes.fromhex(data), is_server=is_server, step=step) == wanted


def test_two_cuts_at_every_place() -> None:
    """Control frames between fragments, masked, and text whose characters are cut."""
    text = "käße→𝄞".encode()
    data = (
        encode(TEXT, text[:2], MASK, is_final=False)
        + encode(PING, b"?", b"abcd")
        + encode(CONTINUATION, b"", MASK, is_final=False)
        + encode(CONTINUATION, text[2:], b"\0\1\2\3")
        + encode_close(1000, "bye", MASK)
    )
    wanted = [Ping(b"?"), Message(TEXT, text), Closed(1000, "bye")]
    for first in range(len(data)):
        for second in range(first, len(data), 5):
            receiver = Receiver(is_server=True)
            found = []
            for part in (data[:first], data[first:second], data[second:]):
                receiver.feed(part)
                while (event := receiver.next_event()) is not None:
                    found.append(event)
            assert found == wanted, (first, second)


@given(st.binary(max_size=5000), st.binary(min_size=4, max_size=4))
def test_masking_is_its_own_inverse(data: bytes, mask: bytes) -> None:
    masked = apply_mask(data, mask)
    assert masked == bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
    assert apply_mask(masked, mask) == data


@pytest.mark.parametrize("size", [*range(9), *range(TRANSLATE_FROM - 5, TRANSLATE_FROM + 5)])
def test_masking_every_length_around_its_two_ways(size: int) -> None:
    data = bytes(i * 7 % 256 for i in range(size))
    assert apply_mask(data, MASK) == bytes(byte ^ MASK[i % 4] for i, byte in enumerate(data))


@given(
    st.lists(
        st.one_of(
            st.builds(Message, st.just(BINARY), st.binary(max_size=300)),
            st.builds(lambda text: Message(TEXT, text.encode()), st.text(max_size=100)),
            st.builds(Ping, st.binary(max_size=125)),
            st.builds(Pong, st.binary(max_size=125)),
        )
    ),
    st.booleans(),
    st.integers(1, 50),
    st.integers(1, 90),
)
def test_round_trip(wanted: list[Event], is_server: bool, step: int, fragment: int) -> None:
    mask = MASK if is_server else None
    data = b"".join(_frames(event, mask, fragment) for event in wanted)
    assert events(data, is_server=is_server, step=step) == wanted


def _frames(event: Event, mask: bytes | None, fragment: int) -> bytes:
    if isinstance(event, Ping):
        return encode(PING, event.data, mask)
    if isinstance(event, Pong):
        return encode(PONG, event.data, mask)
    assert isinstance(event, Message)
    parts = [event.data[i : i + fragment] for i in range(0, len(event.data), fragment)] or [b""]
    frames = []
    for number, part in enumerate(parts):
        opcode = CONTINUATION if number else event.opcode
        frames.append(encode(opcode, part, mask, is_final=number == len(parts) - 1))
    return b"".join(frames)


OFFENCES = [
    ("reserved bit", "c100", VIOLATION),
    ("reserved opcode", "8300", VIOLATION),
    ("reserved control opcode", "8b00", VIOLATION),
    ("masked by a server", "8180", VIOLATION),
    ("fragmented ping", "0900", VIOLATION),
    ("long ping", "897e", VIOLATION),
    ("continuation of nothing", "8000", VIOLATION),
    ("message inside a message", "01008100", VIOLATION),
    ("two-byte length of a short frame", "827e007d", VIOLATION),
    ("eight-byte length of a short frame", "827f000000000000ffff", VIOLATION),
    ("negative length", "827fffffffffffffffff", VIOLATION),
    ("huge length", "827f7fffffffffffffff", TOO_BIG),
    ("text of bad bytes", "8101ff", BAD_DATA),
    ("text that ends in a character", "8101c3", BAD_DATA),
    ("surrogate", "8103eda080", BAD_DATA),
    ("beyond Unicode, before the frame is whole", "8104f490", BAD_DATA),
    ("fragment of bad bytes", "0101c0", BAD_DATA),
    ("close of one byte", "880103", VIOLATION),
    ("close with a code that is never sent", "880203ed", VIOLATION),
    ("close with a bad reason", "880303e8ff", BAD_DATA),
]


@pytest.mark.parametrize(("name", "data", "code"), OFFENCES)
def test_offences(name: str, data: str, code: int) -> None:
    receiver = Receiver(is_server=False)
    receiver.feed(bytes.fromhex(data))
    for _ in range(2):
        with pytest.raises(Violation) as caught:
            receiver.next_event()
        assert caught.value.close_code == code, name


def test_an_unmasked_client_is_refused() -> None:
    with pytest.raises(Violation, match="not masked"):
        events(encode(TEXT, b"x"), is_server=True)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_close_codes_that_must_not_travel(code: int) -> None:
    with pytest.raises(Violation):
        events(b"\x88\x02" + code.to_bytes(2, "big"))


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 1014, 3000, 4999])
def test_close_codes(code: int) -> None:
    assert events(encode_close(code, "why")) == [Closed(code, "why")]


def test_the_end() -> None:
    receiver = Receiver(is_server=False)
    receiver.feed(encode(CLOSE, b"") + encode(TEXT, b"after"))
    assert receiver.next_event() == Closed(NO_CODE, "")
    receiver.feed(encode(TEXT, b"after"))
    assert receiver.next_event() is None


def test_a_long_reason_is_cut_between_characters() -> None:
    (closed,) = events(encode_close(1000, "é" * 100))
    assert closed == Closed(1000, "é" * 61)


def test_the_limit_is_on_the_whole_message() -> None:
    receiver = Receiver(is_server=False, max_message=10)
    receiver.feed(encode(BINARY, b"x" * 6, is_final=False) + encode(CONTINUATION, b"x" * 4))
    assert receiver.next_event() == Message(BINARY, b"x" * 10)
    receiver.feed(encode(BINARY, b"x" * 6, is_final=False) + encode(CONTINUATION, b"x" * 5))
    with pytest.raises(Violation) as caught:
        receiver.next_event()
    assert caught.value.close_code == TOO_BIG


@given(st.binary(max_size=200), st.booleans())
def test_garbage_never_does_more_than_offend(data: bytes, is_server: bool) -> None:
    try:
        whole: list[Event] | int = events(data, is_server=is_server)
    except Violation as violation:
        whole = violation.close_code
    try:
        piecemeal: list[Event] | int = events(data, is_server=is_server, step=1)
    except Violation as violation:
        piecemeal = violation.close_code
    assert whole == piecemeal
