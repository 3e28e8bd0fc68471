"""A real node's peer RPC, through a real relay and on its own listener (spec/peer.md)."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from codewire.client import Client
from codewire.client.reach.route import local_route
from codewire.errors import RelayRefused, RequestError
from codewire.io.messagesocket import MessageStream
from codewire.io.websockets import WebSocketStream
from codewire.mcp.calls import CallClient
from codewire.mcp.toolbox import TOOLS
from codewire.network.configuration import Configuration
from codewire.network.exchange import Server
from codewire.network.peers import PeerLink, dial_peer
from codewire.network.websocket import open_websocket
from tests.support import wait_until
from tests.unit.credentials.issuer import Issuer, rfc3339
from tests.uplinks import NETWORK, TOKEN, Net

# A revoked grant is refused by then: within five seconds, where the machine has no other work.
SOON = 15.0


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

    def dial(self, path: str, **fields: str) -> WebSocketStream:
        server = Server(f"http://{self.net.node.node_status()['listen']}")
        return open_websocket(server, path, "", tuple(fields.items()), 20)

    def direct(self, credential: str = "") -> PeerLink:
        """Return a greeted connection to the node's own listener."""
        link = PeerLink("dev-1", MessageStream(self.dial("/peer")))
        try:
            link.greet(credential or self.credential())
        except BaseException:
            link.stream.close()
            raise
        return link

    def fill(self) -> None:
        """Have a session `coder` with two messages, the first ones it gets."""
        assert self.net.node.cw("launch", "coder", "--", "cat").returncode == 0
        for body in ("one", "two"):
            assert self.net.node.cw("msg", "--delivery", "inbox", "coder", body).returncode == 0

    def grant(self, *options: str, to: str = "admin") -> dict[str, Any]:
        """Return a new grant on `coder`, as `cw access grant` prints it."""
        done = self.net.client.cw("access", "grant", "dev-1:coder", "--to", to, "--json", *options)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def refused(self, *words: str) -> str:
        """Return why a command of somebody elsewhere failed."""
        done = self.net.client.cw(*words)
        assert (done.returncode, done.stdout) == (1, ""), done
        return done.stderr.strip()

    def message(self, body: str, **changed: Any) -> dict[str, Any]:
        return {
            "type": "MsgSend", "from": {"node": "dev-2", "id": 7},
            "sender_cap": self.delegation("msg"), "to": {"node": "dev-1", "name": "coder"},
            "body": body, **changed,
        }  # fmt: skip


def tool(agent: CallClient, name: str, **arguments: Any) -> Any:
    """Return what a tool of an agent's says of `coder`."""
    chosen = TOOLS[f"codewire_{name}"]
    given = {param.name: param.default for param in chosen.params}
    return chosen.run(agent, {**given, "session_id": "dev-1:coder", **arguments})


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    """Leave it as it was: in any order, each of these tests may be the only one."""
    peers = Peers()
    try:
        peers.fill()
        yield peers
    finally:
        peers.net.close()


@pytest.fixture
def lonely() -> Iterator[Peers]:
    """One whose relay may be killed."""
    peers = Peers()
    try:
        peers.fill()
        yield peers
    finally:
        peers.net.close()


@pytest.mark.smoke
def test_a_message_of_another_node_arrives_either_way(peers: Peers) -> None:
    assert peers.net.node.cw("launch", "tester", "--", "cat").returncode == 0
    for body, dial in (("relayed", lambda: dial_peer(peers.relay, "dev-1")),
                       ("direct", peers.direct)):  # fmt: skip
        with dial() as link:
            answer = link.ask(peers.message(body, to={"node": "dev-1", "name": "tester"}))
        assert answer["type"] == "MsgSent" and answer["message_id"].startswith("msg_")
    # A page in somebody's browser does not get that far.
    with pytest.raises(RelayRefused) as refused:
        peers.dial("/peer", Origin="https://elsewhere.example")
    assert refused.value.status == 403
    inbox = json.loads(peers.net.node.cw("inbox", "tester", "--json").stdout)
    assert [(one["from_name"], one["body"]) for one in inbox] == [
        ("dev-2:planner", "relayed"), ("dev-2:planner", "direct"),
    ]  # fmt: skip


def test_inbox_listen_and_watch_take_a_grant_from_owners_too(peers: Peers) -> None:
    client = peers.net.client
    for command, words in ((("inbox", "dev-1:coder"), "remote inbox reads require"),
                           (("listen", "--session", "dev-1:coder"), "remote message subscriptions"),
                           ):  # fmt: skip
        said = peers.refused(*command)
        assert words in said and said.endswith("no accepted grant found for dev-1:coder"), said
    token = peers.grant()["delegation"]
    inbox = json.loads(client.cw("inbox", "dev-1:coder", "--grant", token, "--json").stdout)
    assert [one["body"] for one in inbox][:2] == ["one", "two"]
    tail = client.cw("inbox", "dev-1:1", "-t", "1", "--grant", token).stdout
    assert "0 → coder: " in tail and tail.count("\n") == 1
    for command in (("listen", "--session", "dev-1:coder"), ("watch", "dev-1:coder")):
        heard = client.popen(*command, "--grant", token, stdout=subprocess.PIPE)
        assert heard.stderr is not None and heard.stdout is not None
        while b"listening for messages" not in (line := heard.stderr.readline()):
            assert line, "it ended"
        assert peers.net.node.cw("msg", "coder", "heard").returncode == 0
        assert heard.stdout.readline().decode() == "[0 → coder] heard\n"
        heard.terminate()
        heard.wait(20)


def test_whose_grant_is_of_no_use_is_told_why(peers: Peers) -> None:
    read, listen = peers.grant("--read")["delegation"], peers.grant("--listen")["delegation"]
    past = {"issued_at": rfc3339(0), "expires_at": rfc3339(60)}
    claims = {"network_id": NETWORK, "session_name": "coder", "audience_subject_id": "admin"}
    cases = {
        "invalid observer delegation format": "not-a-grant",
        "observer delegation expired": Issuer().token("observer", **claims, **past),
        "observer grant audience mismatch": peers.grant(to="user:bob")["delegation"],
        "invalid observer delegation signature": read.rpartition(".")[0] + "." + "A" * 86,
        "observer grant does not allow msg.read": listen,
    }
    for words, token in cases.items():
        assert peers.refused("inbox", "dev-1:coder", "--grant", token).endswith(words)
    said = peers.refused("listen", "--session", "dev-1:coder", "--grant", read)
    assert said.endswith("observer grant does not allow msg.listen")
    assert peers.refused("inbox", "dev-1:9", "--grant", read).endswith("session name mismatch")
    assert "only valid with a remote" in peers.refused("inbox", "coder", "--grant", read)
    assert 'unknown node "dev-9"' in peers.refused("inbox", "dev-9:coder", "--grant", read)
    said = peers.refused("inbox", "dev-2:coder", "--grant", read)
    assert said.endswith('remote node "dev-2" is registered in the current relay network but is '
                         "not connected"), said  # fmt: skip


def test_a_grant_is_accepted_once_and_refused_once_it_is_revoked(peers: Peers) -> None:
    client, grant = peers.net.client, peers.grant()
    assert client.cw("access", "accept", grant["delegation"]).returncode == 0
    assert client.cw("inbox", "dev-1:coder").returncode == 0
    # By its name, not by its id; and what it lets one do is asked of the relay each time.
    assert "no accepted grant found for dev-1:1" in peers.refused("inbox", "dev-1:1")
    heard = client.popen("listen", "--session", "dev-1:coder", stdout=subprocess.PIPE)
    assert heard.stderr is not None
    assert b"listening for messages" in heard.stderr.readline()
    # Who listens goes on listening over a worker's end.
    peers.net.node.kill_worker()
    for words in (b"connection to node dev-1 lost; trying again", b"may be missing"):
        assert words in (line := heard.stderr.readline()), line
    assert client.cw("access", "revoke", grant["grant_id"]).returncode == 0
    revoked_at = time.monotonic()
    said = heard.stderr.readline()
    assert heard.wait(20) == 1 and b"observer grant revoked" in said, said
    assert time.monotonic() - revoked_at < SOON
    said = peers.refused("inbox", "dev-1:coder", "--grant", grant["delegation"])
    assert said.endswith("observer grant revoked")
    assert "no accepted grant found" in peers.refused("inbox", "dev-1:coder")
    assert "No accepted access grants" in client.cw("access", "list", "--accepted").stdout
    # A worker that was killed has not forgotten it, and is told again.
    peers.net.node.kill_worker()
    peers.net.wait_for("connected")
    said = peers.refused("inbox", "dev-1:coder", "--grant", grant["delegation"])
    assert said.endswith("observer grant revoked")


def test_programs_read_by_a_grant_as_people_do(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in peers.net.client.env.items():
        monkeypatch.setenv(name, value)
    token, client = peers.grant()["delegation"], Client()
    inbox = client.read_messages("dev-1:coder", tail=0, grant=token)
    assert inbox.messages[0].body == "one" and "reply_token" not in json.dumps(inbox.sent)
    with pytest.raises(RequestError, match="remote inbox reads require"):
        client.read_messages("dev-1:coder")
    frames = client.within(20).listen("dev-1:coder", grant=token)
    assert type(next(frames)).__name__ == "Subscribed"
    assert peers.net.node.cw("msg", "coder", "to programs").returncode == 0
    assert getattr(next(frames), "data", {}).get("body") == "to programs"
    frames.close()  # type: ignore[attr-defined]
    # And an agent's tools.
    agent = CallClient(local_route(), print)
    shown = json.loads(tool(agent, "read_messages", grant=token, tail=0)[0])
    assert [one["body"] for one in shown[:2]] == ["one", "two"]
    with pytest.raises(RequestError, match="observer grant does not allow msg.listen"):
        tool(agent, "subscribe", grant=peers.grant("--read")["delegation"], max_events=1)
    heard: list[str] = []
    listener = threading.Thread(
        target=lambda: heard.extend(tool(agent, "subscribe", grant=token, max_events=1))
    )
    listener.start()
    # What is sent before the node has acknowledged is not heard.
    wait_until(lambda: peers.net.node.cw("msg", "coder", "to agents").returncode == 0
               and not listener.is_alive(), 30, "the agent has heard one")  # fmt: skip
    assert json.loads(heard[0])[0]["data"]["body"] == "to agents"


def test_it_is_served_while_the_relay_is_away_and_no_credential_twice(lonely: Peers) -> None:
    token = lonely.grant()["delegation"]
    first, second, third = (lonely.credential() for _ in range(3))
    with lonely.direct(first) as link:
        assert link.ask(lonely.message("before"))["type"] == "MsgSent"
    lonely.net.kill_relay()
    read = {"type": "MsgRead", "session": {"name": "coder"}, "observer_cap": token}
    with lonely.direct(second) as link:
        assert link.ask(read)["messages"][-1]["body"] == "before"
    lonely.net.node.kill_worker()
    wait_until(lambda: lonely.net.node.cw("list").returncode == 0, 30, "a worker serves")
    # The keys outlive the worker, and so does what was used up.
    for used in (first, second):
        with pytest.raises(RequestError, match="runtime credential replay detected"):
            lonely.direct(used)
    with lonely.direct(third) as link:
        assert link.ask(read)["messages"][-1]["body"] == "before"
