"""A node's peer RPC over socketpairs, with keys of our own issuer and a relay that is away."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from codewire.io.streams import FrameStream
from codewire.network.peers import PeerLink
from codewire.node.context import Node
from codewire.node.grouping import Grouping
from codewire.node.peers.serving import Peers
from codewire.paths import DataDir
from tests.unit.credentials.issuer import NOW, Issuer, rfc3339
from tests.unit.session.records import SetClock
from tests.unit.session.test_mailbox import Office

# Nothing listens there: what a node cannot know by itself, it does not find out.
CONFIG = """
relay_url = "http://127.0.0.1:9"
relay_node_token = "token"
relay_node_network = "proj"
[node]
name = "dev-1"
"""
PATIENCE = 20.0


class Host:
    """Node `dev-1` with the sessions 1 (`planner`) and 2 (`coder`)."""

    def __init__(self, root: Path) -> None:
        self.issuer = Issuer()
        self.clock = SetClock()
        self.clock.wall = NOW
        self.paths = DataDir(str(root))
        self.office = Office(root)
        for number, name in ((1, "planner"), (2, "coder")):
            self.session(number).record.name = name
        Path(self.paths.config).write_text(CONFIG)
        self.keep_keys(self.issuer.bundle())
        self.served: list[threading.Thread] = []
        self._ends: list[FrameStream] = []
        self._tokens = 0
        self.start()

    def session(self, number: int) -> Any:
        return self.office.sessions.registry.get(number)

    def keep_keys(self, bundle: dict[str, Any]) -> None:
        value = {"relay_url": "http://127.0.0.1:9", "bundle": bundle}
        Path(self.paths.relay_keys).write_text(json.dumps(value))

    def start(self) -> None:
        """Serve, with what is on the disk alone: as after a kill."""
        sessions = self.office.sessions
        node: Any = SimpleNamespace(
            paths=self.paths,
            sessions=sessions,
            mailbox=self.office.box,
            grouping=Grouping(self.paths, sessions, {}),
            timeout=Node.timeout,
        )
        self.peers = Peers(node, self.clock)

    def token(self, kind: str, /, **changed: Any) -> str:
        """Return a token that nobody has seen, good from now on; grants are for both verbs."""
        self._tokens += 1
        if kind == "observer":
            changed.setdefault("verbs", ["msg.read", "msg.listen"])
        passed = (self.clock.wall - NOW) / 1_000_000_000
        times = {"issued_at": rfc3339(passed), "expires_at": rfc3339(passed + 120)}
        return self.issuer.token(kind, **{**times, "jti": f"id_{self._tokens}", **changed})

    def connect(self, address: str = "") -> FrameStream:
        ours, theirs = socket.socketpair()
        given = (FrameStream(theirs), address)
        self.served.append(threading.Thread(target=self.peers.serve, args=given))
        self.served[-1].start()
        ours.settimeout(PATIENCE)
        self._ends.append(FrameStream(ours))
        return self._ends[-1]

    def link(self, credential: str = "") -> PeerLink:
        """Return a greeted connection."""
        link = PeerLink("dev-1", self.connect())
        try:
            link.greet(credential or self.token("runtime"))
        except BaseException:
            link.stream.close()
            raise
        return link

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request on a connection of its own."""
        with self.link() as link:
            return link.ask(request)

    def read(self, token: str | None, **changed: Any) -> dict[str, Any]:
        """Return a request to read `planner`'s inbox."""
        return {
            "type": "MsgRead", "session": {"node": "dev-1", "name": "planner"},
            "observer_cap": token, **changed,
        }  # fmt: skip

    def send(self, token: str | None, **changed: Any) -> dict[str, Any]:
        """Return a message from `dev-2:planner` to `coder`."""
        return {
            "type": "MsgSend", "from": {"node": "dev-2", "name": "planner"},
            "to": {"name": "coder"}, "sender_cap": token, "body": "hello", **changed,
        }  # fmt: skip

    def delegation(self, **changed: Any) -> str:
        return self.token("sender", **{"source_node": "dev-2", "audience_node": "dev-1", **changed})

    def close(self) -> None:
        for stream in self._ends:
            stream.close()
        for thread in self.served:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a connection is still served"
