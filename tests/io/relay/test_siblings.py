"""Two relays on one database: a node at one, a client at the other, and what both have to know."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.io.tcp import read_head
from codewire.io.websockets import WebSocketStream
from codewire.relay.store import whereabouts
from codewire.relay.uplinks.passes import Question, make_pass
from codewire.wire.frames import CONTROL, DATA
from codewire.wire.handshake import new_key, status_of, upgrade_request
from codewire.wire.http import parse_head
from tests.io.relay.desk import ADMIN
from tests.io.relay.site import PATIENCE, Events, Site, next_message
from tests.io.relay.test_coordinator import LISTENER, credential, join
from tests.io.relay.test_coordinator import node as introduced
from tests.io.relay.test_streams import PATH, ending, login, own
from tests.io.store.conftest import new_url
from tests.processes import wait_until
from tests.remote import free_port

NODE = {"X_CodeWire_Features": "stream"}
LIST = "/api/v1/nodes?network_id=proj"


class Two:
    """Relays A and B on one database; `uplink` is the node's, at A."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory, self.url = directory, url
        self.a, self.b = self.relay(), self.relay()
        self.token = self.a.enrol()
        self.uplink = self.a.uplink(self.token, **NODE)

    def relay(self, **settings: Any) -> Site:
        port = free_port()
        given = {"listen": f"127.0.0.1:{port}", "advertise_url": f"http://127.0.0.1:{port}"}
        return Site(self.directory, self.url, **{**given, **settings})

    def close(self) -> None:
        self.a.close()
        self.b.close()

    def open(self, token: str = ADMIN) -> tuple[WebSocketStream, WebSocketStream]:
        """Return both ends of a stream: the client's at B, the node's at A."""
        opened: list[Any] = []
        thread = threading.Thread(target=lambda: opened.append(self.b.dial(PATH, token)))
        thread.start()
        asked = next_message(self.uplink)
        assert asked is not None
        assert asked["type"] == "StreamRequest" and asked["service"] == "node"
        self.asked = asked
        _, back = self.a.dial(f"/node/back/{asked['session_id']}", self.token)
        thread.join(20)
        assert back is not None and opened[0][0] == 101
        return opened[0][1], back

    def connected(self, site: Site) -> bool:
        [node] = site.ok("GET", LIST)
        return bool(node["connected"])


@pytest.fixture
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path, new_url(request))
    yield two
    two.close()


def test_a_client_at_one_reaches_a_node_at_the_other(two: Two) -> None:
    client, node = two.open()
    assert two.asked["subject"] == "admin" and two.asked["role"] == "owner"
    for frame in [(DATA, b"a" * 300_000), (CONTROL, b'{"type":"x"}'), (DATA, b"")]:
        for one, other in ((client, node), (node, client)):
            sender = threading.Thread(target=one.send_frame, args=frame)
            sender.start()
            assert other.receive() == frame
            sender.join(20)
    assert (len(two.a.relay.streams), len(two.b.relay.streams)) == (1, 1)
    node.shutdown(1000)
    assert ending(client) == (1000, "")
    client.close()
    wait_until(lambda: len(two.a.relay.streams) + len(two.b.relay.streams) == 0)


def test_both_know_who_is_connected(two: Two) -> None:
    assert two.connected(two.a) and two.connected(two.b)
    two.uplink.shutdown(1000)
    assert two.uplink.receive() is None
    wait_until(lambda: not two.connected(two.a) and not two.connected(two.b))
    assert two.b.dial(PATH, ADMIN)[0] == 503


def test_a_node_that_moves_is_where_it_came_last(two: Two) -> None:
    moved = two.b.uplink(two.token, **NODE)
    # A has an older connection, which nobody else would end.
    assert ending(two.uplink)[0] == 4409
    wait_until(lambda: len(two.a.relay.hub) == 0)
    two.a.relay.leases.release()
    assert two.connected(two.a) and two.connected(two.b)
    assert two.b.relay.hub.find("proj", "dev-1") is not None
    moved.close()


def test_what_is_revoked_at_one_ends_at_the_other(two: Two) -> None:
    client, _ = two.open()
    two.b.ok("DELETE", "/api/v1/nodes/dev-1?network_id=proj")
    assert ending(client)[0] == 1008
    assert ending(two.uplink)[0] == 4401


def test_a_node_that_has_enrolled_again_is_left_alone(two: Two) -> None:
    two.uplink.close()
    token = two.b.enrol()
    again = two.a.uplink(token, **NODE)
    # The order that the older token's connection ends has been read by then.
    seen = two.a.relay.orders._seen
    wait_until(lambda: seen.get("proj", 0) >= two.a.store.read(lambda tx: _newest(tx)))
    assert two.a.relay.hub.find("proj", "dev-1") is not None
    again.send_control({"type": "x"})
    assert two.connected(two.b)


def _newest(tx: Any) -> int:
    return int(tx.one("select event_seq from networks where network_id = 'proj'")[0])


def test_a_removed_member_loses_what_is_open_at_the_other(two: Two) -> None:
    token = login(two.a, "guest", "proj")
    events = Events(two.a.send("GET", "/api/v1/access/cache/events?network_id=proj", token=token))
    assert events.status == 200
    two.b.ok("DELETE", "/api/v1/networks/proj/members/oidc:guest")
    while events.next():
        pass


def refusal(site: Site) -> str:
    """Return why there is no stream."""
    sock = site.connect()
    given = (("Authorization", f"Bearer {ADMIN}"),)
    sock.sendall(upgrade_request("relay.example", PATH, new_key(bytes(16)), given))
    head, rest = read_head(sock, time.monotonic() + PATIENCE)
    assert status_of(parse_head(head)) == 503
    return rest.decode().strip()


def test_a_relay_that_is_gone_is_said_to_be(two: Two, caplog: pytest.LogCaptureFixture) -> None:
    place = f"http://127.0.0.1:{free_port()}"
    now = time.time_ns()
    two.a.store.write(lambda tx: whereabouts.claim(tx, "proj", "dev-1", place, "gone", now))
    assert refusal(two.b) == 'the relay that node "dev-1" is at does not answer'
    assert f"is at relay {place}, which does not answer" in caplog.text


def test_another_server_at_its_address_is_found_out(
    two: Two, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = two.relay.__func__(Elsewhere(other))  # type: ignore[attr-defined]
    try:
        now, url = time.time_ns(), stranger.relay.settings.advertise_url
        two.a.store.write(lambda tx: whereabouts.claim(tx, "proj", "dev-1", url, "x", now))
        assert two.b.dial(PATH, ADMIN)[0] == 503
        assert "does not answer" in caplog.text and "a pass is not good" in caplog.text
    finally:
        stranger.close()


class Elsewhere:
    """Where a relay of another database is."""

    url = ""

    def __init__(self, directory: Path) -> None:
        self.directory = directory


def test_only_relays_may_ask(two: Two) -> None:
    path = "/internal/ask/dev-1?network_id=proj"
    secret, url = two.b.relay.siblings._secret, two.a.relay.settings.advertise_url
    body = json.dumps({"request": {"type": "StreamRequest"}, "who": "x"}).encode()
    now = two.a.relay.leases.now()

    def ask(shown: str, said: bytes = body) -> bool:
        """Say whether it is answered: the node is asked then."""
        status, stream = two.a.dial(path, shown)
        if stream is None:
            assert status == 401
            return False
        stream.send_frame(CONTROL, said)
        return stream.receive() is not None

    def shown(made: int = now, nonce: str = "ab" * 16, **changes: Any) -> str:
        question = Question(url, "proj", "dev-1", body)._replace(**changes)
        return make_pass(secret, question, made, nonce)

    assert not ask(ADMIN) and not ask(two.token)
    assert not ask(shown(relay="http://127.0.0.1:1")), "made for another relay"
    assert not ask(shown(node="dev-2"))
    assert not ask(shown(network="other"))
    assert not ask(shown(), body + b" "), "another question"
    assert not ask(shown(made=now - 31 * 10**9)), "too old"
    assert not ask(shown(made=now + 40 * 10**9)), "not yet"
    forged = make_pass(b"x" * 32, Question(url, "proj", "dev-1", body), now, "cd" * 16)
    assert not ask(forged)
    # A good one is answered, once: the node is away, which is said.
    two.uplink.close()
    wait_until(lambda: len(two.a.relay.hub) == 0)
    assert ask(shown(nonce="ef" * 16))
    assert not ask(shown(nonce="ef" * 16)), "twice"


def figures(site: Site) -> dict[str, int]:
    status = site.ok("GET", "/api/v1/admin/status")
    return {name: number for name, number in status.items()
            if name.startswith(("questions", "passes")) and number}  # fmt: skip


def test_questions_are_counted(two: Two) -> None:
    client, node = two.open()
    # Whoever serves a stream notes it, a moment after its client has the answer.
    wait_until(lambda: figures(two.b) == {"questions_total": 1, "passes_open": 1})
    answered = {"questions_answered_total": 1, "passes_open_for_others": 1}
    wait_until(lambda: figures(two.a) == answered)
    status, text = two.b.ask("GET", "/metrics")
    assert status == 200 and "# TYPE codewire_relay_questions_total counter\n" in text
    assert "# TYPE codewire_relay_passes_open gauge\ncodewire_relay_passes_open 1\n" in text
    client.shutdown(1000)
    assert node.receive() is None
    wait_until(lambda: "passes_open" not in figures(two.b))
    wait_until(lambda: "passes_open_for_others" not in figures(two.a))
    two.uplink.close()
    wait_until(lambda: len(two.a.relay.hub) == 0)
    now, url = time.time_ns(), two.a.relay.settings.advertise_url
    claim = whereabouts.claim
    two.a.store.write(lambda tx: claim(tx, "proj", "dev-1", url, "x", now))
    assert two.b.dial(PATH, ADMIN)[0] == 503
    assert figures(two.b) == {"questions_total": 2, "questions_failed_refused_total": 1}
    assert figures(two.a)["questions_denied_said_no_total"] == 1
    place = f"http://127.0.0.1:{free_port()}"
    two.a.store.write(lambda tx: claim(tx, "proj", "dev-1", place, "y", now))
    assert two.b.dial(PATH, ADMIN)[0] == 503
    assert figures(two.b)["questions_failed_unreachable_total"] == 1


def test_another_owners_node_is_out_of_reach(two: Two) -> None:
    """Through the other relay as through its own: nothing is asked of that one."""
    name, network = "dev-2", "proj"
    path = f"/api/v1/nodes/{name}/ws?network_id={network}&service=node"
    owner, member = login(two.a, "owner", network), login(two.a, "member", network)
    stranger = login(two.a, "stranger", "other")
    uplink = two.a.uplink(own(two.a, owner, name), **NODE)
    for token, status in ((member, 403), (stranger, 403)):
        assert [site.dial(path, token)[0] for site in (two.a, two.b)] == [status, status]
    for site in (two.a, two.b):
        assert site.ask("GET", LIST, token=stranger)[0] == 403
        # A member sees that it is there, and that it is another's.
        [seen] = [n for n in site.ok("GET", LIST, token=member) if n["name"] == name]
        assert seen["connected"] and not seen["owned"]
        everywhere = site.ok("GET", "/api/v1/nodes?all=true", token=stranger)
        assert everywhere == []
    assert "questions_total" not in figures(two.b)
    uplink.close()


def test_peers_of_two_relays_are_told_that_nobody_introduces_them(two: Two) -> None:
    listener = join(two.a, credential(two.a, two.token))
    listener.send_control({"type": "node", "node": introduced(LISTENER)})
    dialer = join(two.b, credential(two.b))
    for name in ("nobody", "dev-1"):
        dialer.send_control({"type": "subscribe", "target_node": name})
    # Of a node that is nowhere nothing is said: it may come.
    said = {"type": "error", "error": 'node "dev-1" is connected to another relay than this peer'}
    assert next_message(dialer) == said
    # At its own relay it is introduced.
    near = join(two.a, credential(two.a))
    near.send_control({"type": "subscribe", "target_node": "dev-1"})
    told = next_message(near)
    assert told is not None and told["type"] == "peer_update"


def test_a_relay_alone_has_no_such_door(site: Site) -> None:
    site.enrol()
    assert site.dial("/internal/ask/dev-1?network_id=proj", ADMIN)[0] == 404


def test_a_relay_without_an_url_says_what_it_misses(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    third = Site(two.directory, two.url)
    try:
        assert "give each its --advertise-url" in caplog.text
        assert two.a.relay.settings.advertise_url in caplog.text
    finally:
        third.close()


def test_an_orderly_end_lets_go_of_the_nodes(two: Two) -> None:
    two.a.relay.stop()
    assert not two.connected(two.b)
