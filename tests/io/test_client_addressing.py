"""What a typed reference means, for a list of sessions (spec/cli.md 3)."""

from __future__ import annotations

from typing import Any, cast

import pytest

from codewire.client.addressing import oldest_unattached, resolve_session, resolve_session_or_tag
from codewire.client.api import Client
from codewire.errors import RequestError
from codewire.wire.answers.reading import read_each
from codewire.wire.answers.sessions import SessionInfo

SENT: list[dict[str, Any]] = [
    {"id": 1, "name": "bob", "status": "completed (0)", "tags": ["old", "bob"]},
    {"id": 2, "name": "bob", "status": "running", "attached": True},
    {"id": 3, "name": "bob", "status": "killed"},
    {"id": 4, "name": "done", "status": "completed (0)"},
    {"id": 5, "name": "done", "status": "completed (1)", "tags": ["worker", "group:a", "7x"]},
    {"id": 6, "status": "running", "attached": False, "tags": []},
    {"id": 7, "name": "123456789012", "status": "running", "attached": False},
]
SESSIONS = read_each(SessionInfo, SENT)


class Listing:
    """Stands in for a client: all that addressing asks of one is which sessions have a name."""

    def find_sessions(self, name: str = "", tag: str = "") -> list[SessionInfo]:
        """Everything that can be meant, and more: a node may not know how to choose."""
        assert name or tag
        return SESSIONS


CLIENT = cast(Client, Listing())


@pytest.mark.parametrize(
    ("ref", "session_id"),
    [
        ("4", 4),
        ("@4", 4),
        ("007", 7),
        ("99", 99),  # not checked here: the request will say so
        ("4294967295", 4294967295),
        ("bob", 2),  # the living one, though 3 is newer
        ("@bob", 2),
        ("done", 5),  # both finished: the newest
        ("123456789012", 7),  # too large for an id, so it is a name
    ],
)
def test_references_that_mean_a_session(ref: str, session_id: int) -> None:
    assert resolve_session(CLIENT, ref) == session_id
    assert resolve_session_or_tag(CLIENT, ref) == ("id", session_id)


@pytest.mark.parametrize(
    ("ref", "quoted"),
    [
        ("nobody", '"nobody"'),
        ("@nobody", '"nobody"'),
        ("@@bob", '"@bob"'),
        ("", '""'),
        ("@", '""'),
        ("Bob", '"Bob"'),
        ("worker", '"worker"'),
        ("-1", '"-1"'),
        ("4294967296", '"4294967296"'),
        ("9" * 5000, '"' + "9" * 5000 + '"'),
        ("٣", '"٣"'),  # a digit, but not one of ours
        ('a"b', r'"a\"b"'),
    ],
)
def test_references_that_mean_nothing(ref: str, quoted: str) -> None:
    with pytest.raises(RequestError) as raised:
        resolve_session(CLIENT, ref)
    assert str(raised.value) == f"no session named {quoted}"


@pytest.mark.parametrize("tag", ["worker", "old", "group:a", "7x"])
def test_a_word_that_names_no_session_may_be_a_tag(tag: str) -> None:
    assert resolve_session_or_tag(CLIENT, tag) == ("tag", tag)


def test_a_session_wins_over_a_tag() -> None:
    assert resolve_session_or_tag(CLIENT, "bob") == ("id", 2)


@pytest.mark.parametrize("ref", ["@worker", "", "@", "work"])
def test_neither_session_nor_tag(ref: str) -> None:
    with pytest.raises(RequestError, match=f'^no session or tag named "{ref}"$'):
        resolve_session_or_tag(CLIENT, ref)


def test_the_oldest_free_running_session_is_picked() -> None:
    assert oldest_unattached(SESSIONS).id == 6
    with pytest.raises(RequestError, match="^No unattached running sessions available$"):
        oldest_unattached(SESSIONS[:5])
