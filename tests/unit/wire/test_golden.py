"""The golden exchanges of spec/wire.md: real frames of upstream, byte by byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codewire.wire.control import control_frame, decode_control
from codewire.wire.frames import CONTROL, DATA, FrameDecoder, encode_frame
from codewire.wire.requests import parse_request
from codewire.wire.timestamps import format_nanos, parse_timestamp

REQUESTS = [
    ("00 00 00 00 17", '{"type":"ListSessions"}'),
    (
        "00 00 00 00 53",
        '{"type":"Launch","command":["cat"],"working_dir":"/tmp","name":"bob","tags":["t1"]}',
    ),
    ("00 00 00 00 2f", '{"type":"Attach","id":1,"include_history":true}'),
    ("00 00 00 00 2c", '{"type":"Resize","id":1,"cols":80,"rows":23}'),
    ("00 00 00 00 18", '{"type":"Detach","id":1}'),
    ("00 00 00 00 29", '{"type":"SendInput","id":1,"data":"aGkK"}'),
    ("00 00 00 00 2e", '{"type":"Logs","id":1,"follow":false,"tail":2}'),
    ("", '{"type":"Subscribe","id":1,"event_types":["session.status","direct.message"]}'),
    ("", '{"type":"MsgSend","to_name":"bob","body":"hey","delivery":"inbox"}'),
    ("", '{"type":"MsgRequest","to_id":1,"body":"ok?","timeout_seconds":60,"delivery":"inbox"}'),
    (
        "",
        '{"type":"MsgReply","body":"yes","request_id":"req_QUu5ZVtX9lOMXQbKb4f2bQ",'
        '"reply_token":"rpl_dTJG8ohye1ReWypsuryj0A"}',
    ),
    ("", '{"type":"KVSet","key":"k","value":"djE=","ttl":"60s"}'),
    ("", '{"type":"KVGet","key":"k"}'),
    ("", '{"type":"KVList"}'),
    ("", '{"type":"Kill","id":1}'),
    ("", '{"type":"Attach","id":1}'),
    ("", '{"type":"Nope"}'),
]

ANSWERS = [
    ("00 00 00 00 24", '{"type":"SessionList","sessions":[]}'),
    ("00 00 00 00 1a", '{"type":"Launched","id":1}'),
    ("00 00 00 00 1a", '{"type":"Attached","id":1}'),
    ("00 00 00 00 1a", '{"type":"Detached","id":1}'),
    ("00 00 00 00 1e", '{"type":"InputSent","bytes":3}'),
    ("00 00 00 00 2e", r'{"type":"LogData","data":"hi\r\n","done":true}'),
    ("00 00 00 00 2b", '{"type":"SubscribeAck","subscription_id":0}'),
    ("00 00 00 00 35", '{"type":"Error","message":"session 1 is not running"}'),
    ("00 00 00 00 37", '{"type":"Error","message":"unknown request type: Nope"}'),
]

# Byte fields arrive decoded; everything else as it is.
BYTE_FIELDS = {"aGkK": b"hi\n", "djE=": b"v1"}


@pytest.mark.parametrize(("header", "text"), REQUESTS + ANSWERS)
def test_our_frames_are_upstreams_bytes(header: str, text: str) -> None:
    frame = control_frame(json.loads(text))
    assert frame[5:] == text.encode()
    assert not header or frame[:5] == bytes.fromhex(header)


@pytest.mark.parametrize("text", [text for _, text in REQUESTS])
def test_every_golden_request_is_understood(text: str) -> None:
    sent: dict[str, Any] = json.loads(text)
    expected = {
        key: BYTE_FIELDS.get(value, value) if key in ("data", "value") else value
        for key, value in sent.items()
    }
    assert parse_request(decode_control(text.encode())) == expected


# Exchange 4, what the client sends and what the node answers.
ATTACH_CLIENT = bytes.fromhex("000000002f") + b'{"type":"Attach","id":1,"include_history":true}'
ATTACH_CLIENT += bytes.fromhex("0100000003") + b"hi\r"
ATTACH_CLIENT += bytes.fromhex("000000002c") + b'{"type":"Resize","id":1,"cols":80,"rows":23}'
ATTACH_CLIENT += bytes.fromhex("0000000018") + b'{"type":"Detach","id":1}'
ATTACH_NODE = bytes.fromhex("000000001a") + b'{"type":"Attached","id":1}'
ATTACH_NODE += bytes.fromhex("0100000008") + b"hi\r\nhi\r\n"
ATTACH_NODE += bytes.fromhex("000000001a") + b'{"type":"Detached","id":1}'

CLIENT_SAYS: list[Any] = [
    {"type": "Attach", "id": 1, "include_history": True},
    b"hi\r",
    {"type": "Resize", "id": 1, "cols": 80, "rows": 23},
    {"type": "Detach", "id": 1},
]
NODE_SAYS: list[Any] = [
    {"type": "Attached", "id": 1},
    b"hi\r\nhi\r\n",
    {"type": "Detached", "id": 1},
]


def understand(*chunks: bytes) -> list[Any]:
    """Return the stream's messages and data."""
    decoder = FrameDecoder()
    said: list[Any] = []
    for chunk in chunks:
        decoder.feed(chunk)
        while (frame := decoder.next_frame()) is not None:
            kind, payload = frame
            said.append(decode_control(payload) if kind == CONTROL else payload)
    decoder.finish()
    return said


@pytest.mark.parametrize(
    ("stream", "said"), [(ATTACH_CLIENT, CLIENT_SAYS), (ATTACH_NODE, NODE_SAYS)]
)
def test_an_attachment_cut_anywhere(stream: bytes, said: list[Any]) -> None:
    assert understand(*(stream[i : i + 1] for i in range(len(stream)))) == said
    for split in range(len(stream) + 1):
        assert understand(stream[:split], stream[split:]) == said


@pytest.mark.parametrize(
    ("stream", "said"), [(ATTACH_CLIENT, CLIENT_SAYS), (ATTACH_NODE, NODE_SAYS)]
)
def test_an_attachment_as_we_send_it(stream: bytes, said: list[Any]) -> None:
    frames = [
        encode_frame(DATA, item) if isinstance(item, bytes) else control_frame(item)
        for item in said
    ]
    assert b"".join(frames) == stream


@pytest.mark.parametrize(
    "text", ["2026-04-03T12:00:01.22082845Z", "2026-04-03T12:00:01.220972128Z"]
)
def test_golden_timestamps(text: str) -> None:
    assert format_nanos(parse_timestamp(text)) == text
