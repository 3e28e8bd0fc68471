"""The peer RPC of a real node, through a real relay and on the node's own listener (spec/peer.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from codewire.io.messagesocket import MessageStream
from codewire.network.configuration import Configuration
from codewire.network.exchange import Server
from codewire.network.peers import PeerLink, dial_peer
from codewire.network.websocket import open_websocket
from tests.uplinks import NETWORK, TOKEN, Net


class Peers:
    """A network with `dev-1`, which listens, and `dev-2`, of which there is only its token."""

    def __init__(self) -> None:
        self.net = Net("gevent")
        self.net.node.env["CODEWIRE_LISTEN"] = "127.0.0.1:0"
        self.net.start()
        self.relay = Configuration(self.net.url, NETWORK, "", "", "", False, TOKEN, "", False)
        made = self.net.ask("POST", "/api/v1/node-enrollments", {"network_id": NETWORK})
        body = {"enrollment_token": made["enrollment_token"], "node_name": "dev-2"}
        self.other = self.net.ask("POST", "/api/v1/node-enrollments/redeem", body)["node_token"]

    def credential(self) -> str:
        return self.relay.as_user().runtime_credential(NETWORK).token

    def delegation(self, *verbs: str) -> str:
        body = {"from_session_id": 7, "from_session_name": "planner", "verbs": verbs}
        connection = HTTPConnection("127.0.0.1", self.net.port, timeout=20)
        connection.request("POST", "/api/v1/network-auth/delegation/node", json.dumps(body),
                           {"Authorization": f"Bearer {self.other}"})  # fmt: skip
        found: str = json.loads(connection.getresponse().read())["delegation"]
        connection.close()
        return found

    def direct(self, credential: str = "") -> PeerLink:
        """Return a greeted connection to the node's own listener."""
        server = Server(f"http://{self.net.node.node_status()['listen']}")
        link = PeerLink("dev-1", MessageStream(open_websocket(server, "/peer", "", (), 20)))
        try:
            link.greet(credential or self.credential())
        except BaseException:
            link.stream.close()
            raise
        return link

    def message(self, body: str, **changed: Any) -> dict[str, Any]:
        return {
            "type": "MsgSend", "from": {"node": "dev-2", "id": 7},
            "sender_cap": self.delegation("msg"), "to": {"node": "dev-1", "name": "coder"},
            "body": body, **changed,
        }  # fmt: skip


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    peers = Peers()
    try:
        assert peers.net.node.cw("launch", "coder", "--", "cat").returncode == 0
        yield peers
    finally:
        peers.net.close()


def test_a_message_of_another_node_arrives_either_way(peers: Peers) -> None:
    for body, dial in (("relayed", lambda: dial_peer(peers.relay, "dev-1")),
                       ("direct", peers.direct)):  # fmt: skip
        with dial() as link:
            answer = link.ask(peers.message(body))
        assert answer["type"] == "MsgSent" and answer["message_id"].startswith("msg_")
    inbox = json.loads(peers.net.node.cw("inbox", "coder", "--json").stdout)
    assert [(one["from_name"], one["body"]) for one in inbox] == [
        ("dev-2:planner", "relayed"), ("dev-2:planner", "direct"),
    ]  # fmt: skip
