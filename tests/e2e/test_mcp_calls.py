"""Tool calls of the MCP server while they last: side by side, cancelled, over a worker's end."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Any

import pytest

from codewire.client.reach.route import LocalRoute
from codewire.mcp.calls import CallClient
from codewire.mcp.server import Server
from codewire.paths import DataDir
from tests.e2e.test_mcp import RawServer, tool_call
from tests.processes import open_descriptors
from tests.support import Home, wait_until


def answers(server: RawServer, *ids: Any) -> list[dict[str, Any]]:
    """Return the answers to calls in progress, in the order of `ids`; progress is passed over."""
    found: dict[Any, list[dict[str, Any]]] = {}
    for _ in ids:
        while "id" not in (message := server.read()):
            assert message["method"] == "notifications/progress"
        found.setdefault(message["id"], []).append(message)
    return [found[request_id].pop(0) for request_id in ids]


def cancel(request_id: Any) -> dict[str, Any]:
    params = {"requestId": request_id}
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}


@pytest.mark.smoke
def test_calls_run_side_by_side_and_can_be_cancelled(node: Home) -> None:
    server = RawServer(node)
    server.call("launch_session", command=["sleep", "1000"], name="long")
    server.send(tool_call("wait_for", "waiting", session_id="long", timeout_seconds=0))
    assert server.call("list_sessions", "quick")["id"] == "quick"
    server.send(cancel("waiting"))
    # No answer to what was cancelled: the next answer is the next call's.
    assert server.call("list_sessions", "after")["id"] == "after"
    server.send(tool_call("wait_for", "again", session_id="long", timeout_seconds=0))
    server.send(tool_call("kill_session", "kill", session_id="long"))
    answers(server, "again", "kill")


def test_a_call_is_cancelled_however_soon(node: Home) -> None:
    """In this process, to make the step slow in which a cancellation could come too early."""
    session = node.client().launch(["sleep", "1000"])

    def slow_client() -> CallClient:
        time.sleep(0.2)
        return CallClient(LocalRoute(DataDir(node.data_dir)), print)

    (requests, to_server), (results, from_server) = os.pipe(), os.pipe()
    server = Server(requests, from_server, slow_client)
    serving = threading.Thread(target=server.run, daemon=True)
    serving.start()
    calls = [tool_call("wait_for", name, session_id=session) for name in ("cancelled", "other")]
    for message in (calls[0], cancel("cancelled"), calls[1]):
        os.write(to_server, json.dumps(message).encode() + b"\n")
    # The last of the three has been read: from here on a call may end by itself.
    wait_until(lambda: '"other"' in server._calls, 20, "everything is read")
    node.client().kill(session)
    with open(results, "rb") as answered:
        assert json.loads(answered.readline())["id"] == "other"
        os.close(to_server)
        serving.join(20)
        os.close(from_server)
        assert answered.read() == b""
    os.close(requests)


def test_the_end_of_a_call_leaves_another_of_the_same_id_alone(node: Home) -> None:
    server = RawServer(node)
    for _ in range(2):
        server.call("launch_session", command=["sleep", "1000"])
    server.send(*(tool_call("wait_for", "same", session_id=number) for number in (1, 2)))
    for number in (1, 2):
        server.send(tool_call("kill_session", "kill", session_id=number))
        ended, _ = answers(server, "same", "kill")
        (session,) = json.loads(ended["result"]["content"][0]["text"])
        assert session["id"] == number


def test_progress_is_reported_on_a_long_wait(node: Home) -> None:
    server = RawServer(node)
    server.call("launch_session", command=["sleep", "1000"])
    waiting = tool_call("wait_for", 9, session_id=1)
    waiting["params"]["_meta"] = {"progressToken": "p"}
    server.send(waiting)
    note = server.read()
    assert note["method"] == "notifications/progress"
    assert note["params"]["progressToken"] == "p"
    assert note["params"]["progress"] >= 5
    server.send(tool_call("kill_session", "kill", session_id=1))
    answers(server, 9, "kill")


def test_the_end_of_input_ends_the_server(node: Home) -> None:
    server = RawServer(node)
    server.ask("ping")
    assert server.process.stdin is not None
    server.process.stdin.close()
    assert server.process.wait(10) == 0


def test_a_node_is_started_and_found_again_after_it_stopped(home: Home) -> None:
    server = RawServer(home)
    launched = server.call("launch_session", command=["true"])
    assert launched["result"]["content"][0]["text"] == "Launched session 1"
    assert home.cw("stop").returncode == 0
    wait_until(lambda: not os.path.exists(home.socket), 20, "the node has stopped")
    sessions = json.loads(server.call("list_sessions")["result"]["content"][0]["text"])
    assert [s["id"] for s in sessions] == [1]


def test_a_worker_killed_under_a_waiting_call_is_not_noticed(node: Home) -> None:
    server = RawServer(node)
    server.call("launch_session", command=["sh", "-c", "read x; exit 5"])
    idle = open_descriptors(server.process.pid)
    server.send(tool_call("wait_for", "wait", session_id=1))
    wait_until(lambda: open_descriptors(server.process.pid) > idle, 20, "the call has connected")
    # The node accepts in turn: once it has said its pid, it has taken the call's connection too.
    os.kill(node.worker_pid, signal.SIGKILL)
    assert node.cw("send", "1", "go").returncode == 0
    answer = server.read()
    assert answer["id"] == "wait"
    assert json.loads(answer["result"]["content"][0]["text"])[0]["exit_code"] == 5
