"""How deep a JSON text is nested, told without decoding it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.errors import ProtocolError
from codewire.wire.control import decode_control
from codewire.wire.nesting import MAX_DEPTH, PIECE_BYTES, is_deep


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("text", "deep"),
    [
        (b"", False),
        (b"{}", False),
        (nested(MAX_DEPTH), False),
        (nested(MAX_DEPTH + 1), True),
        (b'{"a":' * (MAX_DEPTH + 1), True),
        (b"[" + b"[]," * 5000 + b"[]]", False),
        (b'["' + b"[" * 5000 + b'"]', False),
        (b'["' + rb"\"[{" * 5000 + b'"]', False),
        (b'["\\\\",' + nested(MAX_DEPTH + 1) + b"]", True),
        (b'["' + b"x" * PIECE_BYTES + b'",' + nested(MAX_DEPTH), True),
        (b'["' + b"[" * 2 * PIECE_BYTES + b'"]', False),
        (b"[]" * PIECE_BYTES + nested(MAX_DEPTH + 1), True),
        (b"]" * 5000 + b"[" * (MAX_DEPTH + 1), False),  # ends at once for the decoder, too
    ],
    ids=range(13),
)
def test_depth(text: bytes, deep: bool) -> None:
    assert is_deep(text) == deep


@given(st.recursive(st.text() | st.none(), st.lists, max_leaves=20), st.integers(0, 900))
def test_depth_is_that_of_the_value(value: object, around: int) -> None:
    text = b"[" * around + json.dumps(value).encode() + b"]" * around
    assert is_deep(text) == (around + _depth(value) > MAX_DEPTH)


def _depth(value: object) -> int:
    if not isinstance(value, list):
        return 0
    return 1 + max((_depth(item) for item in value), default=0)


def test_a_deep_request_is_refused() -> None:
    with pytest.raises(ProtocolError, match="nested too deeply"):
        decode_control(b'{"type":' + nested(MAX_DEPTH) + b"}")
