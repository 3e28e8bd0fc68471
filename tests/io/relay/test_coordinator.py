"""The mesh's introductions (spec/peer.md 4): admission, ids, who is told of whom."""

from __future__ import annotations

from typing import Any

import pytest

from codewire.errors import ProtocolError
from codewire.io.websockets import WebSocketStream
from codewire.relay.uplinks.coordinator import MAX_LIST_BYTES, fitting
from codewire.relay.uplinks.introduction import read_node
from codewire.wire.control import encode_control
from codewire.wire.tailnet import address_of, dialer_id, stable_id
from tests.io.relay.site import Site, next_message
from tests.processes import wait_until

PATH = "/api/v1/tailnet/coordinate"
LISTENER = stable_id("proj", "node", "dev-1")
DIALER = dialer_id(bytes(16))


def credential(site: Site, node_token: str = "") -> str:
    if node_token:
        path = "/api/v1/network-auth/runtime/node"
        return str(site.ok("POST", path, {}, token=node_token)["credential"])
    path = "/api/v1/network-auth/runtime/client?network_id=proj"
    return str(site.ok("POST", path, {})["credential"])


def join(site: Site, token: str, role: str = "") -> WebSocketStream:
    status, stream = site.dial(PATH + (f"?role={role}" if role else ""), token)
    assert stream is not None, status
    first = next_message(stream)
    assert first is not None and first["type"] == "derp_map"
    return stream


def node(identity: str, **changed: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "as_of": "2026-04-03T10:00:00Z",
        "key": "nodekey:" + "1" * 64,
        "disco_key": "discokey:" + "2" * 64,
        "preferred_derp": 1,
        "endpoints": None,
        "addresses": [address_of(identity)],
        **changed,
    }


def say(stream: WebSocketStream, identity: str, **changed: Any) -> None:
    stream.send_control({"type": "node", "node": node(identity, **changed)})


def ids(message: dict[str, Any] | None) -> list[str]:
    assert message is not None and message["type"] == "peer_update", message
    return [found["id"] for found in message["nodes"]]


def test_the_map_names_this_relay(site: Site) -> None:
    site.enrol()
    _, stream = site.dial(PATH, credential(site))
    assert stream is not None
    assert next_message(stream) == {
        "type": "derp_map",
        "derp_map": {
            "Regions": {
                "1": {
                    "RegionID": 1,
                    "RegionCode": "cw",
                    "RegionName": "Codewire Embedded",
                    "Nodes": [
                        {
                            "Name": "1a",
                            "RegionID": 1,
                            "HostName": "relay.example",
                            "DERPPort": 443,
                            "STUNPort": -1,
                        }
                    ],
                }
            }
        },
    }


def test_a_credential_admits_once(site: Site) -> None:
    token = site.enrol()
    runtime = credential(site, token)
    join(site, runtime)
    assert site.dial(PATH, runtime)[0] == 401
    for wrong in ("", "x", "cwrt1.e30.x", runtime + "A", runtime[:-8] + "AAAAAAAA"):
        assert site.dial(PATH, wrong)[0] == 401
    # A failed upgrade uses it up, too.
    runtime = credential(site, token)
    assert site.ask("GET", PATH, token=runtime)[0] == 426
    assert site.dial(PATH, runtime)[0] == 401


def test_who_is_no_longer_there_is_refused(site: Site) -> None:
    runtime = credential(site, site.enrol())
    site.ok("DELETE", "/api/v1/nodes/dev-1?network_id=proj")
    assert site.dial(PATH, runtime)[0] == 401


def test_a_revoked_node_is_dropped(site: Site) -> None:
    listener = join(site, credential(site, site.enrol()))
    site.ok("DELETE", "/api/v1/nodes/dev-1?network_id=proj")
    assert next_message(listener) is None
    wait_until(lambda: not len(site.relay.coordinator))


def test_dialer_and_listener_are_introduced(site: Site) -> None:
    listener = join(site, credential(site, site.enrol()))
    say(listener, "00000000-0000-0000-0000-000000000000", addresses=[])
    # Who subscribes while it is taken in may be told of it twice.
    wait_until(lambda: site.relay.coordinator._peers[LISTENER].node)
    dialer = join(site, credential(site))
    say(dialer, DIALER)
    dialer.send_control({"type": "subscribe", "target_node": "dev-1"})
    told = next_message(dialer)
    assert ids(told) == [LISTENER]
    assert told is not None and told["nodes"][0]["addresses"] == [address_of(LISTENER)]
    assert ids(next_message(listener)) == [DIALER]
    # What one says later, the other hears.
    say(listener, LISTENER, preferred_derp=2)
    told = next_message(dialer)
    assert told is not None and told["nodes"][0]["preferred_derp"] == 2
    second = join(site, credential(site))
    other = dialer_id(b"\x01" * 16)
    say(second, other)
    second.send_control({"type": "subscribe", "target_node": "dev-1"})
    assert ids(next_message(listener)) == [DIALER, other]
    dialer.close()
    assert ids(next_message(listener)) == [other], "one that left is no longer named"


def test_a_listener_that_comes_back_is_found(site: Site) -> None:
    token = site.enrol()
    first = join(site, credential(site, token))
    say(first, LISTENER)
    for _ in range(3):
        again = join(site, credential(site, token))
        say(again, LISTENER)
        assert next_message(first) is None
        first.close()
        first = again
    dialer = join(site, credential(site))
    say(dialer, DIALER)
    dialer.send_control({"type": "subscribe", "target_node": "dev-1"})
    assert ids(next_message(dialer)) == [LISTENER]
    assert ids(next_message(first)) == [DIALER]


def test_a_node_may_dial_as_another_peer(site: Site) -> None:
    token = site.enrol()
    join(site, credential(site, token))
    dialer = join(site, credential(site, token), role="dial")
    say(dialer, DIALER)
    wait_until(lambda: set(site.relay.coordinator._peers) == {LISTENER, DIALER})


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "node"}, "node update requires node payload"),
        ({"type": "node", "node": {"key": "x"}}, "bad request"),
        ({"type": "subscribe"}, "subscribe requires target_node"),
        ({"type": "dance"}, 'unsupported request type "dance"'),
        ({}, 'unsupported request type ""'),
    ],
)
def test_what_is_wrong_is_told(site: Site, message: dict[str, Any], text: str) -> None:
    site.enrol()
    stream = join(site, credential(site))
    stream.send_control(message)
    assert next_message(stream) == {"type": "error", "error": text}
    # An unknown target: silence.
    stream.send_control({"type": "subscribe", "target_node": "nobody"})
    stream.send_control({"type": "x"})
    assert next_message(stream) == {"type": "error", "error": 'unsupported request type "x"'}


# What a peer says of itself


@pytest.mark.parametrize(
    "changed",
    [
        {"id": LISTENER},
        {"id": "x"},
        {"id": DIALER.upper() + "0"},
        {"id": 3},
        {"key": "nodekey:" + "g" * 64},
        {"key": "1" * 64},
        {"disco_key": "discokey:1"},
        {"addresses": [address_of(LISTENER)]},
        {"addresses": [address_of(DIALER), address_of(LISTENER)]},
        {"endpoints": "x"},
        {"endpoints": [1]},
        {"endpoints": ["x" * 100]},
        {"as_of": "yesterday"},
        {"preferred_derp": "1"},
        {"preferred_derp": -1},
        {"derp_latency": {"1": "x"}},
    ],
)
def test_nobody_speaks_for_another(changed: dict[str, Any]) -> None:
    assert read_node(node(DIALER), dialer_id(b"\x02" * 16), False).identity == DIALER
    with pytest.raises(ProtocolError):
        read_node(node(DIALER, **changed), dialer_id(b"\x02" * 16), False)


def test_an_empty_introduction() -> None:
    found = read_node({}, LISTENER, True)
    assert found.identity == LISTENER
    assert found.node["addresses"] == [address_of(LISTENER)] and found.node["endpoints"] == []


def test_lists_fit_a_go_client() -> None:
    nodes = [node(DIALER, number=n) for n in range(500)]
    kept = fitting(nodes)
    assert kept == nodes[-len(kept) :] and len(kept) > 50
    assert len(encode_control({"nodes": kept})) < MAX_LIST_BYTES + 100
