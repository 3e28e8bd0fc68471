"""A relay, a node with an uplink to it, and a client: each a process in a home of its own."""

from __future__ import annotations

import json
import signal
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.remote import free_port
from tests.support import Home, wait_until

TOKEN = "secret-of-the-admin"
NETWORK = "proj"


class Net:
    """A network of one node, `dev-1`, whose owner is whoever runs `client`'s commands."""

    def __init__(self, runtime: str) -> None:
        self.relay_home, self.node, self.client = Home(runtime), Home(runtime), Home()
        self.port, self.listen = free_port(), "127.0.0.1"
        self.url = f"http://127.0.0.1:{self.port}"
        for home, name in ((self.node, "dev-1"), (self.client, "here")):
            home.env.update(
                CODEWIRE_RELAY_URL=self.url,
                CODEWIRE_RELAY_NETWORK=NETWORK,
                CODEWIRE_RELAY_AUTH_TOKEN=TOKEN,
                CODEWIRE_NODE_NAME=name,
            )

    def start(self) -> None:
        self.start_relay()
        self.ask("POST", "/api/v1/networks", {"network_id": NETWORK})
        self.node.start_node()
        self.wait_for("connected")

    def start_relay(self) -> None:
        self.relay = self.relay_home.popen(
            "relay", "serve", "--auth-mode", "token", "--base-url", self.url,
            "--listen", f"{self.listen}:{self.port}",
            "--data-dir", str(Path(self.relay_home.path, "data")),
            env={"CW_AUTH_TOKEN": TOKEN}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert self.relay.stderr is not None
        said = b""
        while b"HTTP listening" not in said:
            line = self.relay.stderr.readline()
            assert line, said
            said += line

    def kill_relay(self) -> None:
        self.relay.send_signal(signal.SIGKILL)
        self.relay.wait(20)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON that the relay answers its admin."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            return json.loads(text)
        finally:
            connection.close()

    def uplink(self, node: Home | None = None) -> dict[str, Any]:
        """Return what a node, `dev-1` without one, says of its uplink."""
        found: dict[str, Any] = (node or self.node).node_status().get("relay", {})
        return found

    def wait_for(self, state: str, node: Home | None = None) -> None:
        wait_until(lambda: self.uplink(node).get("state") == state, 60, f"the uplink is {state}")

    def homes(self) -> tuple[Home, ...]:
        return (self.client, self.node, self.relay_home)

    def close(self) -> None:
        for home in self.homes():
            home.close()


class Pair(Net):
    """The same with a second node, `dev-2`."""

    def __init__(self, runtime: str) -> None:
        super().__init__(runtime)
        self.other = Home(runtime)
        relay = {name: text for name, text in self.node.env.items() if "CODEWIRE_RELAY" in name}
        self.other.env.update(relay, CODEWIRE_NODE_NAME="dev-2")

    def start(self) -> None:
        super().start()
        self.other.start_node()
        self.wait_for("connected", self.other)

    def homes(self) -> tuple[Home, ...]:
        return (self.other, *super().homes())
