"""Who may write to whom on a node with a relay, and with one that is away."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.errors import LaunchError
from codewire.mail.party import NOBODY, elsewhere, here
from codewire.network import bindings
from codewire.network.answers import Binding
from codewire.node import membership
from codewire.node.grouping import Grouping
from codewire.paths import DataDir
from codewire.session.events import EventBus
from codewire.session.program import LaunchRequest
from codewire.session.registry import Registry
from codewire.session.session import Session
from tests.io.relay.site import Site
from tests.io.relay.test_membership import make_group, members, url_of
from tests.processes import wait_until
from tests.unit.session.records import running


class Stand:
    """The groups of a node that is enrolled at a relay."""

    def __init__(self, directory: Path, site: Site) -> None:
        self.site = site
        self.paths = DataDir(str(directory))
        Path(self.paths.config).write_text(
            f'relay_url = "{url_of(site)}"\nrelay_node_token = "{site.enrol()}"\n'
            'relay_node_network = "proj"\n'
        )
        self.sessions: Any = SimpleNamespace(registry=Registry(self.paths), bus=EventBus())
        self.facts: dict[str, Any] = {}
        self.grouping = Grouping(self.paths, self.sessions, self.facts)
        for group in ("mesh", "other"):
            make_group(site, group)

    def launch(self, number: int, name: str, *tags: str) -> Session:
        order = LaunchRequest(("x",), name=name, tags=tags)
        with self.grouping.admitted(order):
            session = Session(running(number, name=name, tags=list(tags)), "", "")
            self.sessions.registry.add(session)
        return session

    def policy(self, messages: str, debug: str = "observe-only") -> None:
        body = {"network_id": "proj", "messages_policy": messages, "debug_policy": debug}
        self.site.ok("PUT", "/api/v1/groups/mesh/policy", body)

    def add(self, session: str) -> None:
        body = {"network_id": "proj", "node_name": "dev-1", "session_name": session}
        self.site.ok("POST", "/api/v1/groups/mesh/members", body)


@pytest.fixture
def stand(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    for name in [name for name in os.environ if name.startswith(("CODEWIRE_", "CW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODEWIRE_DIR", str(tmp_path))
    monkeypatch.setattr(bindings, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(bindings, "AWAY_SECONDS", 0.0)
    yield Stand(tmp_path, site)


def test_members_hear_from_members_wherever_those_are(stand: Stand) -> None:
    member = stand.launch(1, "a", "group:mesh")
    other, stranger = stand.launch(2, "b", "group:other"), stand.launch(3, "c")
    may_reach = stand.grouping.may_reach
    assert may_reach(member, here(stand.launch(4, "d", "group:mesh")))
    assert may_reach(member, elsewhere("dev-2", "x", ["mesh"]))
    for sender in (here(other), here(stranger), NOBODY, elsewhere("dev-2", "x", ["other"])):
        assert not may_reach(member, sender), sender
    assert may_reach(stranger, here(member))
    # By hand, and without a tag on either side.
    stand.add("c")
    assert may_reach(member, here(stranger))
    assert not may_reach(stranger, here(other), 30)
    stand.policy("open", "none")
    assert may_reach(member, NOBODY)
    assert stand.grouping.bindings(member, 30) == (Binding("mesh", "open", "none"),)


def test_without_the_relay_the_last_word_counts_or_else_the_tags(stand: Stand) -> None:
    member = stand.launch(1, "a", "group:mesh")
    stand.policy("open")
    assert stand.grouping.may_reach(member, NOBODY)
    unheard = Session(running(2, name="b", tags=["group:mesh"]), "", "")
    stand.site.relay.stop()
    assert stand.grouping.may_reach(member, NOBODY)
    assert not stand.grouping.may_reach(unheard, NOBODY)
    assert stand.grouping.may_reach(unheard, elsewhere("dev-2", "x", ["mesh"]))
    tags = Binding("mesh", "internal-only", "observe-only")
    assert stand.grouping.bindings(unheard) == (tags,)


def test_a_recipient_without_a_group_is_looked_up_for_the_next_one(stand: Stand) -> None:
    session = stand.launch(1, "a")
    stand.launch(2, "b", "group:other")
    stand.add("a")
    wait_until(lambda: not stand.grouping.may_reach(session, NOBODY), 30)


def test_a_launch_that_would_fail_anyway_asks_nobody(stand: Stand) -> None:
    stand.launch(1, "a", "group:other")
    # Its name is taken: it must not come to be in that group.
    with stand.grouping.admitted(LaunchRequest(("x",), name="a", tags=("group:mesh",))):
        pass
    with (
        pytest.raises(LaunchError, match="invalid name"),
        stand.grouping.admitted(LaunchRequest(("x",), name="-", tags=("group:mesh",))),
    ):
        pass
    assert members(stand.site, "mesh") == []


def test_a_node_without_a_relay_keeps_its_groups_to_itself(stand: Stand) -> None:
    Path(stand.paths.config).write_text("")
    member = stand.launch(1, "a", "group:nowhere")
    assert not stand.grouping.may_reach(member, NOBODY)
    assert stand.grouping.may_reach(member, here(stand.launch(2, "b", "group:nowhere")))
    assert not Path(stand.paths.groups).exists()


def test_what_is_wrong_is_shown_until_it_is_right(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "AGAIN_SECONDS", 0.05)
    session = Session(running(1, name="a", tags=["group:later"]), "", "")
    stand.sessions.registry.add(session)
    threading.Thread(target=stand.grouping.run, daemon=True).start()
    wait_until(lambda: stand.facts.get("groups") == 'group "later" of a: group not found', 30)
    make_group(stand.site, "later")
    wait_until(lambda: "groups" not in stand.facts, 30)
    assert members(stand.site, "later") == ["dev-1:a"]
