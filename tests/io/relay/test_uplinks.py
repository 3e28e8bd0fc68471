"""Nodes' uplinks and streams of events on a running relay."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from codewire.relay.store import networks, people
from codewire.wire.frames import CONTROL
from codewire.wire.websocket import Closed, Receiver
from tests.io.relay.site import Events, Site, in_parallel, next_message
from tests.processes import wait_until

NODES = "/api/v1/nodes?network_id=proj"
WATCH = "/api/v1/access/cache/events?network_id=proj"


def close_code(sock) -> int:
    """Return the code of the close frame that comes."""
    receiver = Receiver(is_server=False)
    while True:
        event = receiver.next_event()
        if isinstance(event, Closed):
            return event.code
        if event is None:
            data = sock.recv(4096)
            assert data, "ended without a goodbye"
            receiver.feed(data)


def test_an_uplink_is_there_before_the_node_knows(site: Site) -> None:
    token = site.enrol()
    site.uplink(token, X_CodeWire_Peer_URL="wss://x/peer", X_CodeWire_Features="back-control")
    [node] = site.ok("GET", NODES)
    assert (node["peer_url"], node["connected"]) == ("wss://x/peer", True)
    assert (node["owned"], node["features"]) == (True, ["back-control"])
    uplink = site.relay.hub.find("proj", "dev-1")
    assert uplink is not None and uplink.features == ("back-control",)


def test_the_relay_speaks_to_its_node(site: Site) -> None:
    stream = site.uplink(site.enrol())
    uplink = site.relay.hub.find("proj", "dev-1")
    assert uplink is not None
    asked = {"type": "SSHRequest", "session_id": "0" * 32, "cols": 80, "rows": 24}
    assert uplink.send(asked)
    assert next_message(stream) == asked


def test_who_has_no_token_is_refused(site: Site) -> None:
    assert site.dial("/node/connect", "wrong")[0] == 401
    assert site.ask("GET", "/node/connect", token="wrong") == (401, "unauthorized\n")


def test_no_upgrade_changes_nothing(site: Site) -> None:
    token = site.enrol()
    site.uplink(token, X_CodeWire_Peer_URL="wss://x/peer").close()
    status, _ = site.ask("GET", "/node/connect", token=token, X_CodeWire_Peer_URL="wss://evil")
    assert status == 426
    assert site.ok("GET", NODES)[0]["peer_url"] == "wss://x/peer"


def test_the_newest_uplink_wins_and_keeps(site: Site) -> None:
    token = site.enrol()
    first, second = site.uplink(token), site.uplink(token)
    assert close_code(first._sock) == 4409
    first.close()
    uplink = site.relay.hub.find("proj", "dev-1")
    assert uplink is not None and uplink.send({"type": "Hello"})
    assert next_message(second) == {"type": "Hello"}
    wait_until(lambda: site.relay.status()["connections"] < 3)
    assert site.relay.hub.find("proj", "dev-1") is uplink


def test_a_revoked_node_is_dropped(site: Site) -> None:
    token = site.enrol()
    stream = site.uplink(token)
    site.ok("DELETE", "/api/v1/nodes/dev-1?network_id=proj")
    assert close_code(stream._sock) == 4401
    assert site.dial("/node/connect", token)[0] == 401


def test_a_replaced_token_drops_the_uplink(site: Site) -> None:
    stream = site.uplink(site.enrol())
    token = site.enrol()
    assert close_code(stream._sock) == 4401
    site.uplink(token)


def test_a_message_too_large(site: Site) -> None:
    stream = site.uplink(site.enrol())
    stream.send_frame(CONTROL, b'{"x":"' + b"y" * 32768 + b'"}')
    assert close_code(stream._sock) == 1009


def test_what_is_not_understood_is_ignored(site: Site) -> None:
    stream = site.uplink(site.enrol())
    for data in (b"{", b"[]", b'{"type":"Unknown"}', b'{"type":"TaskReport"}', b"\xc3\xa9"):
        stream.send_frame(CONTROL, data)
    stream.send_data(b"\0")
    report = {
        "type": "TaskReport",
        "event_id": "e1",
        "session_id": 3,
        "summary": "s",
        "state": "working",
        "timestamp": "2026-04-03T10:00:00Z",
    }
    for _ in range(2):
        stream.send_control(report)
    wait_until(lambda: site.ok("GET", "/api/v1/tasks?network_id=proj"))
    assert site.ok("GET", "/api/v1/tasks?network_id=proj&node=dev-1&session_id=3") == [
        {
            "event_id": "e1",
            "stream_seq": 1,
            "network_id": "proj",
            "node_name": "dev-1",
            "session_id": 3,
            "summary": "s",
            "state": "working",
            "timestamp": "2026-04-03T10:00:00Z",
        }
    ]
    reader = Events(site.send("GET", "/api/v1/tasks/events?network_id=proj"))
    event = reader.next()
    assert (event["id"], event["event"]) == ("1", "task.report")
    assert json.loads(event["data"])["summary"] == "s"
    assert site.ok("GET", "/api/v1/tasks?network_id=proj&state=failed") == []


# Events


def grant(site: Site) -> str:
    body = {"network_id": "proj", "target_node": "d", "session_name": "s", "audience": "admin"}
    return str(site.ok("POST", "/api/v1/access-grants", body)["grant_id"])


def revoke(site: Site) -> str:
    identity = grant(site)
    site.ok("DELETE", f"/api/v1/access-grants/{identity}?network_id=proj")
    return identity


def test_a_revocation_reaches_its_readers(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever revokes wakes them: nobody waits until the store is looked at again.
    monkeypatch.setattr("codewire.relay.uplinks.feeds.POLL_SECONDS", 600)
    identity = grant(site)
    readers = [Events(site.send("GET", WATCH)) for _ in range(3)]
    site.ok("DELETE", f"/api/v1/access-grants/{identity}?network_id=proj")
    for reader in readers:
        event = reader.next()
        assert (event["id"], event["event"]) == ("1", "access.grant.revoked")
        data = json.loads(event["data"])
        assert data.pop("revoked_at")
        assert data == {
            "seq": 1,
            "type": "access.grant.revoked",
            "network_id": "proj",
            "grant_id": identity,
        }


def test_who_is_removed_reads_no_more(site: Site) -> None:
    def enter(tx: Any) -> None:
        for name in ("ann", "bob"):
            networks.ensure(tx, "proj", 1)
            networks.add_member(tx, "proj", f"oidc:{name}", "member", "", 1)
            people.upsert_oidc(tx, name, name, "", 1)
            people.session_create(
                tx, f"sess_{name}", subject=f"oidc:{name}", expires_at=1 << 62, now=1
            )

    site.store.write(enter)
    ann, bob = (Events(site.send("GET", WATCH, token=f"sess_{n}")) for n in ("ann", "bob"))
    site.ok("DELETE", "/api/v1/networks/proj/members/oidc:ann")
    assert ann.next() == {}
    assert site.ask("GET", WATCH, token="sess_ann")[0] == 403
    revoke(site)
    assert bob.next()["id"] == "1"


def test_a_reader_continues_where_it_was(site: Site, tmp_path: Path) -> None:
    identities = [revoke(site) for _ in range(3)]
    reader = Events(site.send("GET", WATCH, Last_Event_ID="1"))
    assert [json.loads(reader.next()["data"])["grant_id"] for _ in range(2)] == identities[1:]
    later = revoke(site)
    assert json.loads(reader.next()["data"])["grant_id"] == later


@pytest.mark.parametrize("last", ["-1", "x", "1.0", "9" * 30, "٣"])
def test_an_id_that_is_none(site: Site, last: str) -> None:
    if last.isascii():
        assert site.ask("GET", WATCH, Last_Event_ID=last) == (400, "invalid Last-Event-ID\n")


def test_a_reader_continues_over_a_restart(tmp_path: Path) -> None:
    first = Site(tmp_path)
    identities = [revoke(first) for _ in range(2)]
    first.close()
    second = Site(tmp_path)
    later = revoke(second)
    reader = Events(second.send("GET", WATCH, Last_Event_ID="1"))
    seen = [json.loads(reader.next()["data"]) for _ in range(2)]
    assert [(e["seq"], e["grant_id"]) for e in seen] == [(2, identities[1]), (3, later)]
    second.close()


def test_an_id_from_elsewhere_resets(site: Site) -> None:
    revoke(site)
    reader = Events(site.send("GET", WATCH, Last_Event_ID="77"))
    event = reader.next()
    assert (event["event"], event["id"]) == ("stream.reset", "1")
    assert json.loads(event["data"]) == {
        "seq": 1,
        "type": "stream.reset",
        "network_id": "proj",
    }
    revoke(site)
    assert reader.next()["id"] == "2"


def test_what_retention_took_resets(site: Site) -> None:
    for _ in range(3):
        revoke(site)
    week = 8 * 86400 * 1_000_000_000
    site.store.sweep(time.time_ns() + week)
    assert Events(site.send("GET", WATCH, Last_Event_ID="3")).status == 200
    event = Events(site.send("GET", WATCH, Last_Event_ID="2")).next()
    assert (event["event"], event["id"]) == ("stream.reset", "3")


def test_all_that_was_missed_comes(site: Site) -> None:
    from codewire.relay.store import events

    def many(tx) -> None:
        for number in range(3000):
            events.append(tx, "proj", "access", "x", {"number": number}, 1)

    site.store.write(many)
    reader = Events(site.send("GET", WATCH, Last_Event_ID="1"))
    seen = [int(reader.next()["id"]) for _ in range(2999)]
    assert seen == list(range(2, 3001))
    fresh = Events(site.send("GET", WATCH))
    assert [int(fresh.next()["id"]) for _ in range(256)] == list(range(2745, 3001))


# Many at once


def test_the_first_calls_make_one_key(site: Site) -> None:
    site.ok("POST", "/api/v1/networks", {"network_id": "proj"})
    path = "/api/v1/network-auth/runtime/client?network_id=proj"
    got = in_parallel(24, lambda _: site.ask("POST", path)[0])
    assert got == [200] * 24
    assert len(site.ok("GET", "/api/v1/network-auth/bundle?network_id=proj")["keys"]) == 1


def test_an_invite_of_five_lets_five_in(site: Site) -> None:
    site.ok("POST", "/api/v1/networks", {"network_id": "proj"})
    body = {"network_id": "proj", "uses": 5}
    token = site.ok("POST", "/api/v1/invites", body)["token"]
    site.relay.limiter.check = lambda *_: None  # type: ignore[method-assign]

    def join(index: int) -> int:
        body = {"node_name": f"n{index}", "invite_token": token}
        return site.ask("POST", "/api/v1/join", body, token="")[0]

    got = sorted(in_parallel(50, join))
    assert got == [200] * 5 + [403] * 45
    assert len(site.ok("GET", NODES)) == 5


def test_a_stop_ends_everything(tmp_path: Path) -> None:
    site = Site(tmp_path)
    stream = site.uplink(site.enrol())
    reader = Events(site.send("GET", WATCH))
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(site.relay.stop()))
    thread.start()
    assert next_message(stream) is None
    assert reader.next() == {}
    thread.join(20)
    # All of it ended by itself, within the time there is for that.
    assert ended == [True]
    site.close()
