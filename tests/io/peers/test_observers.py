"""Somebody else reads along: a relay, a node's uplink and peer RPC, and two people's commands."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.config import load_settings
from codewire.io.clock import CLOCK
from codewire.network import bindings
from codewire.node import uplink
from codewire.node.grouping import Grouping
from codewire.node.peers.serving import Peers
from codewire.node.uplink import Uplink
from codewire.paths import DataDir
from tests.io.network.commandline import CommandLine
from tests.io.network.conftest import ann, bob, site, url, user
from tests.io.relay.site import Site
from tests.processes import wait_until
from tests.unit.session.test_mailbox import Office

__all__ = ["ann", "bob", "site", "url", "user"]

# A revoked grant is refused by then: within five seconds, where the machine has no other work.
SOON = 15.0


class Node:
    """`dev-1` with the sessions `planner` and `coder`, connected to the relay."""

    def __init__(self, root: Path, url: str, token: str) -> None:
        root.mkdir()
        self.paths = DataDir(str(root))
        self.office = Office(root)
        for number, name in ((1, "planner"), (2, "coder")):
            self.office.sessions.registry.get(number).record.name = name
        Path(self.paths.config).write_text(
            f'relay_url = "{url}"\nrelay_node_token = "{token}"\nrelay_node_network = "proj"\n'
            '[node]\nname = "dev-1"\n'
        )
        self.facts: dict[str, Any] = {}
        node: Any = SimpleNamespace(
            paths=self.paths, sessions=self.office.sessions, mailbox=self.office.box,
            settings=load_settings("", {"CODEWIRE_NODE_NAME": "dev-1"}), relay=self.facts,
            grouping=Grouping(self.paths, self.office.sessions, self.facts),
        )  # fmt: skip
        self.peers = Peers(node, CLOCK)
        self._uplink = Uplink(node, self.peers)
        threading.Thread(target=self._uplink.run, daemon=True).start()
        wait_until(lambda: self.facts.get("state") == "connected", 30, "the node is connected")

    def say(self, body: str) -> None:
        """Have `planner` send something to `coder`: it is in both inboxes."""
        self.office.box.send(self.office.draft(body))

    def close(self) -> None:
        self._uplink.stop()


@pytest.fixture
def node(
    tmp_path: Path, site: Site, url: str, ann: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Node]:
    monkeypatch.setattr(uplink, "LOOK_SECONDS", 0.2)
    node = Node(tmp_path / "dev-1", url, site.enrol())
    yield node
    node.close()


@pytest.fixture
def observer(ann: CommandLine, bob: CommandLine, node: Node) -> CommandLine:
    """Bob, a member of Ann's network."""
    bob.cw("network", "join", ann.cw("network", "invite").out.strip())
    bob.cw("network", "use", "proj")
    return bob


def grant(ann: CommandLine, *options: str, to: str = "oidc:bob") -> dict[str, Any]:
    found: dict[str, Any] = ann.cw(
        "access", "grant", "dev-1:planner", "--to", to, "--json", *options
    ).json
    return found


def test_a_member_reads_by_a_grant_and_by_nothing_else(
    ann: CommandLine, observer: CommandLine, node: Node
) -> None:
    node.say("hello")
    said = observer.run("inbox", "dev-1:planner").error
    assert said == ("remote inbox reads require --grant <token> or an accepted matching grant: "
                    "no accepted grant found for dev-1:planner")  # fmt: skip
    given = grant(ann)
    token = given["delegation"]
    shown = observer.cw("inbox", "dev-1:planner", "--grant", token).out
    assert shown.endswith("planner → coder: hello\n")
    # Not another session, nor under another name, nor for Ann herself, whose node it is.
    assert observer.run("inbox", "dev-1:coder", "--grant", token).error == (
        "observer grant session name mismatch"
    )
    assert ann.run("inbox", "dev-1:planner", "--grant", token).error == (
        "observer grant audience mismatch"
    )
    # Accepted once, it is found.
    observer.cw("access", "accept", token)
    assert observer.cw("inbox", "dev-1:planner").out == shown
    assert observer.cw("--server", "dev-1", "inbox", "planner").out == shown


def test_what_is_revoked_is_refused_within_seconds(
    ann: CommandLine, observer: CommandLine, node: Node
) -> None:
    given = grant(ann)
    read = ("inbox", "dev-1:planner", "--grant", given["delegation"])
    assert observer.cw(*read).out == "No messages\n"
    observer.cw("access", "accept", given["delegation"])
    ann.cw("access", "revoke", given["grant_id"])
    revoked_at = time.monotonic()
    wait_until(lambda: observer.run(*read).status == 1, SOON, "it is refused")
    assert time.monotonic() - revoked_at < SOON
    assert observer.run(*read).error == "observer grant revoked"
    # Of the accepted ones it is gone.
    said = observer.run("listen", "--session", "dev-1:planner").error
    assert said.startswith("remote message subscriptions require --grant <token> or an accepted")
    assert observer.cw("access", "list", "--accepted").out == "No accepted access grants\n"


def test_a_group_without_debugging_refuses_everybody(
    ann: CommandLine, observer: CommandLine, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bindings, "FRESH_SECONDS", 0.0)
    read = ("inbox", "dev-1:planner", "--grant", grant(ann)["delegation"])
    ann.cw("group", "create", "mesh")
    ann.cw("group", "add", "mesh", "dev-1:planner")
    assert observer.cw(*read).out == "No messages\n"
    ann.cw("group", "policy", "mesh", "--debug", "none")
    assert observer.run(*read).error == "group policy forbids looking at this session's messages"
    ann.cw("group", "policy", "mesh", "--debug", "full")
    assert observer.cw(*read).out == "No messages\n"


def test_watch_of_somebody_elses_node_follows_the_messages(
    ann: CommandLine, observer: CommandLine, node: Node
) -> None:
    # Without a grant the output is asked for, which is the owner's alone.
    assert "only the node's owner may use it" in observer.run("watch", "dev-1:planner").error
    given = grant(ann, "--listen")
    observer.cw("access", "accept", given["delegation"])
    bus = node.office.sessions.bus

    def talk() -> None:
        wait_until(lambda: bool(node.peers.gate._watchers), 30, "somebody listens")
        node.say("hello")
        wait_until(lambda: not any(one._queue for one in bus._subscriptions), 30, "it is taken")
        node.peers.gate.revoke("proj", given["grant_id"])

    talker = threading.Thread(target=talk)
    talker.start()
    watched = observer.run("watch", "dev-1:planner")
    talker.join(30)
    assert watched.status == 1 and watched.out == "[planner → coder] hello\n"
    assert "a grant shows a session's messages, not its output" in watched.err
    assert "observer grant revoked" in watched.err


def test_a_node_without_keys_makes_the_networks_first(node: Node) -> None:
    """So that it has some before anybody comes, and before the relay goes."""
    wait_until(lambda: Path(node.paths.relay_keys).exists(), 20, "the node has keys")
