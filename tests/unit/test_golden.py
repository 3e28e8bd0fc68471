"""Upstream's real exchanges (spec/wire.md, golden exchanges): the bytes we send, what we read."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from codewire.wire.control import control_frame, decode_control, encode_bytes
from codewire.wire.frames import CONTROL, DATA, FrameDecoder, encode_frame
from codewire.wire.requests import parse_request

# The header as captured, and the JSON. Key order is free, so is not compared against upstream's.
GOLDEN = [
    ("00 00 00 00 17", '{"type":"ListSessions"}'),
    ("00 00 00 00 24", '{"type":"SessionList","sessions":[]}'),
    (
        # Captured as 53, but the text printed beside it has 0x58 bytes.
        "00 00 00 00 58",
        '{"type":"Launch","command":["cat"],"working_dir":"/tmp","name":"bob","tags":["t1"]}',
    ),
    ("00 00 00 00 1a", '{"type":"Launched","id":1}'),
    ("00 00 00 00 2f", '{"type":"Attach","id":1,"include_history":true}'),
    ("00 00 00 00 1a", '{"type":"Attached","id":1}'),
    ("00 00 00 00 2c", '{"type":"Resize","id":1,"cols":80,"rows":23}'),
    ("00 00 00 00 18", '{"type":"Detach","id":1}'),
    ("00 00 00 00 1a", '{"type":"Detached","id":1}'),
    ("00 00 00 00 29", '{"type":"SendInput","id":1,"data":"aGkK"}'),
    ("00 00 00 00 1e", '{"type":"InputSent","bytes":3}'),
    ("00 00 00 00 2e", '{"type":"Logs","id":1,"follow":false,"tail":2}'),
    ("00 00 00 00 2e", '{"type":"LogData","data":"hi\\r\\n","done":true}'),
    ("00 00 00 00 2b", '{"type":"SubscribeAck","subscription_id":0}'),
    ("00 00 00 00 35", '{"type":"Error","message":"session 1 is not running"}'),
    ("00 00 00 00 37", '{"type":"Error","message":"unknown request type: Nope"}'),
]
