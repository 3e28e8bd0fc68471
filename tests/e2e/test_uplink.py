"""A node behind a relay, reached by its name from elsewhere (spec/relay.md 6, 9)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Home, wait_until
from tests.terminal import Terminal
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


# What each command is given for `{}` here, `dev-1:` elsewhere. Sessions 1 (cat, `bot`) and 2 (ended
# with 3, tag `build`) are there; each line leaves them so.
COMMANDS = (
    ("list {node}", 0),
    ("list --json {node}", 0),
    ("status {}bot", 0),
    ("status --json {}2", 0),
    ("logs {}2", 0),
    ("logs --tail 1 {}2", 0),
    ("screen {}bot", 0),
    ("wait {}2", 0),
    ("wait {}9", 1),
    ("send {}2 x", 1),
    ("msg {}bot hello", 0),
    ("request {}bot question --timeout 3", 124),
    ("kill {}nosuch", 1),
)


def said(home: Home, line: str, prefix: str, node: str) -> tuple[int, str]:
    """Return exit code and stdout of a command, without what time it is."""
    words = line.format(prefix, node=node).split()
    done = home.cw(*words)
    text = re.sub(r'("\w+_(?:seconds|at|ms)": )[^,\n]+', r"\1T", done.stdout)
    text = re.sub(r"\b(req|msg)_\w+", r"\1_ID", text).replace("dev-1:", "")
    return done.returncode, re.sub(r"\d+[smh] ago *|for \d+[smh]", "AGE", text)


@pytest.mark.smoke
def test_every_command_says_the_same_from_elsewhere(net: Net) -> None:
    client, node = net.client, net.node
    assert client.cw("launch", "dev-1:bot", "--", "cat").returncode == 0
    done = client.cw("launch", "dev-1", "-t", "build", "--", "sh", "-c", "echo a; echo b; exit 3")
    assert done.returncode == 0 and "Session 2 launched: sh -c" in done.stdout + done.stderr
    node.wait_finished(2)
    for line, code in COMMANDS:
        here = said(node, line, "", "")
        assert (here[0], said(client, line, "dev-1:", "dev-1")) == (code, here), line
    assert client.cw("launch", "--on", "dev-1", "--name", "on", "--", "true").returncode == 0
    node.wait_finished(3)
    [row] = json.loads(client.cw("node", "list", "--json").stdout)
    assert (row["name"], row["connected"], row["owned"]) == ("dev-1", True, True)
    assert row["owner_subject"] == "admin" and row["features"] == ["stream"]
    shown = client.cw("nodes").stdout.splitlines()
    assert shown[0].split() == ["NAME", "STATUS", "LAST", "SEEN", "OWNER", "FEATURES"]
    assert re.fullmatch(r"dev-1 +online +\d+s ago +admin \(you\) +stream", shown[1])
    unknown = client.cw("list", "dev-2")
    assert unknown.returncode == 1
    assert f"network proj of relay {net.url} has no node of that name" in unknown.stderr
    assert client.processes() == [], "a command for another node started one here"


def test_a_killed_relay_costs_no_byte(gevent_net: Net) -> None:
    net = gevent_net
    client, node = net.client, net.node
    go = Path(node.path, "go")
    count = f"for i in $(seq 300); do echo line $i; done; until [ -e {go} ]; do sleep 0.05; done; "
    node.launch("sh", "-c", count + "seq 301 20000; exit 5", name="flood")
    node.launch("cat", name="cat")
    out = Path(client.path, "out")
    terminal = Terminal()
    with out.open("wb") as file:
        following = client.popen("logs", "-f", "dev-1:flood", stdout=file)
        waiting = client.popen("wait", "dev-1:flood")
        terminal.process = client.popen("attach", "dev-1:cat", **terminal.streams)
    try:
        terminal.expect(b"attached to session 2")
        terminal.expect_raw()
        terminal.type(b"before\n")
        terminal.expect(b"before\r\n")
        terminal.expect(b"before\r\n")
        wait_until(lambda: b"line 300" in out.read_bytes(), 30)
        net.kill_relay()
        terminal.expect(b"reconnecting")
        node.kill_worker()
        net.start_relay()
        wait_until(lambda: node.session(2)["attached"], 60, "attached again")
        go.touch()
        terminal.type(b"after\n")
        terminal.expect(b"after\r\n")
        terminal.expect(b"after\r\n")
        terminal.type(b"\x02d")
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert following.wait(60) == 0
    wanted = [*(f"line {n}" for n in range(1, 301)), *map(str, range(301, 20001))]
    assert out.read_text().split("\n")[:-1] == wanted
    stdout, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and stdout.startswith(b"=== flood (exit_code=5)")


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
