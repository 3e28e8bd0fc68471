"""A node behind a relay, reached by its name from elsewhere (spec/relay.md 6, 9)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.uplinks import TOKEN, Net


@pytest.fixture
def net(runtime: str) -> Iterator[Net]:
    net = Net(runtime)
    try:
        net.start()
        yield net
    finally:
        net.close()


@pytest.fixture
def gevent_net() -> Iterator[Net]:
    net = Net("gevent")
    try:
        net.start()
        yield net
    finally:
        net.close()


def test_a_revoked_node_stops_and_is_never_taken_for_this_one(gevent_net: Net) -> None:
    net = gevent_net
    client, node = net.client, net.node
    assert client.cw("list", "dev-1").returncode == 0
    net.ask("DELETE", "/api/v1/nodes/dev-1?network_id=proj")
    net.wait_for("stopped")
    assert "it was revoked or replaced" in net.uplink()["error"]
    assert node.node_output().count("no connection to the relay") == 1
    assert "revoked or replaced" in node.cw("doctor").stdout
    assert "stopped: " in node.cw("node", "status").stdout
    # The name is remembered for a minute.
    launched = client.cw("launch", "dev-1", "--", "true")
    assert launched.returncode == 1 and "no such node" in launched.stderr, launched.stderr
    # A token of its own again, and the uplink is back without a restart.
    made = net.ask("POST", "/api/v1/node-enrollments", {"network_id": "proj"})
    body = {"enrollment_token": made["enrollment_token"], "node_name": "dev-1"}
    token = net.ask("POST", "/api/v1/node-enrollments/redeem", body)["node_token"]
    config = Path(node.data_dir, "config.toml")
    config.write_text(re.sub('relay_node_token = ".*"', f'relay_node_token = "{token}"',
                             config.read_text()))  # fmt: skip
    net.wait_for("connected")
    assert client.cw("list", "dev-1").returncode == 0
    net.kill_relay()
    launched = client.cw("launch", "dev-1", "--", "true")
    assert launched.returncode == 1 and "through relay" in launched.stderr, launched.stderr
    # A name that is no node's is a session's, whether the relay answers or not.
    os.unlink(Path(client.data_dir, "relay_nodes.json"))
    assert client.cw("launch", "planner", "--", "true").returncode == 0
    assert TOKEN not in node.node_output() and token not in node.node_output()
