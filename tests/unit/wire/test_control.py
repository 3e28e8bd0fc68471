"""Control messages as JSON, and what must not come through as JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.errors import ProtocolError
from codewire.wire.control import (
    control_frame,
    decode_bytes,
    decode_control,
    encode_bytes,
    encode_control,
)
from codewire.wire.frames import MAX_PAYLOAD

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_compact_in_order_without_absent_keys() -> None:
    message = {"type": "LogData", "data": None, "done": False, "gap": 0, "text": ""}
    assert encode_control(message) == b'{"type":"LogData","done":false,"gap":0,"text":""}'


def test_text_is_utf8_and_not_escaped() -> None:
    assert encode_control({"body": "日本 <&>\u2028"}) == '{"body":"日本 <&>\u2028"}'.encode()


@pytest.mark.parametrize(
    ("text", "arrives"),
    [
        ("caf\udce9", "caf\ufffd"),
        ("\ud800x\udfff", "\ufffdx\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("😀 \udc80", "😀 \ufffd"),
    ],
)
def test_lone_surrogates_are_replaced_both_ways(text: str, arrives: str) -> None:
    nested = {"command": [text], text: 1}
    expected = {"command": [arrives], arrives: 1}
    assert json.loads(encode_control(nested)) == expected
    # json.dumps escapes them, as a foreign client may.
    assert decode_control(json.dumps(nested).encode()) == expected


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(), JSON_VALUES, max_size=5))
def test_what_is_encoded_is_decoded(message: dict[str, Any]) -> None:
    present = {key: value for key, value in message.items() if value is not None}
    assert decode_control(encode_control(message)) == present


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
def test_garbage_is_an_object_or_refused(payload: bytes) -> None:
    try:
        message = decode_control(payload)
    except ProtocolError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(message, dict)


@pytest.mark.parametrize("payload", [b"null", b"{}", b" \t\r\n{ } \n"])
def test_nothing_is_an_empty_message(payload: bytes) -> None:
    assert decode_control(payload) == {}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"[]",
        b"[1]",
        b'"x"',
        b"1",
        b"true",
        b'\xef\xbb\xbf{"type":"x"}',
        b"{} {}",
        b"{}\x00",
        b"{}x",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":"\n"}',
        b'{"a":"\\x"}',
        b'{"a"',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"\\u0061":' + b"[" * 990 + b"]" * 990 + b"}" + b"x",
        '{"type":"x"}'.encode("utf-16"),
    ],
)
def test_not_a_json_object(payload: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_control(payload)
    text = str(caught.value)
    assert text.startswith("invalid ")
    assert len(text) < 200 and "\n" not in text


@pytest.mark.parametrize("depth", [10, 300, 900, 990, 999, 5000])
def test_any_depth_with_escapes_is_taken_or_refused(depth: int) -> None:
    payload = b'{"\\u0061":' + b"[" * depth + b"]" * depth + b"}"
    try:
        assert "a" in decode_control(payload)
    except ProtocolError:
        assert depth > 300


def test_invalid_utf8_becomes_replacement_characters() -> None:
    assert decode_control(b'{"name":"a\xffb","x":"\xed\xa0\x80"}')["name"] == "a\ufffdb"


def test_the_last_of_equal_keys_wins() -> None:
    assert decode_control(b'{"id":1,"id":2}') == {"id": 2}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("0", 0),
        ("-1", -1),
    ],
)
def test_whole_numbers(text: str, value: int) -> None:
    found = decode_control(b'{"n":%b}' % text.encode())["n"]
    assert type(found) is int and found == value


@pytest.mark.parametrize(
    "text", ["1" + "0" * 25, "-" + "9" * 400, "7" * 1_000_000, "1e30", "1.0", "1e999"]
)
def test_numbers_that_no_field_can_hold_are_no_ints(text: str) -> None:
    assert type(decode_control(b'{"n":%b}' % text.encode())["n"]) is float


def test_nan_is_never_sent() -> None:
    with pytest.raises(ValueError):
        encode_control({"n": float("nan")})


def test_a_control_frame_is_limited() -> None:
    empty = len(encode_control({"data": ""}))
    assert len(control_frame({"data": "x" * (MAX_PAYLOAD - empty)})) == MAX_PAYLOAD + 5
    with pytest.raises(ProtocolError, match="frame payload too large: 16777217 bytes"):
        control_frame({"data": "x" * (MAX_PAYLOAD - empty + 1)})


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=70))
def test_bytes_as_base64_or_numbers(data: bytes) -> None:
    text = encode_bytes(data)
    assert text == base64.b64encode(data).decode()
    assert decode_bytes(text) == data
    assert decode_bytes(list(data)) == data
    # Line breaks are skipped wherever they are.
    assert decode_bytes("\r\n".join(text)) == data


@pytest.mark.parametrize(
    "value",
    [
        "aGk",  # padding missing
        "aGk=aGk=",  # goes on after the padding
        "aGkK=",
        "aGkK====",
        "=",
        "====",
        "a===",
        "-_-_",  # the URL-safe alphabet
        "aG k",
        "aGk=\x00",
        "äöü=",
        "ＡＡＡＡ",
        [256],
        [-1],
        [1.0],
        [True],
        ["a"],
        [10**30],
        [[]],
        {},
        5,
        True,
        1.5,
    ],
)
def test_not_bytes(value: Any) -> None:
    with pytest.raises(ProtocolError):
        decode_bytes(value)
