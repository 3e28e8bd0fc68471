"""MCP tools at a node that is older than this server, stops answering, or goes away meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from codewire.client.reach.route import LocalRoute
from codewire.errors import CodewireError
from codewire.mcp.arguments import read_arguments
from codewire.mcp.calls import CallClient
from codewire.mcp.toolbox import TOOLS
from tests.io.scripted_node import Handler, NodeEnd, ScriptedNode

Run = Callable[..., Any]
UNKNOWN = {"type": "Error", "message": "unknown request type: GetScreen"}
# A deadline may be kept a moment late, on a machine with other work.
GRACE_SECONDS = 5.0


@pytest.fixture
def run() -> Iterator[Run]:
    """Run a tool against a node that answers its connections with the given handlers."""
    nodes: list[ScriptedNode] = []

    def start(handlers: list[Handler], name: str, **arguments: Any) -> Any:
        nodes.append(ScriptedNode(*handlers))
        client = CallClient(LocalRoute(nodes[-1].data_dir), print)
        client._autostart = False
        tool = TOOLS[f"codewire_{name}"]
        return tool.run(client, read_arguments(tool.params, arguments))

    yield start
    for node in nodes:
        node.close(check=False)


def says(*messages: dict[str, Any], stays: bool = False) -> Handler:
    """Answer the request of a connection, then close it, or say nothing more."""

    def handler(end: NodeEnd) -> None:
        end.receive_control()
        for message in messages:
            end.send_control(message)
        while stays and end.sock.recv(1000):
            pass

    return handler


def update(text: str) -> dict[str, Any]:
    """What upstream's node sends: without an offset."""
    return {"type": "WatchUpdate", "status": "running", "output": text, "done": False}


def test_a_watch_of_a_node_that_freezes_returns_what_it_has(run: Run) -> None:
    began = time.monotonic()
    handlers = [says(UNKNOWN), says(update("one\r\n"), update("two\r\n"), stays=True)]
    texts = run(handlers, "watch_session", session_id=1, max_duration_seconds=2)
    assert texts == ["one\r\ntwo\r\n\n[Watch timeout]\n"]
    assert 1.9 < time.monotonic() - began < 2 + GRACE_SECONDS


def test_a_watch_of_a_node_that_never_answers_ends_in_time(run: Run) -> None:
    began = time.monotonic()
    handlers = [says(stays=True), says(stays=True)]
    texts = run(handlers, "watch_session", session_id=1, max_duration_seconds=0.5)
    assert texts == ["\n[Watch timeout]\n"]
    assert time.monotonic() - began < 0.5 + GRACE_SECONDS


def test_a_connection_lost_in_a_watch_costs_no_text(run: Run) -> None:
    handlers = [says(UNKNOWN), says(update("one\r\n"))]
    (text,) = run(handlers, "watch_session", session_id=1, max_duration_seconds=20)
    assert text.startswith("one\r\n\n[Watch ended early: connection lost")


def test_a_log_of_a_node_without_screens_is_text(run: Run) -> None:
    status = {"type": "SessionStatus", "info": {"id": 1, "status": "running"}, "output_size": 5}
    log = {"type": "LogData", "data": "hello", "done": True}
    reply = run([says(UNKNOWN), says(log), says(status)], "read_session_output", session_id=1)
    assert reply.texts[0] == "hello"
    assert reply.data["view"] == "log" and reply.data["status"] == "running"


def test_what_a_node_does_not_know_is_named(run: Run) -> None:
    old = says({"type": "Error", "message": "unknown request type: NodeStatus"})
    with pytest.raises(CodewireError, match="does not know .*older than this cw"):
        run([old], "send_input", session_id=1, input="x", key="once")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("wait_for", {"session_id": 1, "timeout_seconds": 0.3}),
        ("wait_for", {"session_id": 1, "text": "x", "timeout_seconds": 0.3}),
        ("prompt", {"session_id": 1, "text": "x", "timeout_seconds": 0.3}),
        ("request", {"to_name": "x", "body": "x", "timeout_seconds": 0.3}),
    ],
)
def test_a_time_out_is_kept_whatever_the_node_does(
    run: Run, monkeypatch: pytest.MonkeyPatch, tool: str, arguments: dict[str, Any]
) -> None:
    monkeypatch.setattr("codewire.client.reach.asking.MARGIN_SECONDS", 0.1)
    began = time.monotonic()
    with pytest.raises(CodewireError):
        run([says(stays=True)], tool, **arguments)
    assert time.monotonic() - began < 0.3 + GRACE_SECONDS
