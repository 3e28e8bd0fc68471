"""Client calls against a scripted node: what is sent, what is refused, what is repeated."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from codewire.client import Client
from codewire.client.reach.remote import WebRoute
from codewire.client.reach.servers import websocket_url
from codewire.errors import (
    ConfigError,
    ConnectionLost,
    NodeUnreachable,
    ProtocolError,
    RequestError,
    UsageError,
)
from codewire.wire.features import FEATURES
from tests.io.scripted_node import Handler, NodeEnd, ScriptedNode

Scripted = Callable[..., Client]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """Call it with handlers to get a client of a node that does just that."""
    nodes: list[ScriptedNode] = []

    def start(*handlers: Handler) -> Client:
        node = ScriptedNode(*handlers)
        nodes.append(node)
        monkeypatch.setenv("CODEWIRE_DIR", node.data_dir.root)
        return Client(autostart=False)

    yield start
    for node in nodes:
        node.close()


@pytest.fixture
def absent(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client of a node that does not run: it must refuse before it connects."""
    monkeypatch.setenv("CODEWIRE_DIR", str(tmp_path / "none"))
    return Client(autostart=False)


def answers(message: dict[str, Any], seen: list[dict[str, Any]] | None = None) -> Handler:
    """A handler that notes the request and gives this answer."""

    def handle(end: NodeEnd) -> None:
        request = end.receive_control()
        if seen is not None:
            seen.append(request)
        end.send_control(message)

    return handle


# A node of this version says what it knows, on a connection of its own.
KNOWS_ALL = answers({"type": "NodeStatus", "node": {}, "features": list(FEATURES)})


def drops(end: NodeEnd) -> None:
    """A handler whose worker dies with the request in its hands."""
    end.receive_control()


@pytest.mark.parametrize("value", [-1, 2**32, 1.5, 1e30, True, "3", [1], None])
def test_an_id_is_a_number_a_session_can_have(absent: Client, value: Any) -> None:
    for call in (absent.status, absent.kill, absent.logs, absent.watch):
        with pytest.raises(UsageError, match="session id must be a whole number"):
            call(value)


@pytest.mark.parametrize("value", [-1, 2**32, 2.0, False, "1"])
def test_counts_are_checked_before_anything_is_sent(absent: Client, value: Any) -> None:
    with pytest.raises(UsageError, match="tail must be a whole number from 0 to 4294967295, got"):
        absent.logs(1, tail=value)
    with pytest.raises(UsageError, match="history_lines"):
        absent.watch(1, history_lines=value)
    with pytest.raises(UsageError, match="rows"):
        absent.launch(["true"], rows=value)


@pytest.mark.parametrize("value", [-1, 2**64, "5"])
def test_offsets_and_times_are_checked_too(absent: Client, value: Any) -> None:
    with pytest.raises(UsageError, match="from_offset"):
        absent.logs(1, from_offset=value)
    with pytest.raises(UsageError, match="timeout_seconds"):
        absent.wait(1, timeout_seconds=value)


def test_wait_needs_something_to_wait_for(absent: Client) -> None:
    with pytest.raises(UsageError, match="a session or a tag"):
        absent.wait()
    with pytest.raises(UsageError, match="condition must be all or any"):
        absent.wait(1, condition="some")


def test_env_without_a_value_is_refused(absent: Client) -> None:
    with pytest.raises(UsageError, match="KEY=VALUE, got 'PATH'"):
        absent.launch(["true"], env=["PATH"])


def test_no_node_is_one_clear_line(absent: Client) -> None:
    with pytest.raises(NodeUnreachable, match="connecting to local socket: .*no such file"):
        absent.list_sessions()


def test_launch_sends_only_what_was_given(scripted: Scripted) -> None:
    seen: list[dict[str, Any]] = []
    client = scripted(answers({"type": "Launched", "id": 7}, seen))
    own = {"PATH": "/bin"}
    launch = client.launch
    assert launch(["echo", "hi"], name="bob", tags=["t"], stdin_data=b"\xff", environ=own) == 7
    assert len(seen[0].pop("launch_key")) == 24
    assert sorted(seen[0].pop("env")) == ["COLORTERM=truecolor", "PATH=/bin", "TERM=xterm-256color"]
    assert seen == [
        {
            "type": "Launch",
            "command": ["echo", "hi"],
            "working_dir": os.getcwd(),
            "name": "bob",
            "tags": ["t"],
            "stdin_data": base64.b64encode(b"\xff").decode(),
            "env_base": "none",
            "env_caller": 3,
        }
    ]


def test_an_older_node_gets_the_environment_alone_and_is_named(scripted: Scripted) -> None:
    told: list[str] = []
    client = scripted(answers({"type": "Launched", "id": 7})).telling(told.append)
    client.launch(["true"])
    client = scripted(answers({"type": "Launched", "id": 8, "env_base": "caller"}))
    client.telling(told.append).launch(["true"])
    assert len(told) == 1 and "older than this cw" in told[0]


def test_a_relative_directory_counts_from_the_client(scripted: Scripted) -> None:
    seen: list[dict[str, Any]] = []
    scripted(answers({"type": "Launched", "id": 1}, seen)).launch(["true"], working_dir="sub/..")
    assert seen[0]["working_dir"] == os.getcwd()


def test_a_node_error_keeps_its_words(scripted: Scripted) -> None:
    client = scripted(answers({"type": "Error", "message": "session 9 not found"}))
    with pytest.raises(RequestError, match="^session 9 not found$"):
        client.status(9)


def test_long_input_goes_in_chunks_and_in_order(scripted: Scripted) -> None:
    data = os.urandom(40_000)
    received: list[bytes] = []

    def take(end: NodeEnd) -> None:
        chunk = base64.b64decode(end.receive_control()["data"])
        received.append(chunk)
        end.send_control({"type": "InputSent", "bytes": len(chunk)})

    assert scripted(take, take, take).send_input(1, data) == 40_000
    assert [len(chunk) for chunk in received] == [16384, 16384, 7232]
    assert b"".join(received) == data


def test_empty_input_still_asks_whether_the_session_is_there(scripted: Scripted) -> None:
    client = scripted(answers({"type": "Error", "message": "session 1 is not running"}))
    with pytest.raises(RequestError, match="not running"):
        client.send_input(1, b"")


def test_questions_are_asked_again_when_the_worker_dies(scripted: Scripted) -> None:
    client = scripted(drops, drops, answers({"type": "SessionList", "sessions": [{"id": 1}]}))
    assert [session.id for session in client.list_sessions()] == [1]


def test_actions_are_not_repeated(scripted: Scripted) -> None:
    client = scripted(drops)
    with pytest.raises(ConnectionLost, match="^connection closed before response$"):
        client.send_input(1, b"y")


def test_a_repeated_launch_carries_the_same_key(scripted: Scripted) -> None:
    seen: list[dict[str, Any]] = []

    def note_and_drop(end: NodeEnd) -> None:
        seen.append(end.receive_control())

    client = scripted(note_and_drop, KNOWS_ALL, answers({"type": "Launched", "id": 4}, seen))
    assert client.launch(["true"]) == 4
    assert seen[0] == seen[1]
    assert seen[0]["launch_key"]


def test_a_repeated_wait_asks_for_the_time_that_is_left(scripted: Scripted) -> None:
    seen: list[dict[str, Any]] = []

    def note_and_drop(end: NodeEnd) -> None:
        seen.append(end.receive_control())

    done = answers({"type": "WaitResult", "sessions": []}, seen)
    assert scripted(note_and_drop, done).wait(tags=["t"], timeout_seconds=100) == []
    assert seen[0]["timeout_seconds"] == 100
    assert 90 <= seen[1]["timeout_seconds"] <= 100


def test_a_node_that_is_gone_for_good_ends_the_call(scripted: Scripted) -> None:
    with pytest.raises(ConnectionLost, match="node is gone"):
        scripted(drops).wait(1)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "SessionList", "sessions": 5},
        {"type": "SessionList", "sessions": {"id": 1}},
    ],
)
def test_an_answer_of_the_wrong_shape_is_a_protocol_error(
    scripted: Scripted, message: dict[str, Any]
) -> None:
    with pytest.raises(ProtocolError, match="sessions must be list"):
        scripted(answers(message)).list_sessions()


@pytest.mark.parametrize(
    "raw", [b"\x00\x00\x00\x00\x02[]", b"\x00\xff\xff\xff\xff", b"\x07\0\0\0\0", b"\0\0\0\0\1{"]
)
def test_garbage_from_the_node_is_a_protocol_error(scripted: Scripted, raw: bytes) -> None:
    def speak_garbage(end: NodeEnd) -> None:
        end.receive_control()
        end.send_raw(raw)

    with pytest.raises(ProtocolError):
        scripted(speak_garbage).list_sessions()


def test_node_status_and_restart(scripted: Scripted) -> None:
    client = scripted(
        answers({"type": "NodeStatus", "node": {"version": "1"}}),
        answers({"type": "NodeRestarting"}),
    )
    assert client.node_status().version == "1"
    client.node_restart()


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("https://h", "wss://h/ws"),
        ("http://h:1/", "ws://h:1/ws"),
        ("ws://h/ws", "ws://h/ws"),
        ("ws://h/ws/", "ws://h/ws"),
        ("h:9100", "ws://h:9100/ws"),
        ("wss://h/deep", "wss://h/deep/ws"),
    ],
)
def test_server_urls(url: str, dialled: str) -> None:
    assert websocket_url(url) == dialled


def way(client: Client) -> tuple[str, str]:
    """Return the URL and the token of a client of another machine's node."""
    assert isinstance(client.route, WebRoute)
    return client.route.url, client.route.token


def test_a_saved_server_brings_its_url_and_token(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEWIRE_DIR", str(tmp_path))
    (tmp_path / "servers.toml").write_text(
        '[servers.gpu]\nurl = "https://gpu"\ntoken = "t0"\n[servers.bad]\n'
    )
    assert way(Client("gpu")) == ("wss://gpu/ws", "t0")
    assert way(Client("gpu", "mine")) == ("wss://gpu/ws", "mine")
    with pytest.raises(ConfigError, match='"bad" has no url'):
        Client("bad")
    with pytest.raises(UsageError, match="--token required for ad-hoc WebSocket server"):
        Client("host:1")
    assert way(Client("host:1", "t")) == ("ws://host:1/ws", "t")
    assert way(Client("http://host")) == ("ws://host/ws", "")


def test_an_overlong_socket_path_is_reached_through_its_link(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = ScriptedNode(answers({"type": "SessionList", "sessions": []}))
    long_root = tmp_path / ("d" * 120)
    long_root.mkdir()
    os.symlink(node.data_dir.socket, long_root / "codewire.sock")
    monkeypatch.setenv("CODEWIRE_DIR", str(long_root))
    assert Client(autostart=False).list_sessions() == []
    node.close()
