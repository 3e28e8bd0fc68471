"""IssueSenderDelegation: whom a node vouches for, to whom, and what the relay signs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.credentials.claims import SenderClaims
from codewire.credentials.envelope import peek
from codewire.errors import RequestError
from codewire.node.caller import Caller, Kind
from codewire.node.handlers import delegation
from codewire.node.handlers.delegation import issue
from codewire.paths import DataDir
from codewire.session.life import State
from codewire.session.registry import Registry
from codewire.session.session import Session
from tests.io.relay.site import Site
from tests.io.relay.test_membership import make_group, url_of
from tests.unit.session.records import running

USER = Caller(Kind.LOCAL, "user")


class Stand:
    """A node with session 1 `planner`, in a group, 2 without a name, and 3 that has ended."""

    def __init__(self, directory: Path, site: Site) -> None:
        paths = DataDir(str(directory))
        self.config = Path(paths.config)
        self.config.write_text(
            f'relay_url = "{url_of(site)}"\nrelay_node_token = "{site.enrol()}"\n'
        )
        registry = Registry(paths)
        for number, name in ((1, "planner"), (2, ""), (3, "old")):
            record = running(number, name=name)
            # Session 2 is this process's: whoever asks from it is in that.
            record.pid = os.getpid() if number == 2 else 1 << 30
            registry.add(Session(record, "", ""))
        registry.get(3).life.state = State.CLOSED
        self.node: Any = SimpleNamespace(paths=paths, sessions=SimpleNamespace(registry=registry))

    def issue(self, caller: Caller = USER, **request: Any) -> dict[str, Any]:
        given = {"verb": "msg", "audience_node": "dev-2", **request}
        return issue(self.node, {"type": "IssueSenderDelegation", **given}, caller)


@pytest.fixture
def stand(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    for name in [name for name in os.environ if name.startswith(("CODEWIRE_", "CW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield Stand(tmp_path, site)


def test_a_delegation_is_of_one_session_for_one_verb_to_one_node(site: Site, stand: Stand) -> None:
    make_group(site, "mesh")
    body = {"network_id": "proj", "node_name": "dev-1", "session_name": "planner"}
    site.ok("POST", "/api/v1/groups/mesh/members", body)
    answer = stand.issue(name="@planner", verb="request")
    token = answer.pop("sender_cap")
    assert answer == {
        "type": "SenderDelegationIssued", "from_id": 1, "from_name": "planner",
        "from_node": "dev-1",
    }  # fmt: skip
    claims = peek(token, SenderClaims)
    assert (claims.network_id, claims.source_node) == ("proj", "dev-1")
    assert (claims.from_session_id, claims.from_session_name) == (1, "planner")
    assert (claims.verbs, claims.audience_node) == (("request",), "dev-2")
    assert claims.source_groups == ("mesh",)
    nameless = peek(stand.issue(id=2)["sender_cap"], SenderClaims)
    assert (nameless.from_session_id, nameless.from_session_name) == (2, "")


def test_who_is_in_a_session_speaks_for_that_alone(stand: Stand) -> None:
    inside = Caller(Kind.LOCAL, "user", pid=os.getpid)
    assert stand.issue(inside, id=2)["from_id"] == 2
    with pytest.raises(RequestError, match="session 2 may not send to other nodes as session 1"):
        stand.issue(inside, id=1)
    elsewhere = Caller(Kind.TOKEN, "10.0.0.1")
    assert stand.issue(elsewhere, id=1)["from_id"] == 1


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"id": 1, "verb": "read"}, 'unknown verb "read"'),
        ({"id": 1, "audience_node": ""}, "audience_node required"),
        ({}, "session id or name required"),
        ({"id": 9}, "session 9 not found"),
        ({"name": "nobody"}, 'no session named "nobody"'),
        ({"id": 3}, "session 3 is not running"),
    ],
)
def test_what_is_refused(stand: Stand, request_: dict[str, Any], text: str) -> None:
    with pytest.raises(RequestError, match=text):
        stand.issue(**request_)


def test_without_a_relay(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delegation, "ISSUE_SECONDS", 2.0)
    stand.config.write_text("")
    with pytest.raises(RequestError, match="relay is not configured"):
        stand.issue(id=1)
    stand.config.write_text('relay_url = "http://127.0.0.1:1"\n')
    with pytest.raises(RequestError, match="relay node token is not configured"):
        stand.issue(id=1)
    stand.config.write_text('relay_url = "http://127.0.0.1:1"\nrelay_node_token = "x"\n')
    with pytest.raises(RequestError, match="no sender delegation: ") as refused:
        stand.issue(id=1)
    assert refused.value.code == "unavailable"
