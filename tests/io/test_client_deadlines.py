"""Clients against nodes that are silent, slow, or older than time-outs: they end in time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from codewire.client import Client
from codewire.client.reach import connection
from codewire.client.reach.connection import Redial, asked_again, timeout_fields
from codewire.client.reach.remote import WebRoute
from codewire.errors import (
    ConnectionLost,
    NodeSilent,
    NodeUnreachable,
    NoWorker,
    OutOfTime,
    RequestError,
    RequestTimedOut,
    UsageError,
)
from codewire.io.deadline import Deadline
from codewire.io.tcp import dial_tcp
from codewire.io.unix import connect_unix
from codewire.mcp.calls import until_out_of_time
from codewire.wire.features import FEATURES
from tests.io.scripted_node import Handler, NodeEnd, ScriptedNode

Start = Callable[..., Client]


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Call it with handlers to get a client of a node that does that, and a shortened patience."""
    monkeypatch.setattr(connection, "MARGIN_SECONDS", 0.1)
    monkeypatch.setattr("codewire.client.reach.asking.MARGIN_SECONDS", 0.1)
    nodes: list[ScriptedNode] = []

    def start(*handlers: Handler, prompt: float = 30.0) -> Client:
        monkeypatch.setattr(connection, "PROMPT_SECONDS", prompt)
        node = ScriptedNode(*handlers)
        nodes.append(node)
        monkeypatch.setenv("CODEWIRE_DIR", node.data_dir.root)
        return Client(autostart=False, notify=lambda line: None)

    yield start
    for node in nodes:
        node.close()


def says_nothing(end: NodeEnd) -> None:
    """Read the request and wait until the client has had enough."""
    end.receive_control()
    assert end.receive() is None


def knows_all(end: NodeEnd) -> None:
    assert end.receive_control() == {"type": "NodeStatus"}
    end.send_control({"type": "NodeStatus", "node": {}, "features": list(FEATURES)})


def drops(end: NodeEnd) -> None:
    end.receive_control()


def chatters(end: NodeEnd) -> None:
    """Answer with data that is no answer, as long as somebody reads it."""
    end.receive_control()
    with contextlib.suppress(OSError):
        while True:
            end.send_data(b"x")
            time.sleep(0.01)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.mark.parametrize("handler", [says_nothing, chatters])
def test_a_wait_keeps_its_time_out_without_the_node(silent: Start, handler: Handler) -> None:
    client = silent(handler)
    with within(15), pytest.raises(RequestError, match="^wait timed out$"):
        client.wait(1, timeout_seconds=0.3)


def test_waiting_for_text_keeps_it_too(silent: Start) -> None:
    client = silent(knows_all, says_nothing)
    with within(15), pytest.raises(RequestError, match="^wait timed out$"):
        client.wait_for_text(1, "x", timeout_seconds=0.3)


def test_output_without_the_text_does_not_prolong_it(silent: Start) -> None:
    def old_node(end: NodeEnd) -> None:
        """Follow the log, as an older node does that knows no time-out of following."""
        end.receive_control()
        with contextlib.suppress(OSError):
            while True:
                end.send_control({"type": "LogData", "data": "noise\n", "offset": 1})
                time.sleep(0.01)

    client = silent(knows_all, old_node)
    with within(15), pytest.raises(RequestError, match="^wait timed out$"):
        client.wait_for_text(1, "x", timeout_seconds=0.3)


def test_a_request_keeps_it_too(silent: Start) -> None:
    client = silent(says_nothing)
    with within(15), pytest.raises(RequestTimedOut, match=r"request timed out after 0\.3s"):
        client.request(1, "?", timeout_seconds=0.3)


def test_a_worker_that_dies_of_every_request_does_not_prolong_it(silent: Start) -> None:
    client = silent(*[drops] * 3, says_nothing)
    with within(15), pytest.raises(RequestError, match="^wait timed out$"):
        client.wait(1, timeout_seconds=0.6)


def test_a_node_that_is_gone_ends_it(silent: Start) -> None:
    with within(15), pytest.raises(RequestError, match="^wait timed out$"):
        silent(drops).wait(1, timeout_seconds=0.5)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.list_sessions(),
        lambda client: client.launch(["true"]),
        lambda client: client.status(1),
        lambda client: client.screen(1),
        lambda client: client.kv_set("k", b"v"),
        lambda client: client.kv_delete("k"),
        lambda client: client.kv_get("k"),
        lambda client: client.msg(1, "x"),
        lambda client: client.reply("req_1", "x"),
        lambda client: client.read_messages(1),
        lambda client: client.node_status(),
        lambda client: client.node_restart(),
        lambda client: list(client.logs(1)),
    ],
)
def test_what_is_no_wait_is_not_waited_for(silent: Start, ask: Callable[[Client], Any]) -> None:
    client = silent(says_nothing, prompt=0.2)
    with within(15), pytest.raises(NodeSilent, match=r"does not answer \(for 0\.\d+s\)"):
        ask(client)


def test_what_waits_for_a_program_waits_on(silent: Start) -> None:
    def slow(end: NodeEnd) -> None:
        end.receive_control()
        time.sleep(0.5)
        end.send_control({"type": "InputSent", "bytes": 1})

    assert silent(slow, prompt=0.1).send_input(1, b"x") == 1


def test_a_client_with_a_deadline_does_nothing_beyond_it(silent: Start) -> None:
    client = silent(says_nothing).until(Deadline.after(0.2))
    with within(15), pytest.raises(OutOfTime):
        client.find_sessions("name")
    assert client.until(Deadline.after(60)).deadline is client.deadline
    with within(15), pytest.raises(NodeUnreachable):
        client.list_sessions()


def test_a_stream_gives_what_it_has_until_its_time_is_up(silent: Start) -> None:
    def one_line(end: NodeEnd) -> None:
        end.receive_control()
        end.send_control({"type": "WatchUpdate", "output": "x", "status": "running", "offset": 1})
        assert end.receive() is None

    client = silent(one_line).until(Deadline.after(0.4))
    with within(15):
        assert [chunk.text for chunk in until_out_of_time(client.watch(1))] == ["x"]


def test_the_keeper_may_answer_for_a_worker_that_cannot_start(silent: Start) -> None:
    def keeper(end: NodeEnd) -> None:
        end.receive_control()
        end.send_control({"type": "Error", "message": "no worker: disk full", "code": "no_worker"})

    calls: list[Callable[[Client], Any]] = [
        lambda client: client.list_sessions(),
        lambda client: client.launch(["true"]),
        lambda client: client.wait(1),
        lambda client: client.request(1, "?"),
        lambda client: list(client.logs(1, follow=True)),
        lambda client: client.send_input(1, b"x", key="k"),
    ]
    client = silent(*[keeper] * len(calls))
    for call in calls:
        with within(15), pytest.raises(NoWorker, match="^no worker: disk full$"):
            call(client)


def test_a_lost_launch_is_not_repeated_to_a_keeper_without_a_worker(silent: Start) -> None:
    def keeper(end: NodeEnd) -> None:
        end.receive_control()
        end.send_control({"type": "Error", "message": "no worker", "code": "no_worker"})

    with within(15), pytest.raises(ConnectionLost, match=r"not known whether .*\(no worker\)"):
        silent(drops, keeper).launch(["true"])


def test_a_backlog_full_of_waiting_clients_is_not_waited_for(tmp_path: Any) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(0)
        waiting = connect_unix(path, 1.0)
        with within(15), pytest.raises(NodeSilent, match="too many clients wait already"):
            connect_unix(path, 0.2)
        waiting.close()


class _Deaf:
    """A TCP server that lets clients in and says nothing."""

    def __init__(self) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_dialling_a_node_that_says_nothing_ends_with_the_deadline(
    tmp_path: Any, scheme: str
) -> None:
    deaf = _Deaf()
    try:
        route = WebRoute(f"{scheme}://127.0.0.1:{deaf.port}/ws")
        with within(15), pytest.raises(NodeUnreachable, match=r"no answer within 0\.[23]"):
            route.open(Deadline.after(0.3))
        redial = Redial(route, None, Deadline.after(0.3))
        with within(15), pytest.raises(OutOfTime):
            redial.open()
    finally:
        deaf.sock.close()


def test_a_name_server_that_is_silent_is_part_of_dialling(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: over.wait(20))
    with within(15), pytest.raises(NodeUnreachable, match="timed out"):
        dial_tcp("name", 1, 0.2)
    over.set()


@pytest.mark.parametrize(
    ("seconds", "fields"),
    [
        (None, {}),
        (0, {}),
        (3, {"timeout_seconds": 3}),
        (3.0, {"timeout_seconds": 3}),
        (0.5, {"timeout_seconds": 1, "timeout_ms": 500}),
        (2.001, {"timeout_seconds": 3, "timeout_ms": 2001}),
        (0.0001, {"timeout_seconds": 1, "timeout_ms": 1}),
    ],
)
def test_time_outs_on_the_wire(seconds: float | None, fields: dict[str, Any]) -> None:
    assert timeout_fields(seconds) == fields


def test_what_is_asked_again_says_what_is_left() -> None:
    first = {"type": "Wait", "timeout_seconds": 9, "timeout_ms": 8500}
    assert asked_again({"type": "Wait"}, Deadline.after(None)) == {"type": "Wait"}
    again = asked_again(first, Deadline.after(4.2))
    assert again["timeout_seconds"] == 5
    assert 4000 < again["timeout_ms"] <= 4200
    # 0 would mean for ever.
    assert asked_again(first, Deadline.after(0)) == {"type": "Wait", **timeout_fields(0.001)}
    assert asked_again(first, Deadline.after(0))["timeout_ms"] == 1


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), True, "1", 1e300])
def test_seconds_are_checked_before_anything_is_sent(value: Any) -> None:
    client = Client(autostart=False)
    with pytest.raises(UsageError, match="timeout_seconds must be a number from 0"):
        client.wait(1, timeout_seconds=value)
    with pytest.raises(UsageError, match="timeout_seconds"):
        client.request(1, "x", timeout_seconds=value)
    with pytest.raises(UsageError, match="idle_seconds"):
        client.wait(1, idle_seconds=value)
    with pytest.raises(UsageError, match="if_idle_seconds"):
        client.send_input(1, b"x", if_idle_seconds=value)
