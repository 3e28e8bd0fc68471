"""What is sent again, to whom, and what a node that does not know an option is spared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from codewire.client import Client
from codewire.client.reach.route import Route
from codewire.errors import ConnectionLost, RequestError, UsageError
from codewire.io.deadline import NEVER, Deadline
from codewire.io.streams import FrameStream
from codewire.wire.features import FEATURES
from tests.io.scripted_node import Handler, NodeEnd, ScriptedNode

Call = Callable[[Client], Any]


class Node:
    """A node that serves one request a connection and notes what arrives.

    `features` None is a node that does not know NodeStatus; requests of the type `loses` are read
    and lost, the first `times` of them.
    """

    def __init__(self, features: list[str] | None, loses: str = "", times: int = 99) -> None:
        self.features = features
        self.loses = loses
        self.times = times
        self.seen: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {
            "Launch": {"type": "Launched", "id": 4},
            "SendInput": {"type": "InputSent", "bytes": 1},
            "MsgSend": {"type": "MsgSent", "message_id": "msg_1"},
            "KVSet": {"type": "KVSetOK"},
            "LogData": {"type": "LogData", "done": True, "offset": 0},
        }

    def __call__(self, end: NodeEnd) -> None:
        request = end.receive_control()
        self.seen.append(request)
        kind = request["type"]
        if kind == "NodeStatus" and self.features is not None:
            end.send_control({"type": "NodeStatus", "node": {}, "features": self.features})
        elif kind == self.loses and self.times > 0:
            self.times -= 1
        elif kind in self.answers:
            end.send_control(self.answers[kind])
        else:
            end.send_control({"type": "Error", "message": f"unknown request type: {kind}"})

    def arrived(self, kind: str) -> int:
        """Return how often a request of this type has come."""
        return sum(request["type"] == kind for request in self.seen)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Node, int], Client]]:
    """Call it with a node and how many connections it serves; get a client of it."""
    nodes: list[ScriptedNode] = []

    def start(node: Handler, connections: int) -> Client:
        scripted = ScriptedNode(*[node] * connections)
        nodes.append(scripted)
        monkeypatch.setenv("CODEWIRE_DIR", scripted.data_dir.root)
        return Client(autostart=False, notify=print)

    yield start
    for scripted in nodes:
        scripted.close()


ACTIONS: list[tuple[str, Call]] = [
    ("Launch", lambda client: client.launch(["true"])),
    ("SendInput", lambda client: client.send_input(1, b"x", key="k")),
    ("MsgSend", lambda client: client.msg(1, "x")),
    ("KVSet", lambda client: client.kv_set("k", b"v")),
]


@pytest.mark.parametrize(("kind", "call"), ACTIONS)
def test_a_lost_action_is_repeated_to_a_node_that_knows_its_key(
    serve: Any, kind: str, call: Call
) -> None:
    node = Node(list(FEATURES), loses=kind, times=2)
    # What the node knows is asked once, before or after the loss.
    call(serve(node, 4))
    assert node.arrived(kind) == 3
    assert node.arrived("NodeStatus") == 1
    repeated = [request for request in node.seen if request["type"] == kind]
    assert repeated[0] == repeated[1] == repeated[2]


@pytest.mark.parametrize("features", [None, [], ["of another kind"]])
@pytest.mark.parametrize(("kind", "call"), [a for a in ACTIONS if a[0] != "SendInput"])
def test_a_lost_action_reaches_another_node_once(
    serve: Any, kind: str, call: Call, features: list[str] | None
) -> None:
    node = Node(features, loses=kind)
    client = serve(node, 2)
    with pytest.raises(ConnectionLost, match="not known whether it was done.*was sent once"):
        call(client)
    assert node.arrived(kind) == 1


@pytest.mark.parametrize("features", [None, []])
@pytest.mark.parametrize(
    ("option", "nothing", "call"),
    [
        ("--key", "nothing was typed", lambda c: c.send_input(1, b"x", key="k")),
        ("--if-idle", "nothing was typed", lambda c: c.send_input(1, b"x", if_idle_seconds=1)),
        (
            "--expect-screen",
            "nothing was typed",
            lambda c: c.send_input(1, b"x", expect_screen="h"),
        ),
        ("--size", "nothing was started", lambda c: c.launch(["true"], rows=3, cols=9)),
        ("--idle", "", lambda c: c.wait(1, idle_seconds=1)),
        ("--for", "", lambda c: c.wait_for_text(1, "x")),
        ("from_offset", "", lambda c: c.logs(1, from_offset=3)),
        ("from_offset", "", lambda c: c.watch(1, from_offset=3)),
    ],
)
def test_an_option_the_node_does_not_know_is_refused_first(
    serve: Any, option: str, nothing: str, call: Call, features: list[str] | None
) -> None:
    node = Node(features)
    client = serve(node, 1)
    with pytest.raises(UsageError) as raised:
        call(client)
    said = f"the local node does not know {option} (it is older than this cw)"
    assert str(raised.value) == said + (f"; {nothing}" if nothing else "")
    assert [request["type"] for request in node.seen] == ["NodeStatus"]


def test_a_node_that_was_brought_up_to_date_is_asked_again(serve: Any) -> None:
    node = Node(None)
    client = serve(node, 4)
    with pytest.raises(UsageError):
        client.send_input(1, b"x", key="k")
    node.features = list(FEATURES)
    assert client.send_input(1, b"x", key="k") == 1
    # And is believed from then on.
    assert client.send_input(1, b"x", key="k2") == 1
    assert node.arrived("NodeStatus") == 2


def test_plain_requests_ask_for_nothing_first(serve: Any) -> None:
    node = Node(None)
    client = serve(node, 3)
    assert client.launch(["true"]) == 4
    assert client.send_input(1, b"x") == 1
    client.kv_set("k", b"v")
    assert node.arrived("NodeStatus") == 0


# Where a launch on another node starts


class Far(Route):
    """The way to a node on another machine, which is this one."""

    def __init__(self, near: Route) -> None:
        super().__init__(f"far {near.key}")
        self._near = near

    def __str__(self) -> str:
        return "node far"

    def open(self, deadline: Deadline = NEVER) -> FrameStream:
        return self._near.open(deadline)


def launch_on(client: Client, **options: Any) -> list[str]:
    """Launch as on a remote node; return what was said."""
    said: list[str] = []
    client._notify = said.append
    client.route = Far(client.route)
    assert client.launch(["true"], **options) == 4
    return said


def test_a_remote_launch_takes_the_current_directory_along(serve: Any) -> None:
    node = Node(None)
    assert launch_on(serve(node, 1)) == []
    assert node.seen[0]["working_dir"] == os.getcwd()
    assert node.seen[0]["dir_optional"] is True


def test_a_node_of_ours_says_where_it_started_instead(serve: Any) -> None:
    node = Node(list(FEATURES))
    node.answers["Launch"] = {"type": "Launched", "id": 4, "note": "it runs in /home/u"}
    said = launch_on(serve(node, 1))
    assert said == [f"[cw] node far has no {os.getcwd()}: it runs in /home/u"]


def test_a_node_without_that_directory_is_asked_once_more(serve: Any) -> None:
    def go_node(end: NodeEnd) -> None:
        request = end.receive_control()
        seen.append(request)
        directory = request["working_dir"]
        if directory == "/":
            return end.send_control({"type": "Launched", "id": 4})
        text = f'working directory "{directory}" does not exist'
        return end.send_control({"type": "Error", "message": text})

    seen: list[dict[str, Any]] = []
    said = launch_on(serve(go_node, 2))
    assert [request["working_dir"] for request in seen] == [os.getcwd(), "/"]
    assert seen[0]["launch_key"] != seen[1]["launch_key"]
    assert said == [f"[cw] node far has no {os.getcwd()}: it runs in /"]


def test_a_directory_that_was_asked_for_is_never_replaced(serve: Any) -> None:
    node = Node(None)
    text = 'working directory "/none" does not exist'
    node.answers["Launch"] = {"type": "Error", "message": text}
    client = serve(node, 1)
    with pytest.raises(RequestError, match="does not exist"):
        launch_on(client, working_dir="/none")
    assert "dir_optional" not in node.seen[0]
