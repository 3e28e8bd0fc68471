"""Requests: every field has the type the table says, or the whole message fails with one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.errors import ProtocolError
from codewire.wire.requests import FIELDS, parse_request
from tests.unit.test_control import JSON_VALUES

U16, U32, U64 = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1
LIMITS = {
    "id": U32,
    "to_id": U32,
    "cols": U16,
    "rows": U16,
    "tail": U64,
    "history_lines": U64,
    "subscription_id": U64,
    "timeout_seconds": U64,
    "from_offset": U64,
}
FLAGS = ["include_history", "follow", "strip_ansi", "full"]
LISTS = ["command", "env", "tags", "event_types"]
BYTES = ["stdin_data", "data", "value"]
TEXTS = (
    "name working_dir condition namespace key ttl to_name body request_id reply_token delivery "
    "verb audience_node sender_cap summary state type launch_key"
).split()


def refusal(key: str, value: Any) -> str:
    with pytest.raises(ProtocolError) as caught:
        parse_request({"type": "Launch", key: value})
    return str(caught.value)


def test_the_table_is_complete() -> None:
    assert {*LIMITS, *FLAGS, *LISTS, *BYTES, *TEXTS} == {"type", *FIELDS}


@pytest.mark.parametrize(("key", "limit"), LIMITS.items())
def test_whole_numbers(key: str, limit: int) -> None:
    for value in (0, 1, limit):
        assert parse_request({key: value}) == {"type": "", key: value}
    words = f"invalid request: {key} must be a whole number from 0 to {limit}, got "
    bad: list[tuple[Any, str]] = [
        (-1, "-1"),
        (limit + 1, str(limit + 1)),
        (1.0, "1.0"),
        (1e30, "1e+30"),
        (float("inf"), "inf"),
        (10**4000, "a far larger number"),
        (-(10**5000), "a far smaller number"),
        (True, "true"),
        (False, "false"),
        ("1", "'1'"),
        ([1], "a list"),
        ({}, "an object"),
    ]
    for value, shown in bad:
        assert refusal(key, value) == words + shown


@pytest.mark.parametrize("key", FLAGS)
def test_flags(key: str) -> None:
    assert parse_request({key: False})[key] is False
    assert parse_request({key: True})[key] is True
    for value in (0, 1, "true", [], {}, 0.0):
        assert f"{key} must be true or false, got " in refusal(key, value)


@pytest.mark.parametrize("key", LISTS)
def test_lists_of_strings(key: str) -> None:
    for value in ([], ["a"], ["K=V", "", "é"]):
        assert parse_request({key: value})[key] == value
    for bad in ("a", 1, {}, ["a", 1], [None], [["a"]], True):
        assert f"{key} must be a list of strings, got " in refusal(key, bad)


@pytest.mark.parametrize("key", BYTES)
def test_byte_fields(key: str) -> None:
    assert parse_request({key: "aGkK"})[key] == b"hi\n"
    assert parse_request({key: [104, 105]})[key] == b"hi"
    for bad in ("aGk", "-_-_", [256], [True], 1, {}, True, 10**30):
        assert f"{key} must be standard base64, got " in refusal(key, bad)


@pytest.mark.parametrize("key", TEXTS)
def test_texts(key: str) -> None:
    assert parse_request({key: "x"})[key] == "x"
    for bad in (1, True, [], {}, 0.5):
        assert f"{key} must be a string, got " in refusal(key, bad)


def test_null_is_absent_and_unknown_keys_are_dropped() -> None:
    nulls: dict[str, Any] = dict.fromkeys(FIELDS)
    assert parse_request({**nulls, "type": None}) == {"type": ""}
    assert parse_request({}) == {"type": ""}
    assert parse_request({"type": "Kill", "ID": -1, "colour": "red"}) == {"type": "Kill"}


def test_large_values_are_not_repeated_in_errors() -> None:
    assert refusal("data", "%" * 100) == (
        "invalid request: data must be standard base64, got a string of 100 characters"
    )


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["type", *FIELDS]), JSON_VALUES, max_size=5))
def test_any_json_gives_typed_fields_or_a_protocol_error(message: dict[str, Any]) -> None:
    try:
        request = parse_request(message)
    except ProtocolError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 250
        return
    assert all(type(request[key]) is int for key in LIMITS if key in request)
    assert all(type(request[key]) is bool for key in FLAGS if key in request)
    assert all(type(request[key]) is list for key in LISTS if key in request)
    assert all(type(request[key]) is bytes for key in BYTES if key in request)
    assert all(type(request[key]) is str for key in TEXTS if key in request)


@settings(max_examples=50, deadline=None)
@given(JSON_VALUES)
def test_any_json_in_every_field(value: Any) -> None:
    for key in FIELDS:
        try:
            parse_request({"type": "Launch", key: value})
        except ProtocolError as error:
            assert str(error).startswith(f"invalid request: {key} must be ")
