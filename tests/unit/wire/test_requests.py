"""Every field of a request, with what it takes and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewire.errors import ProtocolError
from codewire.wire.control import decode_control
from codewire.wire.requests import FIELDS, REQUESTS, VERBS, check_outgoing, parse_request

# A second writing of spec/wire.md 5, and the optional fields of ours.
U16 = "cols rows choice"
U32 = "id to_id tail history_lines from_session"
U64 = "subscription_id timeout_seconds timeout_ms from_offset max_bytes idle_ms if_idle_ms"
FLAGS = "include_history follow strip_ansi full force mark_typed paste ansi screen_hash"
FLAGS += " brief dir_optional tree auto codes peek refuse submit prompt"
LISTS = "command env tags event_types states"
BYTES = "stdin_data data value"
TEXTS = (
    "working_dir name launch_key condition namespace key ttl to_name body request_id "
    "approval state_kind keys "
    "input_key expect_screen request_key history reply_token delivery verb audience_node "
    "sender_cap summary state from_node"
)
LIMITS = {
    **dict.fromkeys(U16.split(), 2**16 - 1),
    **dict.fromkeys(U32.split(), 2**32 - 1),
    **dict.fromkeys(U64.split(), 2**64 - 1),
}

DEEP: Any = []
for _ in range(5000):
    DEEP = [DEEP]

WRONG_NUMBERS = [
    -1,
    1.0,
    1e30,
    float("inf"),
    True,
    False,
    "5",
    "",
    [],
    [1],
    {},
    10**30,
    10**5000,
    DEEP,
]
WRONG_FLAGS = [0, 1, 1.0, "true", "", [], {}, DEEP]
WRONG_LISTS = ["a", "", 0, True, {}, [1], ["a", None], ["a", ["b"]], [True], DEEP]
WRONG_TEXTS = [0, 1.5, True, False, [], ["a"], {}, 10**5000, DEEP]
WRONG_BYTES = ["aGk", "a b=", "-_-_", [256], [-1], [1.0], ["a"], [None], 0, True, {}, DEEP]


def pairs(names: str, values: list[Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name in names.split() for value in values]


def kind(value: Any) -> str:
    """Name a value in a test's id; some are too deep or too long for repr."""
    return value if isinstance(value, str) else type(value).__name__


def refusal(message: dict[str, Any]) -> str:
    with pytest.raises(ProtocolError) as caught:
        parse_request(message)
    return str(caught.value)


def test_the_documented_fields_are_known() -> None:
    documented = {
        **{name: f"u{limit.bit_length()}" for name, limit in LIMITS.items()},
        **dict.fromkeys(FLAGS.split(), "flag"),
        **dict.fromkeys(LISTS.split(), "texts"),
        **dict.fromkeys(BYTES.split(), "bytes"),
        **dict.fromkeys(TEXTS.split(), "text"),
    }
    assert documented == {name: FIELDS[name] for name in documented}


@pytest.mark.parametrize(("name", "limit"), LIMITS.items())
def test_whole_numbers(name: str, limit: int) -> None:
    for value in (0, 1, limit):
        assert parse_request({"type": "X", name: value}) == {"type": "X", name: value}
    expected = f"invalid request: {name} must be a whole number from 0 to {limit}, got {limit + 1}"
    assert refusal({name: limit + 1}) == expected


@pytest.mark.parametrize(("name", "value"), pairs(" ".join(LIMITS), WRONG_NUMBERS), ids=kind)
def test_not_whole_numbers(name: str, value: Any) -> None:
    text = refusal({name: value})
    assert text.startswith(f"invalid request: {name} must be a whole number from 0 to ")
    assert len(text) < 150


@pytest.mark.parametrize("name", FLAGS.split())
def test_flags(name: str) -> None:
    assert parse_request({name: False}) == {"type": "", name: False}
    assert parse_request({name: True})[name] is True


@pytest.mark.parametrize(("name", "value"), pairs(FLAGS, WRONG_FLAGS), ids=kind)
def test_not_flags(name: str, value: Any) -> None:
    assert refusal({name: value}).startswith(f"invalid request: {name} must be true or false, got ")


@pytest.mark.parametrize("name", LISTS.split())
def test_lists(name: str) -> None:
    for value in ([], [""], ["a", "b\n", "a"]):
        assert parse_request({name: value})[name] == value


@pytest.mark.parametrize(("name", "value"), pairs(LISTS, WRONG_LISTS), ids=kind)
def test_not_lists(name: str, value: Any) -> None:
    text = refusal({name: value})
    assert text.startswith(f"invalid request: {name} must be a list of nothing but strings, got ")


@pytest.mark.parametrize("name", TEXTS.split())
def test_texts(name: str) -> None:
    for value in ("", "a\x00\n日本"):
        assert parse_request({name: value})[name] == value


@pytest.mark.parametrize(("name", "value"), pairs(TEXTS, WRONG_TEXTS), ids=kind)
def test_not_texts(name: str, value: Any) -> None:
    assert refusal({name: value}).startswith(f"invalid request: {name} must be a string, got ")


@pytest.mark.parametrize("name", BYTES.split())
def test_bytes(name: str) -> None:
    assert parse_request({name: "aGkK"})[name] == b"hi\n"
    assert parse_request({name: [104, 105, 0, 255]})[name] == b"hi\x00\xff"
    assert parse_request({name: ""})[name] == b""


@pytest.mark.parametrize(("name", "value"), pairs(BYTES, WRONG_BYTES), ids=kind)
def test_not_bytes(name: str, value: Any) -> None:
    assert refusal({name: value}).startswith(f"invalid request: {name}: n")


@pytest.mark.parametrize("name", FIELDS)
def test_null_is_absent(name: str) -> None:
    assert parse_request({"type": "X", name: None}) == {"type": "X"}


def test_unknown_keys_are_dropped() -> None:
    message = {"type": "Kill", "id": 3, "Id": -1, "later": {"x": DEEP}, "TAGS": 5}
    assert parse_request(message) == {"type": "Kill", "id": 3}


def test_a_request_keeps_the_fields_of_its_row_alone() -> None:
    message = {"type": "Kill", "id": 3, "tail": 5, "tree": True}
    assert parse_request(message) == {"type": "Kill", "id": 3, "tree": True}
    # A wrong one is refused all the same, as upstream does.
    assert refusal({"type": "Kill", "tail": -1}).startswith("invalid request: tail must be")


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_row_is_whole(kind: str) -> None:
    row = REQUESTS[kind]
    assert row.fields <= set(FIELDS) and row.verb in VERBS
    assert len(row.names.split()) == len(row.fields)
    assert not row.session or "id" in row.fields
    assert ("codes" in row.fields) == row.streams
    check_outgoing({"type": kind, **dict.fromkeys(row.fields)})
    with pytest.raises(ValueError, match=f"{kind} has no field"):
        check_outgoing({"type": kind, "no such": None})


def test_a_request_without_a_row_is_not_sent() -> None:
    with pytest.raises(ValueError, match="no request of type 'Unlisted'"):
        check_outgoing({"type": "Unlisted"})


@pytest.mark.parametrize("message", [{}, {"type": None}, {"type": ""}])
def test_no_type(message: dict[str, Any]) -> None:
    assert parse_request(message) == {"type": ""}


@pytest.mark.parametrize("value", [5, True, [], {}, DEEP, "x" * 101], ids=kind)
def test_bad_types(value: Any) -> None:
    assert refusal({"type": value}).startswith("invalid request: type ")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ('"tail":-1', "tail must be a whole number from 0 to 4294967295, got -1"),
        ('"tail":1e30', "tail must be a whole number from 0 to 4294967295, got 1e+30"),
        ('"tail":1.0', "tail must be a whole number from 0 to 4294967295, got 1.0"),
        ('"tail":true', "tail must be a whole number from 0 to 4294967295, got true"),
        ('"tail":1e999', "tail must be a whole number from 0 to 4294967295, got inf"),
        ('"id":[1]', "id must be a whole number from 0 to 4294967295, got a list"),
        ('"id":"1"', "id must be a whole number from 0 to 4294967295, got a string"),
        ('"cols":65536', "cols must be a whole number from 0 to 65535, got 65536"),
        ('"follow":{}', "follow must be true or false, got an object"),
        ('"command":"ls"', "command must be a list of nothing but strings, got a string"),
        ('"data":"aGk"', "data: not standard base64 with padding"),
        ('"data":[300]', "data: not a list of numbers from 0 to 255"),
        ('"data":7', "data: neither base64 nor a list of numbers"),
    ],
)
def test_texts_name_the_field_and_what_came(field: str, text: str) -> None:
    assert (
        refusal(decode_control(b'{"type":"X",%b}' % field.encode())) == f"invalid request: {text}"
    )


def test_private_text_is_not_repeated() -> None:
    assert "hunter2" not in refusal({"follow": "hunter2"}) + refusal({"data": "hunter2"})


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["type", *FIELDS]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2)
            ),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_any_message_is_parsed_or_refused_in_one_line(message: dict[str, Any]) -> None:
    try:
        request = parse_request(decode_control(json.dumps(message).encode()))
    except ProtocolError as error:
        assert "\n" not in str(error) and len(str(error)) < 200
    else:
        assert set(request) <= {"type", *FIELDS} and None not in request.values()
