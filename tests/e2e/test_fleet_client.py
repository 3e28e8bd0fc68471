"""The fleet's client with nodes of code: old ones, many, such that say what they should not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import RequestError
from codewire.fleet import asking
from codewire.fleet.link import NatsError
from codewire.fleet.settings import Nats
from tests.natsserver import NatsServer, RawNats

Answers = Callable[[str, Any], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer(tmp_path_factory.mktemp("nats"), "max_payload: 8192\n") as server:
        yield server


@pytest.fixture
def nats(server: NatsServer) -> Nats:
    return Nats((server.url,))


class Nodes:
    """Hears all of `cw.>` and answers as `answers` says; `heard` is what was asked."""

    def __init__(self, server: NatsServer, answers: Answers) -> None:
        self._raw = RawNats(server.port)
        self._raw.subscribe("cw.>")
        self._answers = answers
        self.heard: list[tuple[str, Any]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            subject, reply, request = self._raw.receive()
            if subject == "cw.end":
                return
            self.heard.append((subject, request))
            for answer in self._answers(subject, request):
                self._raw.publish(reply, json.dumps(answer).encode())

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.publish("cw.end", b"{}")
        self._thread.join(20)
        self._raw.close()


def info(name: str, kind: str = "NodeInfo", **more: Any) -> dict[str, Any]:
    base = {"type": kind, "name": name, "external_url": None, "sessions": [], "uptime_secs": 1}
    return {**base, **more}


def test_old_nodes_are_found_in_either_dialect(server: NatsServer, nats: Nats) -> None:
    odd = {"id": 1, "prompt": {"a": 1}, "status": 3, "attached": "x", "working_dir": "\x1b[2J"}
    replies = [
        info("d2"), info("d1", "DaemonInfo"), info("ours", instance="i"),
        info("ours", "DaemonInfo", instance="i"), info("twin"), info("twin"),
        info("odd", sessions=[odd, 7, {"id": "x"}]), {"type": "Error", "message": "no"}, {},
        info("bad", uptime_secs=-1),
    ]  # fmt: skip
    with Nodes(server, lambda subject, request: replies):
        found = asking.discover(nats, 3)
    assert [each.name for each in found] == ["d1", "d2", "odd", "ours", "twin", "twin"]
    assert [each["prompt"] for each in found[2].sessions] == [""]


def test_two_hundred_nodes(server: NatsServer, nats: Nats) -> None:
    session = {"id": 1, "prompt": "p" * 200, "working_dir": "/w", "created_at": "2026",
               "status": "running", "attached": False, "pid": 5}  # fmt: skip
    replies = [
        info(f"n{n:03}", kind, instance=str(n), sessions=[session] * 20)
        for n in range(200)
        for kind in ("DaemonInfo", "NodeInfo")
    ]
    with Nodes(server, lambda subject, request: replies):
        started = time.monotonic()
        found = asking.discover(nats, 3)
        # Within the window and a second; ten on a machine that is busy with other things.
        assert time.monotonic() - started < 3 + 10
    assert [each.name for each in found] == [f"n{n:03}" for n in range(200)]
    assert all(len(each.sessions) == 20 for each in found)


@pytest.mark.parametrize(
    "answer, words",
    [
        ({"type": "Killed", "node": "a", "id": 1}, "^Unexpected response: "),
        ({"type": "Launched", "node": "a", "id": "1\x1b[2J"}, "^Unexpected response: [^\x1b]*$"),
        ({"type": "Launched", "daemon": "a"}, "^Unexpected response: "),
    ],
)
def test_answers_to_something_else(
    server: NatsServer, nats: Nats, answer: dict[str, Any], words: str
) -> None:
    with Nodes(server, lambda subject, request: [answer]), pytest.raises(NatsError, match=words):
        asking.number(asking.ask(nats, "a", "launch", {"type": "Launch"}), "id")


def test_errors_slowness_and_long_input(
    server: NatsServer, nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(subject: str, request: Any) -> list[dict[str, Any]]:
        if subject == "cw.a.send":
            size = len(request["data"])
            return [{"type": "InputSent", "daemon": "old", "id": 1, "bytes": size}]
        if subject == "cw.a.kill":
            return [{"type": "Error", "node": "a", "message": "session 9 not found"}]
        return []

    text = bytes(range(256)) * 40
    with Nodes(server, answers) as nodes:
        with pytest.raises(RequestError, match="^session 9 not found$"):
            asking.ask(nats, "a", "kill", {"type": "Kill", "id": 9})
        # Larger than a message of this server: in pieces, in order, none twice.
        assert asking.send_input(nats, "a", 1, text) == len(text)
        sent = [request["data"] for subject, request in nodes.heard if subject == "cw.a.send"]
        assert len(sent) > 4 and bytes(byte for piece in sent for byte in piece) == text
        with pytest.raises(NatsError, match="too large for this NATS server .limit 8192"):
            asking.ask(nats, "a", "launch", {"type": "Launch", "command": ["x" * 9000]})
        monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.2)
        late = "did not answer within 0.2 s .timed out.; it may still happen"
        with pytest.raises(NatsError, match=late):
            asking.ask(nats, "a", "launch", {"type": "Launch", "command": ["true"]})
        assert [subject for subject, _ in nodes.heard].count("cw.a.launch") == 1


def test_who_is_not_there_is_known_at_once(server: NatsServer, nats: Nats) -> None:
    started = time.monotonic()
    with pytest.raises(NatsError, match="^node 'zz' is not in the fleet$"):
        asking.ask(nats, "zz", "kill", {"type": "Kill", "id": 1})
    assert asking.discover(nats, 30) == asking.discover(nats, 30, "zz") == []
    assert time.monotonic() - started < 10


def test_a_server_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from codewire.fleet import link

    monkeypatch.setattr(link, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"nats://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(NatsError, match="no answer within 0.3 s"):
            asking.discover(Nats((url,)), 1)
