"""A relay, nodes with uplinks to it, and a client: each a process in a home of its own."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.namespaces import Lan
from tests.remote import free_port
from tests.support import Home, wait_until

TOKEN = "secret-of-the-admin"
NETWORK = "proj"
# On a host of the test's own no other ports are in use.
PORT, SSH_PORT = 8080, 2222


class Net:
    """A network of nodes, `dev-1` alone by default, that belong to who runs `client`'s commands.

    With a `lan` each is on a host of its own: `relay`, `client`, and those of the nodes' names.
    """

    def __init__(
        self, runtime: str, *, nodes: tuple[str, ...] = ("dev-1",), lan: Lan | None = None
    ) -> None:
        self._relay_host = lan["relay"] if lan else None
        self.relay_home, self.client = (
            Home(runtime, lan["relay"].words if lan else ()),
            Home(None, lan["client"].words if lan else ()),
        )
        self.nodes = {name: Home(runtime, lan[name].words if lan else ()) for name in nodes}
        self.node = self.nodes[nodes[0]]
        self.address = self._relay_host.address if self._relay_host else "127.0.0.1"
        # Where the relay listens, which may be everywhere.
        self.listen = self.address
        self.port, self.ssh_port = (PORT, SSH_PORT) if lan else (free_port(), free_port())
        self.url = f"http://{self.address}:{self.port}"
        for name, home in (*self.nodes.items(), ("here", self.client)):
            home.env.update(
                CODEWIRE_RELAY_URL=self.url,
                CODEWIRE_RELAY_NETWORK=NETWORK,
                CODEWIRE_RELAY_AUTH_TOKEN=TOKEN,
                CODEWIRE_NODE_NAME=name,
            )

    def start(self) -> None:
        self.start_relay()
        self.ask("POST", "/api/v1/networks", {"network_id": NETWORK})
        for home in self.nodes.values():
            home.start_node()
        for name in self.nodes:
            self.wait_for("connected", name)

    def start_relay(self) -> None:
        ssh = f"{self.listen}:{self.ssh_port}"
        self.relay, said = serve_relay(
            self.relay_home, f"{self.listen}:{self.port}", "--base-url", self.url,
            "--ssh-listen", ssh, "--data-dir", str(Path(self.relay_home.path, "data")),
        )  # fmt: skip
        assert b"SSH listening on " in said

    def kill_relay(self) -> None:
        self.relay.send_signal(signal.SIGKILL)
        self.relay.wait(20)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON that the relay answers its admin."""
        connection = HTTPConnection(self.address, self.port, timeout=20)
        try:
            with self._relay_host.entered() if self._relay_host else contextlib.nullcontext():
                connection.connect()
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            return json.loads(text)
        finally:
            connection.close()

    def uplink(self, node: Home | str = "") -> dict[str, Any]:
        """Return what a node, the first one by default, says of its uplink."""
        home = node if isinstance(node, Home) else self.nodes.get(node, self.node)
        found: dict[str, Any] = home.node_status().get("relay", {})
        return found

    def wait_for(self, state: str, node: Home | str = "") -> None:
        wait_until(lambda: self.uplink(node).get("state") == state, 60, f"the uplink is {state}")

    def homes(self) -> tuple[Home, ...]:
        return (self.client, *self.nodes.values(), self.relay_home)

    def close(self) -> None:
        for home in self.homes():
            home.close()


def serve_relay(
    home: Home, listen: str, *options: str, **env: str
) -> tuple[subprocess.Popen[bytes], bytes]:
    """Return a relay that serves, and what it said on the way there."""
    relay = home.popen(
        "relay", "serve", "--auth-mode", "token", "--listen", listen, *options,
        env={"CW_AUTH_TOKEN": TOKEN, **env}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert relay.stderr is not None
    said = b""
    while b"HTTP listening" not in said:
        line = relay.stderr.readline()
        assert line, said
        said += line
    return relay, said


class Pair(Net):
    """The same with a second node, `dev-2`."""

    def __init__(self, runtime: str) -> None:
        super().__init__(runtime, nodes=("dev-1", "dev-2"))
        self.other = self.nodes["dev-2"]
