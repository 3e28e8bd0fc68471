"""Ways to a node that rooms above bring along: found by name, opened, put to use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.client import Client
from codewire.client.inside import own_session
from codewire.client.reach.connection import Redial
from codewire.client.reach.remote import WebRoute
from codewire.client.reach.route import LocalRoute, Route
from codewire.client.reach.servers import Options, Server, add_server
from codewire.commands import main, places
from codewire.errors import ConnectionLost, NodeUnreachable
from codewire.io.deadline import NEVER, Deadline
from codewire.io.streams import FrameStream
from codewire.wire.features import FEATURES
from tests.io.scripted_node import NodeEnd, ScriptedNode

# Stands for what carries bytes into a container: a child whose stdin and stdout is the node's end.
BRIDGE = """
import os, socket, sys, threading
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
def out():
    while data := sock.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=out).start()
while data := os.read(0, 65536):
    sock.sendall(data)
sock.shutdown(socket.SHUT_WR)
"""


class ChildRoute(Route):
    """A node reached through a child process; the directory `shared` is /workspace there."""

    __slots__ = ("children", "is_running", "path", "shared")

    patience = 0.0
    can_start = True

    def __init__(self, path: str, shared: str = "/nowhere") -> None:
        super().__init__(f"box {path}")
        self.path = path
        self.shared = shared
        self.is_running = True
        self.children: list[subprocess.Popen[bytes]] = []

    def __str__(self) -> str:
        return "the box"

    def open(self, deadline: Deadline = NEVER) -> FrameStream:
        if not self.is_running:
            raise NodeUnreachable("the box is stopped")
        ours, theirs = socket.socketpair()
        with theirs:
            argv = [sys.executable, "-c", BRIDGE, self.path]
            self.children.append(subprocess.Popen(argv, stdin=theirs, stdout=theirs))
        return FrameStream(ours)

    def start(self, notify: Callable[[str], None]) -> None:
        self.is_running = True
        notify("[cw] box started")

    def path_there(self, path: str) -> str | None:
        inside = os.path.relpath(path, self.shared)
        return None if inside.startswith("..") else os.path.normpath(f"/workspace/{inside}")


class Boxes(places.Place):
    """A place with one node, `box`."""

    def __init__(self, route: Route) -> None:
        self._route = route

    def find(self, name: str, options: Options) -> Route | None:
        return self._route if name == "box" else None

    def names(self) -> list[str]:
        return ["box"]

    def words(self, is_certain: bool) -> str:
        return "boxes: box"


def answer(end: NodeEnd) -> None:
    """Answer one request as a node would, saying what was asked."""
    request = end.receive_control()
    answers: dict[str, dict[str, Any]] = {
        "Launch": {"type": "Launched", "id": 4, "note": request.get("working_dir")},
        "ListSessions": {"type": "SessionList", "sessions": []},
        "NodeStatus": {"type": "NodeStatus", "node": {}, "features": list(FEATURES)},
    }
    end.send_control(answers[request["type"]])


@pytest.fixture
def open_box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Serve so many connections of a box, the only node there is, and return the way to it."""
    nodes: list[ScriptedNode] = []
    routes: list[ChildRoute] = []
    monkeypatch.setenv("CODEWIRE_DIR", str(tmp_path))
    monkeypatch.delenv("CODEWIRE_SERVER", raising=False)

    def serve(connections: int, shared: str = "/nowhere") -> ChildRoute:
        nodes.append(ScriptedNode(*[answer] * connections))
        routes.append(ChildRoute(nodes[-1].data_dir.socket, shared))
        boxes = Boxes(routes[-1])
        monkeypatch.setattr(places, "PLACES", (lambda: boxes, *places.PLACES))
        return routes[-1]

    yield serve
    for node in nodes:
        node.close()
    for child in (child for route in routes for child in route.children):
        child.wait(20)


def test_a_node_behind_a_child_process(open_box: Any) -> None:
    client = Client(route=open_box(2))
    assert client.list_sessions() == []
    assert client.knows("submit")


def test_what_a_route_can_start_is_started(open_box: Any) -> None:
    route, said = open_box(1), []
    route.is_running = False
    with pytest.raises(NodeUnreachable, match="the box is stopped"):
        Client(route=route, autostart=False).list_sessions()
    assert Client(route=route, notify=said.append).list_sessions() == []
    assert said == ["[cw] box started"]


def test_paths_are_what_they_are_there(open_box: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    route, said = open_box(3, str(tmp_path)), []
    client = Client(route=route, notify=said.append)
    client.launch(["true"])
    client.launch(["true"], working_dir="..")
    client.launch(["true"], working_dir="/elsewhere")
    found = [line.rpartition(": ")[2] for line in said]
    assert found == ["/workspace/src", "/workspace", "/elsewhere"]


def test_patience_is_the_routes(open_box: Any) -> None:
    route, said = open_box(0), []
    route.is_running = False
    with pytest.raises(ConnectionLost, match="node is gone: the box is stopped"):
        Redial(route, said.append).open()
    assert said == [f"[cw] connection to {route.key} lost; trying again"]


@pytest.mark.parametrize("words", [("list", "box"), ("--server", "box", "list")])
def test_a_name_leads_there_in_every_command(open_box: Any, capsys: Any, words: Any) -> None:
    open_box(1)
    assert main(list(words)) == 0
    assert capsys.readouterr().out == "No sessions\n"


def test_the_first_place_that_knows_a_name_counts(open_box: Any, tmp_path: Path) -> None:
    route = open_box(0)
    path = str(tmp_path / "servers.toml")
    add_server(path, "box", Server("ws://elsewhere", "t"))
    add_server(path, "far", Server("ws://far", "t"))
    (tmp_path / "config.toml").write_text("[node]\nname = 'here'\n")
    assert places.find_node("box", Options()) is route
    far = places.find_node("far", Options("mine"))
    assert isinstance(far, WebRoute) and far.token == "mine"
    assert isinstance(places.find_node("here", Options()), LocalRoute)
    assert places.find_node("here", Options(), only_elsewhere=True) is None
    assert places.find_node("nobody", Options()) is None
    assert places.node_names() == ["box", "far"]


def test_an_unknown_name_says_where_it_was_looked_for(open_box: Any, capsys: Any) -> None:
    open_box(0)
    assert main(["list", "nobody"]) == 1
    assert capsys.readouterr().err == (
        f'Error: unknown node "nobody": boxes: box; no servers are saved, and {places.NO_RELAY}\n'
    )


def test_sessions_elsewhere_are_none_that_this_process_is_in(monkeypatch: Any) -> None:
    monkeypatch.setenv("CW_SESSION_ID", "3")
    monkeypatch.delenv("CW_NODE_ID", raising=False)
    assert own_session(ChildRoute("/nowhere")) == (None, None)
