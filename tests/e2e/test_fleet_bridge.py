"""The bridge as a process, on a real nats-server and without a node: joining, names, bad news."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.natsserver import NatsServer, RawNats
from tests.processes import wait_until

CW = str(Path(__file__).parents[2] / "cw.py")


class Bridge:
    """A bridge process; `next_state` and `log` are what it says."""

    def __init__(self, home: Path, url: str, name: str, instance: str, **env: str) -> None:
        home.mkdir(exist_ok=True)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("CODEWIRE")}
        self.process = subprocess.Popen(
            [sys.executable, CW, "fleet-bridge", name, instance, "ws://x/ws"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**clean, "HOME": str(home), "CODEWIRE_NATS_URL": url, **env},
        )  # fmt: skip
        self.log: list[str] = []
        self._states: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if "log" in said:
                self.log.append(said["log"])
            else:
                self._states.put(said)

    def next_state(self, seconds: float = 30) -> dict[str, Any]:
        return self._states.get(timeout=seconds)

    def stop(self) -> float:
        """Tell it to stop and return the seconds that takes."""
        assert self.process.stdin is not None
        started = time.monotonic()
        self.process.stdin.write(b"stop\n")
        self.process.stdin.flush()
        self.process.wait(20)
        return time.monotonic() - started

    def finish(self) -> None:
        """Read what it says to the end; once it is told to stop."""
        self.process.wait(20)
        self._reader.join(20)

    def close(self) -> None:
        self.process.kill()
        self.finish()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def bridges() -> Iterator[list[Bridge]]:
    found: list[Bridge] = []
    yield found
    for bridge in found:
        bridge.close()


def test_one_of_two_has_a_name_and_leaves_it_to_the_other(
    tmp_path: Path, bridges: list[Bridge]
) -> None:
    with NatsServer(tmp_path) as server:
        raw = RawNats(server.port)
        raw.subscribe("cw.fleet.heartbeat")
        bridges += [Bridge(tmp_path, server.url, "twin", instance) for instance in ("i1", "i2")]
        states = {bridge.next_state()["state"]: bridge for bridge in bridges}
        assert states.keys() == {"connected", "duplicate"}
        holder, other = states["connected"], states["duplicate"]
        assert states["duplicate"].log == [
            "another node of the fleet is called 'twin'; it keeps the name: rename one of them "
            "([node] name) and restart it"
        ]
        # Both beat when they come, as they always did: no type.
        beats = [raw.receive()[2] for _ in range(2)]
        assert {beat["instance"] for beat in beats} == {"i1", "i2"}
        assert all("type" not in beat and beat["name"] == "twin" for beat in beats)
        holder.stop()
        # Now, and not when the next heartbeat is due.
        assert other.next_state(20)["state"] == "connected"
        assert any("stopping" in raw.receive()[2] for _ in range(3))
        # One that comes later finds the name taken, whatever its instance is.
        bridges.append(Bridge(tmp_path, server.url, "twin", "0"))
        assert bridges[-1].next_state()["state"] == "duplicate"
        raw.close()


def test_messages_of_bad_will_are_refused_and_logged_once(
    tmp_path: Path, bridges: list[Bridge]
) -> None:
    with NatsServer(tmp_path, "max_payload: 16MB\n") as server:
        bridges.append(Bridge(tmp_path, server.url, "n", "i"))
        assert bridges[0].next_state()["state"] == "connected"
        raw = RawNats(server.port)
        large = b'{"type":"SendInput","id":1,"data":"' + b"A" * (10 << 20) + b'"}'
        for bad in (large, b"{", b'{"type":1}', b"[" * 100_000, b'{"type":"a\\r\\nb"}'):
            for _ in range(3):
                (answer,) = raw.ask("cw.n.send", bad)
                assert answer["type"] == "Error" and "request" in answer["message"]
        # Dispatched by type: the last token is not looked at, and `*` is one like others.
        (answer,) = raw.ask("cw.n.*", b'{"type":"Discover"}')
        assert answer["type"] == "NodeInfo"
        raw.publish("cw.fleet.heartbeat", b'{"name":')
        infos = raw.ask("cw.fleet.discover", b'{"type":"Discover"}', 2)
        assert [info["type"] for info in infos] == ["DaemonInfo", "NodeInfo"]
        wait_until(lambda: len(bridges[0].log) >= 5, what="each kind is logged")
        bridges[0].stop()
        # All it has said, and each once.
        bridges[0].finish()
        assert len(bridges[0].log) == len(set(bridges[0].log)) == 5
        raw.close()


def test_what_the_server_does_not_permit_is_the_state(
    tmp_path: Path, bridges: list[Bridge]
) -> None:
    # "old" has what upstream's nodes needed; "deaf" may not hear its own subject.
    config = """authorization { users = [
      { user: "old", password: "p", permissions: {
        publish: ["cw.fleet.heartbeat", "_INBOX.>"], subscribe: ["cw.fleet.discover", "cw.a.>"] } }
      { user: "deaf", password: "p", permissions: {
        publish: [">"], subscribe: ["cw.fleet.>", "_INBOX.>"] } }
      { user: "all", password: "p" }
    ] }
    """
    with NatsServer(tmp_path, config) as server:

        def url(user: str) -> str:
            return server.url.replace("//", f"//{user}:p@")

        bridges.append(Bridge(tmp_path, url("old"), "a", "1"))
        bridges.append(Bridge(tmp_path, url("deaf"), "b", "2"))
        bridges.append(Bridge(tmp_path, url("nobody"), "c", "3"))
        limited = bridges[0].next_state()
        assert limited["state"] == "connected" and limited["user"] == "old"
        assert limited["error"].startswith("not permitted by the NATS server: ")
        deaf = bridges[1].next_state()
        assert (deaf["state"], deaf["error"]) == (
            "refused", "not permitted by the NATS server: subscribing to cw.b.>"
        )  # fmt: skip
        refused = bridges[2].next_state()
        assert refused["state"] == "refused" and "uthorization" in refused["error"]
        assert ":p@" not in json.dumps([limited, deaf, refused])


def test_bad_news_ends_and_restarts_nothing(tmp_path: Path, bridges: list[Bridge]) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "nats.py").write_text("raise ImportError('not here')\n")
    server = NatsServer(tmp_path)
    try:
        bridges.append(Bridge(tmp_path, server.url, "a", "1", PYTHONPATH=str(blocked)))
        bridges.append(Bridge(tmp_path, server.url, "b", "2"))
        missing = bridges[0].next_state()
        assert missing["state"] == "refused"
        assert missing["error"] == "the fleet needs nats-py: pip install 'codewire[fleet]'"
        # It is not there at the start: the bridge joins once it is.
        down = bridges[1].next_state()
        assert down["state"] == "disconnected" and "connection refused" in down["error"]
        server.start()
        assert bridges[1].next_state()["state"] == "connected"
        server.stop()
        lost = bridges[1].next_state()
        assert lost["state"] == "disconnected" and lost["error"]
        server.start()
        while (back := bridges[1].next_state())["state"] != "connected":
            pass
        assert back["last_error"]
        assert bridges[0].process.poll() is None
        server.stop()
        # Whatever it waits for, it does not outlive the word, nor its stdin.
        assert bridges[1].stop() < 15
        assert bridges[0].process.stdin is not None
        bridges[0].process.stdin.close()
        assert bridges[0].process.wait(20) == 0
    finally:
        server.stop()
