"""Requests of the peer RPC and the sessions they name (spec/peer.md 1.3, 1.4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire.errors import ProtocolError, RequestError
from codewire.wire.peers import (
    ROWS,
    Locator,
    make_request,
    parse_hello,
    parse_peer_request,
    read_locator,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"name": "planner"}, Locator("", None, "planner")),
        ({"node": "dev-1", "name": "@planner"}, Locator("dev-1", None, "planner")),
        ({"node": " dev-1 ", "id": 0}, Locator("dev-1", 0)),
        ({"id": 4294967295, "name": "", "more": 1}, Locator("", 4294967295)),
    ],
)
def test_a_locator_is_read_and_written(value: dict[str, Any], wanted: Locator) -> None:
    found = read_locator(value)
    assert found == wanted and read_locator(found.to_json()) == found


def test_a_locator_is_shown_as_it_is_typed() -> None:
    assert str(Locator("dev-1", name="planner")) == "dev-1:planner"
    assert (str(Locator("dev-1", 0)), str(Locator(name="planner"))) == ("dev-1:0", "planner")


def test_what_is_made_is_understood() -> None:
    locator = Locator("dev-1", 3)
    made = make_request("MsgRead", session=locator, observer_cap="cwog1", tail=None)
    assert made == {
        "type": "MsgRead",
        "session": {"node": "dev-1", "id": 3},
        "observer_cap": "cwog1",
    }
    assert parse_peer_request({"op_id": "1", "from": None, "new": 1, **made}) == {
        "op_id": "1",
        **made,
    }
    with pytest.raises(ValueError, match="body"):
        make_request("MsgRead", body="x")


@given(st.dictionaries(st.sampled_from(("type", "runtime_credential", "x")), JSON))
def test_any_hello_is_one_or_is_refused(message: dict[str, Any]) -> None:
    try:
        assert parse_hello({"type": "AuthHello", **message})
    except ProtocolError as error:
        assert str(error) == "peer authentication failed"


FIELDS = sorted({name for row in ROWS for name in row.names.split()} | {"op_id", "other"})


@given(st.sampled_from(ROWS), st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_request_is_one_or_is_refused(row: Any, fields: dict[str, Any]) -> None:
    try:
        found = parse_peer_request({"op_id": "1", **fields, "type": row.type})
    except ProtocolError:
        return
    assert set(found) <= {"type", "op_id", *row.names.split()} and None not in found.values()


@given(JSON)
def test_any_locator_is_one_or_is_refused(value: Any) -> None:
    try:
        found = read_locator(value)
    except RequestError:
        return
    assert (found.id is None) != (found.name == "")
