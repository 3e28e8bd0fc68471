"""A node that lets clients in but does not answer: they say so instead of waiting for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from codewire.client.reach import connection
from codewire.errors import NodeSilent, RequestError, RequestTimedOut
from tests.e2e.test_mcp import RawServer, tool_call
from tests.support import Home, running_home, wait_until


@contextlib.contextmanager
def stopped_worker(node: Home) -> Iterator[int]:
    """Stop the worker, and let it go on whatever happens."""
    pid = node.worker_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_stopped_worker_is_reported_and_can_be_replaced(
    node: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PROMPT_SECONDS", 0.5)
    stuck = node.worker_pid
    client = node.client()
    os.kill(stuck, signal.SIGSTOP)
    wanted = rf"does not answer .*worker \(pid {stuck}\) is stopped \(T\); 'kill -CONT {stuck}'"
    with pytest.raises(NodeSilent, match=f"{wanted}.*node restart"):
        client.list_sessions()
    # Who does something without a time-out is not left waiting either.
    with pytest.raises(NodeSilent, match=wanted):
        client.send_input(1, b"x")
    # The restart does not depend on the worker it replaces.
    monkeypatch.setattr(connection, "PROMPT_SECONDS", 20.0)
    assert node.cw("node", "restart").returncode == 0
    wait_until(lambda: not os.path.exists(f"/proc/{stuck}"), 20, "the stuck worker is gone")
    assert client.list_sessions() == []


def test_a_stopped_keeper_is_named(node: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker lists and types without it; what is to be started waits for it."""
    keeper = node.keeper_pid
    client = node.client()
    os.kill(keeper, signal.SIGSTOP)
    try:
        assert client.list_sessions() == []
        monkeypatch.setattr(connection, "PROMPT_SECONDS", 0.5)
        with pytest.raises(NodeSilent, match=rf"keeper \(pid {keeper}\) is stopped; 'kill -CONT"):
            client.launch(["true"])
    finally:
        os.kill(keeper, signal.SIGCONT)
    monkeypatch.setattr(connection, "PROMPT_SECONDS", 20.0)
    wait_until(client.list_sessions, 20, "what was asked for is done")


@pytest.mark.long
def test_commands_keep_their_time_outs_when_the_worker_is_stopped() -> None:
    """All at once: each takes the 10 s a silent node is given, or its own time-out."""
    with running_home() as node:
        check_commands(node)


def check_commands(node: Home) -> None:
    node.launch("sh", "-c", "read x; exit 5", name="long")
    server = RawServer(node)
    server.ask("ping")
    patient = node.popen("wait", "1", "--exit-status")
    commands = [
        ("wait", "1", "--timeout", "1"),
        ("wait", "long", "--timeout", "0.5"),
        ("wait", "1", "--for", "x", "--timeout", "1"),
        ("wait", "1", "--idle", "9", "--timeout", "1"),
        ("request", "1", "?", "--timeout", "1"),
        ("watch", "1", "--timeout", "1"),
        ("list",),
        ("launch", "--", "true"),
        ("kv", "set", "k", "v"),
        ("logs", "1"),
    ]
    with stopped_worker(node) as pid:
        started = time.monotonic()
        running = [node.popen(*command) for command in commands]
        calls = [
            tool_call("wait_for", "wait", session_id=1, timeout_seconds=1),
            tool_call("request", "request", to_session_id=1, body="?", timeout_seconds=0.5),
            tool_call("watch_session", "watch", session_id=1, max_duration_seconds=1),
        ]
        server.send(*calls)
        answers = {answer["id"]: answer["result"] for answer in (server.read() for _ in calls)}
        assert "wait timed out" in answers["wait"]["content"][0]["text"]
        assert "timed out after 0.5s" in answers["request"]["content"][0]["text"]
        assert "[Watch timeout]" in answers["watch"]["content"][0]["text"]
        outcomes = [(*process.communicate(timeout=25), process.returncode) for process in running]
        # A wait without a time-out says what is the matter, and goes on when the worker does.
        assert patient.stderr is not None
        assert b"[cw] still waiting, but the node does not answer" in patient.stderr.readline()
        assert time.monotonic() - started < 25
    for command, (_, errors, status) in zip(commands, outcomes, strict=True):
        text = errors.decode()
        if command[0] == "watch":
            assert (status, "watch timeout reached" in text) == (0, True), text
        else:
            # Whoever set a time gets the code for that, whatever the reason.
            code = 124 if "--timeout" in command else 1
            assert (status, f"(pid {pid}) is stopped (T)" in text) == (code, True), (command, text)
            # The worker finds the request when it goes on, whoever has left.
            is_action = command[0] in ("launch", "kv", "request")
            assert ("may still be done" in text) == is_action, text
    assert node.cw("send", "1", "go").returncode == 0
    assert patient.wait(20) == 5


def test_a_wait_that_is_under_way_keeps_its_time_out(
    node: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = node.client(notify=lambda line: None)
    session = client.launch(["cat"])
    # By the node's own clock, to a fraction of a second.
    started = time.monotonic()
    with pytest.raises(RequestError, match="^wait timed out$"):
        client.wait(session, timeout_seconds=0.3)
    with pytest.raises(RequestTimedOut, match=r"^request req_\S+ timed out after 0.2s$"):
        client.request(session, "?", timeout_seconds=0.2, sender=session, delivery="inbox")
    assert time.monotonic() - started < 5
    monkeypatch.setattr("codewire.client.reach.asking.MARGIN_SECONDS", 0.1)
    with stopped_worker(node) as pid, pytest.raises(RequestError, match=f"timed out: .*pid {pid}"):
        client.wait(session, timeout_seconds=0.2)
