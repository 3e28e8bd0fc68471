"""Control messages: JSON as Go reads it, and bytes inside them."""

from __future__ import annotations

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
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3)
    ),
    max_leaves=10,
)


def test_compact_utf8_without_absent_keys() -> None:
    message = {"type": "Error", "message": "é<&>\u2028", "id": None, "count": 0, "done": False}
    text = '{"type":"Error","message":"é<&>\u2028","count":0,"done":false}'
    assert encode_control(message) == text.encode()


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("\udcff", "\ufffd"),  # a byte of a file name that is no UTF-8
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d", "\ufffd"),
        ("\ud83d\ud83d\ude00", "\ufffd😀"),
        ("plain", "plain"),
    ],
)
def test_lone_surrogates_are_replaced_both_ways(text: str, mended: str) -> None:
    assert json.loads(encode_control({"name": text, text: [text]})) == {
        "name": mended,
        mended: [mended],
    }
    payload = json.dumps({"name": text, text: [{"a": text}]}).encode()
    assert decode_control(payload) == {"name": mended, mended: [{"a": mended}]}


def test_values_that_are_no_json_are_not_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_control({"seconds": float("nan")})


def test_a_message_past_the_limit_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="too large"):
        control_frame({"data": "x" * MAX_PAYLOAD})


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"type":"ListSessions"}', {"type": "ListSessions"}),
        (b' \t\r\n{"a" : 1}\n ', {"a": 1}),
        (b"{}", {}),
        (b"null", {}),
        (b'{"id":1,"id":2}', {"id": 2}),
        (b'{"a":"\xff\xc3("}', {"a": "\ufffd\ufffd("}),
        (b'{"a":"\\u003c\\u2028"}', {"a": "<\u2028"}),
        (b'{"a":"\\\\ud800"}', {"a": "\\ud800"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"x":1e999,"a":"\\u0041"}', {"x": float("inf"), "a": "A"}),
        ('{"a":"\ufeff"}'.encode(), {"a": "\ufeff"}),
    ],
)
def test_what_is_accepted(payload: bytes, message: dict[str, Any]) -> None:
    assert decode_control(payload) == message


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"[]",
        b'"ListSessions"',
        b"1",
        b"true",
        b"{",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":1} x',
        b'{"a":1}{"a":1}',
        b'{"a":1}\0',
        b'\xef\xbb\xbf{"a":1}',
        b'\xff{"a":1}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\n"}',
        b'{"a":01}',
        b'{"a":' + b"9" * 10000 + b"}",
        b'{"a":' + b"[" * 200_000,
        b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"a":' * 200_000,
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_what_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_control(payload)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_messages_come_back(message: dict[str, Any]) -> None:
    present = {key: value for key, value in message.items() if value is not None}
    assert decode_control(encode_control(message)) == present


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\ud8e0n1-.', max_size=30).map(str.encode))
def test_noise_raises_nothing_but_protocol_errors(payload: bytes) -> None:
    try:
        message = decode_control(payload)
    except ProtocolError:
        return
    assert isinstance(message, dict)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("", b""),
        ("aGkK", b"hi\n"),
        ("djE=", b"v1"),
        ("dg==", b"v"),
        ("+/+/", b"\xfb\xff\xbf"),
        ("aG\r\nkK\n", b"hi\n"),
        ("dg=\n=", b"v"),
        ("dh==", b"v"),  # Go does not look at the spare bits either
        ([], b""),
        ([0, 104, 255], b"\0h\xff"),
    ],
)
def test_byte_values(value: Any, data: bytes) -> None:
    assert decode_bytes(value) == data


@pytest.mark.parametrize(
    "value",
    [
        "-_-_",  # the URL-safe alphabet
        "dg",
        "dg=",
        "djE",
        "d",
        "=",
        "====",
        "d===",
        "dg==dg==",
        "dg==\0",
        "aGk K",
        "aGkK!",
        "aGkK\t",
        "aGké",
        "aGk\uff2b",
        [256],
        [-1],
        [True],
        [1.0],
        ["a"],
        [None],
        7,
        1.5,
        True,
        {},
        None,
    ],
)
def test_bad_byte_values(value: Any) -> None:
    with pytest.raises(ValueError):
        decode_bytes(value)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100))
def test_bytes_come_back(data: bytes) -> None:
    text = encode_bytes(data)
    assert decode_bytes(text) == decode_bytes(list(data)) == data
    assert decode_bytes("\r\n".join(text)) == data
