"""Streams to nodes on a running relay: who gets one, how it is joined, how it ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from codewire.io.websockets import WebSocketStream
from codewire.relay.store import networks, people
from codewire.wire.frames import CONTROL, DATA
from tests.io.relay.desk import ADMIN, SECOND
from tests.io.relay.site import Site, next_message
from tests.processes import wait_until

WS = "/api/v1/nodes/{}/ws?network_id={}&service={}"
PATH = WS.format("dev-1", "proj", "node")


def login(site: Site, subject: str, network: str = "", role: str = "member", seconds: int = 3600):
    """Return the token of a user's session, who is in a network."""
    token, now = f"sess_{subject}", site.relay.service.clock()

    def write(tx: Any) -> None:
        people.upsert_oidc(tx, subject, subject, "", now)
        expires = now + seconds * SECOND
        people.session_create(tx, token, subject=f"oidc:{subject}", expires_at=expires, now=now)
        if network:
            networks.ensure(tx, network, now)
            networks.add_member(tx, network, f"oidc:{subject}", role, "", now)

    site.store.write(write)
    return token


def own(site: Site, token: str, name: str = "dev-1", network: str = "proj") -> str:
    """Return the token of a node that is this user's."""
    made = site.ok("POST", "/api/v1/node-enrollments", {"network_id": network}, token=token)
    body = {"enrollment_token": made["enrollment_token"], "node_name": name}
    return str(site.ok("POST", "/api/v1/node-enrollments/redeem", body, token="")["node_token"])


def ending(stream: WebSocketStream | None) -> tuple[int, str]:
    """Return code and reason of a stream that ends."""
    assert stream is not None and stream.receive() is None
    return stream.close_code, stream.close_reason


class Pair:
    """A client, and the node that was asked for its stream."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.node_token = site.enrol()
        self.uplink = site.uplink(self.node_token, X_CodeWire_Features="stream")

    def open(self, path: str = PATH, token: str = ADMIN) -> tuple[WebSocketStream, WebSocketStream]:
        """Return both ends of a new stream: the client's, the node's."""
        opened: list[Any] = []
        thread = threading.Thread(target=lambda: opened.append(self.site.dial(path, token)))
        thread.start()
        self.asked = next_message(self.uplink)
        assert self.asked is not None
        status, back = self.site.dial(f"/node/back/{self.asked['session_id']}", self.node_token)
        thread.join(20)
        assert status == opened[0][0] == 101
        return opened[0][1], back


@pytest.fixture
def pair(site: Site) -> Pair:
    return Pair(site)


def test_messages_keep_their_kind_and_their_bounds(pair: Pair) -> None:
    client, node = pair.open()
    assert pair.asked is not None
    ident = pair.asked.pop("session_id")
    assert len(ident) == 32
    assert pair.asked == {
        "type": "StreamRequest", "service": "node", "subject": "admin", "role": "owner"
    }  # fmt: skip
    for frame in [(DATA, b""), (CONTROL, b'{"type":"x"}'), (DATA, b"a" * 300_000), (DATA, b"b")]:
        for one, other in ((client, node), (node, client)):
            sender = threading.Thread(target=one.send_frame, args=frame)
            sender.start()
            assert other.receive() == frame
            sender.join(20)
    assert pair.site.relay.status()["streams"] == 1


@pytest.mark.parametrize("code", [1000, 1001])
def test_an_end_of_the_node_comes_after_its_last_bytes(pair: Pair, code: int) -> None:
    client, node = pair.open()
    for number in range(50):
        node.send_data(b"%d" % number)
    node.shutdown(code)
    assert [client.receive() for _ in range(50)] == [(DATA, b"%d" % n) for n in range(50)]
    assert client.receive() is None
    assert client.close_code == code
    client.close()
    wait_until(lambda: pair.site.relay.status()["streams"] == 0)


def test_a_node_that_is_lost_may_come_back(pair: Pair) -> None:
    client, node = pair.open()
    node.abort()
    assert client.receive() is None
    assert client.close_code == 1012


def test_an_end_of_the_client_is_the_nodes(pair: Pair) -> None:
    client, node = pair.open()
    client.send_data(b"last")
    client.close()
    assert (node.receive(), node.receive()) == ((DATA, b"last"), None)
    node.close()
    wait_until(lambda: pair.site.relay.status()["streams"] == 0)


def test_a_client_that_reads_nothing_holds_up_its_own_stream_only(pair: Pair) -> None:
    stalled, node = pair.open()
    node.set_timeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            node.send_data(b"x" * 65536)
    client, other = pair.open()
    other.send_data(b"prompt")
    assert client.receive() == (DATA, b"prompt")
    # Its end wakes whoever is blocked.
    stalled.abort()
    node.abort()
    wait_until(lambda: pair.site.relay.status()["streams"] == 1)


def test_a_side_is_taken_once_and_by_its_node(pair: Pair) -> None:
    site = pair.site
    stranger = site.enrol("dev-2")
    thread = threading.Thread(target=site.dial, args=(PATH, ADMIN))
    thread.start()
    asked = next_message(pair.uplink)
    assert asked is not None
    path = f"/node/back/{asked['session_id']}"
    no_waiter = (1000, "no waiter")
    assert ending(site.dial(path, stranger)[1]) == no_waiter
    assert site.dial(path, pair.node_token)[0] == 101
    thread.join(20)
    assert not thread.is_alive()
    assert ending(site.dial(path, pair.node_token)[1]) == no_waiter
    assert site.dial(path, "wrong")[0] == 401


def test_why_there_is_no_stream(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codewire.relay.uplinks.streams.BACK_SECONDS", 0.2)
    token = site.enrol()
    assert site.ask("GET", PATH)[0] == 426
    assert site.dial(PATH, ADMIN)[0] == 503
    with_upgrade = dict(
        Upgrade="websocket", Connection="Upgrade",
        Sec_WebSocket_Version="13", Sec_WebSocket_Key="MDEyMzQ1Njc4OWFiY2RlZg==",
    )  # fmt: skip
    answer = site.send("GET", PATH, **with_upgrade).recv(65536).decode()
    assert 'node "dev-1" is not connected' in answer and "Retry-After: 1" in answer
    other = site.uplink(token, X_CodeWire_Features="back-control")
    assert "501" in site.send("GET", PATH, **with_upgrade).recv(65536).decode()
    other.close()
    uplink = site.uplink(token, X_CodeWire_Features="stream")
    answer = site.send("GET", PATH, **with_upgrade).recv(65536).decode()
    assert 'node "dev-1" does not answer' in answer
    next_message(uplink)
    # A node that will not says why, about its own streams only.
    monkeypatch.setattr("codewire.relay.uplinks.streams.BACK_SECONDS", 30)
    sock = site.send("GET", PATH, **with_upgrade)
    asked = next_message(uplink)
    assert asked is not None
    refused = {"type": "StreamRefused", "session_id": asked["session_id"], "reason": "no peers"}
    stranger = site.uplink(site.enrol("dev-2"), X_CodeWire_Features="stream")
    stranger.send_control({**refused, "reason": "lies"})
    uplink.send_control(refused)
    assert sock.recv(65536).decode().endswith("\r\n\r\nno peers\n")


def test_a_revoked_node_loses_its_streams(pair: Pair) -> None:
    client, node = pair.open()
    pair.site.ok("DELETE", "/api/v1/nodes/dev-1?network_id=proj")
    assert client.receive() is None and node.receive() is None
    assert (client.close_code, node.close_code) == (1008, 1008)
    assert pair.uplink.receive() is None and pair.uplink.close_code == 4401


def test_who_is_removed_loses_their_streams(pair: Pair) -> None:
    member, other = login(pair.site, "member", "proj"), login(pair.site, "other", "proj")
    path = WS.format("dev-1", "proj", "peer")
    client, node = pair.open(path, member)
    kept, _ = pair.open(path, other)
    pair.site.ok("DELETE", "/api/v1/networks/proj/members/oidc:member")
    assert client.receive() is None and node.receive() is None
    assert (client.close_code, node.close_code) == (1008, 1008)
    assert pair.site.dial(path, member)[0] == 403
    kept.send_data(b"still there")


def test_who_may(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path by every credential: the status, 503 for who may (the node is away)."""
    monkeypatch.setattr("codewire.relay.uplinks.streams.BACK_SECONDS", 0.1)
    monkeypatch.setattr(site.relay.limiter, "check", lambda *_: None)
    owner = login(site, "owner", "proj")
    chief = login(site, "chief", "proj", "owner")
    node = own(site, owner)
    open_node = own(site, owner, "open")
    site.uplink(open_node, X_CodeWire_Features="network-owners").close()
    wait_until(lambda: len(site.relay.hub) == 0)
    revoked = own(site, owner, "gone")
    foreign_owner = login(site, "foreign", "other", "owner")
    site.ok("DELETE", "/api/v1/nodes/gone?network_id=proj", token=chief)
    credentials = {
        "owner": owner,
        "network owner": chief,
        "member": login(site, "member", "proj"),
        "stranger": login(site, "stranger"),
        "owner elsewhere": foreign_owner,
        "expired": login(site, "expired", "proj", "owner", seconds=-1),
        "node": node,
        "node elsewhere": own(site, foreign_owner, "dev-1", "other"),
        "revoked node": revoked,
        "nobody": "wrong",
    }
    paths = {
        "own": WS.format("dev-1", "proj", "node"),
        "open": WS.format("open", "proj", "node"),
        "unknown": WS.format("none", "proj", "node"),
        "peer": WS.format("dev-1", "proj", "peer"),
        "peer of none": WS.format("none", "proj", "peer"),
    }
    expected = {
        "owner":           (503, 503, 403, 503, 404),
        "network owner":   (403, 503, 404, 503, 404),
        "member":          (403, 403, 403, 503, 404),
        "stranger":        (403, 403, 403, 403, 403),
        "owner elsewhere": (403, 403, 403, 403, 403),
        "expired":         (401, 401, 401, 401, 401),
        "node":            (401, 401, 401, 503, 404),
        "node elsewhere":  (401, 401, 401, 403, 403),
        "revoked node":    (401, 401, 401, 401, 401),
        "nobody":          (401, 401, 401, 401, 401),
    }  # fmt: skip
    found = {
        who: tuple(site.dial(path, token)[0] for path in paths.values())
        for who, token in credentials.items()
    }
    assert found == expected
    # A cookie is no Bearer: a page of another site would come with it.
    fields = dict(Cookie=f"cw_session={owner}", Origin="https://relay.example")
    assert site.ask("GET", paths["own"], token="", **fields)[0] == 401
    assert site.ask("GET", WS.format("dev-1", "proj", "else"), token=owner)[0] == 400
    assert site.ask("GET", "/api/v1/nodes/dev-1/ws", token=owner)[0] == 400
