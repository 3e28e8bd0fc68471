"""Which sessions a relay has in which groups: brought to what the node has, whatever happens."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.errors import LaunchError, RelayUnreachable
from codewire.network.access import Access
from codewire.network.relay import Relay
from codewire.node import membership
from codewire.node.membership import Membership
from codewire.paths import DataDir
from codewire.session.events import EventBus
from codewire.session.life import State
from codewire.session.registry import Registry
from codewire.session.session import Session
from codewire.wire.events import CREATED, STATUS
from tests.io.relay.site import Site
from tests.processes import wait_until
from tests.unit.session.records import running


class Switch(Access):
    """The way to a relay that may be away."""

    is_away = False

    def as_node(self, seconds: float) -> Relay:
        if self.is_away:
            raise RelayUnreachable("away")
        return super().as_node(seconds)


class Stand:
    """A node's sessions and what tells a relay of their groups; `restart` is another worker."""

    def __init__(self, directory: Path, url: str, token: str) -> None:
        self.paths = DataDir(str(directory))
        self.point_to(url, token)
        self.problem = ""
        self.forgotten: list[str] = []
        self.sessions: Any = None
        self.start()

    def point_to(self, url: str, token: str, network: str = "proj") -> None:
        given = {"relay_url": url, "relay_node_token": token, "relay_node_network": network}
        text = "".join(f'{name} = "{value}"\n' for name, value in given.items())
        config = Path(self.paths.config)
        config.with_suffix(".new").write_text(text)
        os.replace(config.with_suffix(".new"), config)

    def start(self) -> None:
        before = self.sessions.registry.all() if self.sessions else []
        self.sessions = SimpleNamespace(registry=Registry(self.paths), bus=EventBus())
        for session in before:
            self.sessions.registry.add(session)
        self.access = Switch(self.paths.config)
        self.membership = Membership(
            self.paths.groups, self.access, self.sessions, self.tell, self.forgotten.append
        )

    def run(self) -> None:
        threading.Thread(target=self.membership.run, daemon=True).start()

    def tell(self, problem: str) -> None:
        self.problem = problem

    def launch(self, number: int, name: str, *tags: str) -> Session:
        session = Session(running(number, name=name, tags=list(tags)), "", "")
        self.sessions.registry.add(session)
        self.sessions.bus.publish(number, tags, CREATED, {})
        return session

    def end(self, session: Session) -> None:
        session.life.state = State.CLOSED
        self.sessions.bus.publish(session.id, (), STATUS, {})


def members(site: Site, group: str, network: str = "proj") -> list[str]:
    found = site.ok("GET", f"/api/v1/groups/{group}?network_id={network}").get("members", [])
    return [f"{one['node_name']}:{one['session_name']}" for one in found]


def make_group(site: Site, name: str, network: str = "proj") -> None:
    site.ok("POST", "/api/v1/groups", {"network_id": network, "name": name})


def url_of(site: Site) -> str:
    host, port = site.address
    return f"http://{host}:{port}"


@pytest.fixture
def stand(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    for name in [name for name in os.environ if name.startswith(("CODEWIRE_", "CW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("LOOK_SECONDS", "FIRST_PAUSE", "LAST_PAUSE", "AGAIN_SECONDS"):
        monkeypatch.setattr(membership, name, 0.05)
    yield Stand(tmp_path, url_of(site), site.enrol())


def test_the_relay_holds_what_the_node_has(site: Site, stand: Stand) -> None:
    make_group(site, "mesh")
    make_group(site, "other")
    first = stand.launch(1, "planner", "group:mesh", " group: other ")
    stand.launch(2, "coder", "x", "group:mesh")
    stand.launch(3, "", "group:mesh")
    stand.launch(4, "alone")
    stand.run()
    wait_until(lambda: members(site, "mesh") == ["dev-1:coder", "dev-1:planner"], 30)
    wait_until(lambda: members(site, "other") == ["dev-1:planner"], 30)
    stand.end(first)
    wait_until(lambda: members(site, "mesh") == ["dev-1:coder"], 30)
    wait_until(lambda: members(site, "other") == [], 30)
    assert {"planner", "coder"} == set(stand.forgotten)
    # The name again, in one of its groups only.
    stand.launch(5, "planner", "group:other")
    wait_until(lambda: members(site, "other") == ["dev-1:planner"], 30)
    assert members(site, "mesh") == ["dev-1:coder"]


def test_a_relay_that_was_away(site: Site, stand: Stand) -> None:
    make_group(site, "mesh")
    gone = stand.launch(1, "gone", "group:mesh")
    stand.run()
    wait_until(lambda: members(site, "mesh") == ["dev-1:gone"], 30)
    stand.access.is_away = True
    stand.end(gone)
    wait_until(lambda: stand.problem == "away", 30)
    stand.launch(2, "late", "group:mesh")
    stand.access.is_away = False
    wait_until(lambda: members(site, "mesh") == ["dev-1:late"], 30)
    wait_until(lambda: stand.problem == "", 30)


def test_a_node_that_moves_to_another_network(site: Site, stand: Stand) -> None:
    make_group(site, "mesh")
    stand.launch(1, "a", "group:mesh")
    stand.run()
    wait_until(lambda: members(site, "mesh") == ["dev-1:a"], 30)
    token = site.enrol(network="other")
    make_group(site, "mesh", "other")
    stand.point_to(url_of(site), token, "other")
    wait_until(lambda: members(site, "mesh", "other") == ["dev-1:a"], 30)


def test_another_worker_knows_what_the_relay_may_hold(site: Site, stand: Stand) -> None:
    make_group(site, "mesh")
    with pytest.raises(ZeroDivisionError), stand.membership.admitted("gone", ["group:mesh"]):
        raise ZeroDivisionError
    with stand.membership.admitted("stays", ["group:mesh"]):
        stand.launch(1, "stays", "group:mesh")
    # Its owner's word holds until the node begins anew.
    site.ok(
        "DELETE", "/api/v1/groups/mesh/members?network_id=proj&node_name=dev-1&session_name=stays"
    )
    assert members(site, "mesh") == ["dev-1:gone"]
    stand.start()
    stand.run()
    wait_until(lambda: members(site, "mesh") == ["dev-1:stays"], 30)


def test_a_group_that_is_not_there_is_said_and_tried_again(site: Site, stand: Stand) -> None:
    make_group(site, "mesh")
    stand.launch(1, "a", "group:nowhere", "group:mesh")
    stand.run()
    wait_until(lambda: stand.problem == 'group "nowhere" of a: group not found', 30)
    wait_until(lambda: members(site, "mesh") == ["dev-1:a"], 30)
    make_group(site, "nowhere")
    wait_until(lambda: members(site, "nowhere") == ["dev-1:a"], 30)
    wait_until(lambda: stand.problem == "", 30)


def test_a_launch_into_a_group_asks_before_anything_is_started(site: Site, stand: Stand) -> None:
    with (
        pytest.raises(LaunchError, match='group "mesh" does not exist in network proj') as refused,
        stand.membership.admitted("a", ["group:mesh"]),
    ):
        pytest.fail("started")
    assert "cw group create mesh" in str(refused.value)
    with (
        pytest.raises(LaunchError, match="group name may only contain"),
        stand.membership.admitted("a", ["group:no such"]),
    ):
        pytest.fail("started")
    make_group(site, "mesh")
    with stand.membership.admitted("a", ["group:mesh"]):
        # Already in: whoever the program writes to first may answer.
        assert members(site, "mesh") == ["dev-1:a"]
        stand.launch(1, "a", "group:mesh")
    with pytest.raises(ZeroDivisionError), stand.membership.admitted("b", ["group:mesh"]):
        raise ZeroDivisionError
    assert members(site, "mesh") == ["dev-1:a", "dev-1:b"]
    stand.run()
    wait_until(lambda: members(site, "mesh") == ["dev-1:a"], 30)


def test_without_the_relay_a_known_group_will_do(site: Site, stand: Stand) -> None:
    make_group(site, "mesh")
    with stand.membership.admitted("a", ["group:mesh"]):
        stand.launch(1, "a", "group:mesh")
    stand.start()
    stand.access.is_away = True
    with stand.membership.admitted("b", ["group:mesh"]):
        stand.launch(2, "b", "group:mesh")
    with (
        pytest.raises(LaunchError, match='group "other" cannot be looked up, so nothing was'),
        stand.membership.admitted("c", ["group:other"]),
    ):
        pytest.fail("started")
    # What one relay has says nothing of another.
    stand.point_to("http://127.0.0.1:1", "another")
    with (
        pytest.raises(LaunchError, match='group "mesh" cannot be looked up'),
        stand.membership.admitted("c", ["group:mesh"]),
    ):
        pytest.fail("started")


def test_a_node_that_is_not_enrolled_yet(site: Site, stand: Stand) -> None:
    make_group(site, "mesh")
    token = Path(stand.paths.config).read_text().split('"')[3]
    stand.point_to(url_of(site), "")
    threading.Timer(0.3, stand.point_to, (url_of(site), token)).start()
    with stand.membership.admitted("a", ["group:mesh"]):
        assert members(site, "mesh") == ["dev-1:a"]
