"""A local runtime's node in a relay's network, over an engine that is played."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playedengine import Engine, create, played_engine
from tests.support import wait_until
from tests.uplinks import NETWORK, TOKEN, Net


@pytest.fixture
def net() -> Iterator[Net]:
    """A relay with a network of no nodes; the runtimes are of `client`."""
    net = Net("threads")
    try:
        net.start_relay()
        net.ask("POST", "/api/v1/networks", {"network_id": NETWORK})
        yield net
    finally:
        net.close()


@pytest.fixture
def engine(net: Net) -> Iterator[Engine]:
    with played_engine(net.client) as engine:
        yield engine


def nodes(net: Net) -> dict[str, bool]:
    found = net.ask("GET", f"/api/v1/nodes?network_id={NETWORK}")
    return {node["name"]: node["connected"] for node in found}


def test_a_runtime_is_reached_from_elsewhere_in_the_network(net: Net, engine: Engine) -> None:
    here, elsewhere = net.client, net.node
    done = create(here, engine, "--image", "cwbase", "--name", "box", "--network", NETWORK)
    assert done.returncode == 0 and "✓ Joined network proj (node: box)." in done.stderr, done
    assert here.cw("launch", "--on", "box", "--dir", "/", "bot", "--", "cat").returncode == 0
    wait_until(lambda: nodes(net) == {"box": True}, 60, "the node inside has an uplink")
    [session] = json.loads(elsewhere.cw("list", "box", "--json").stdout)
    assert (session["name"], session["status"]) == ("bot", "running")
    assert elsewhere.cw("send", "box:bot", "typed elsewhere").returncode == 0
    assert here.cw("wait", "box:bot", "--for", "typed elsewhere").returncode == 0
    # The node's token is in its own file alone.
    (kept,) = Path(engine.directory, "home-cw-box").rglob("config.toml")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    (token,) = [line for line in kept.read_text().splitlines() if "node_token" in line]
    secret = token.split('"')[1]
    records = Path(here.data_dir, "local_instances.toml").read_text()
    seen = done.stdout + done.stderr + records + json.dumps([engine.argvs(), engine.containers()])
    for hidden in (secret, TOKEN, "cw_enr_"):
        assert len(hidden) > 6 and hidden not in seen
    again = create(elsewhere, engine, "--image", "cwbase", "--name", "box", "--network", NETWORK)
    assert "has a node box already: choose another --name" in again.stderr
    assert "Network:   proj (node: box)\n" in here.cw("local", "info", "box").stdout
    assert here.cw("local", "stop", "box").returncode == 0
    before = len(engine.argvs("exec"))
    assert here.cw("local", "start", "box").returncode == 0
    assert len(engine.argvs("exec")) == before + 1, "the node is started again"
    assert here.cw("local", "rm", "box").returncode == 0
    assert nodes(net) == {}


def test_what_a_network_in_vain_leaves(net: Net, engine: Engine) -> None:
    here = net.client

    def made(name: str, *args: str) -> tuple[int, str, bool]:
        done = create(here, engine, "--image", "cwbase", "--name", name, *args)
        known = Path(engine.directory, "state.json").exists() and engine.containers()
        return done.returncode, done.stderr, bool(known) and f"cw-{name}" in engine.containers()

    # A network is selected; whether runtimes shall be in it has not been said.
    code, said, is_there = made("asks")
    assert (code, is_there) == (0, True) and "'--network proj' has it join that one" in said
    code, said, is_there = made("alone", "--no-network")
    assert (code, is_there) == (0, True) and "network" not in said
    bare = create(here, engine, "--image", "nopython", "--name", "bare", "--network", NETWORK)
    assert bare.returncode == 1 and "bare is not in network proj: the image has no" in bare.stderr
    assert "cw-bare" in engine.containers()
    config = Path(here.data_dir, "config.toml")
    config.write_text("relay_auto_join_private = true\n")
    code, said, is_there = made("joins")
    assert (code, is_there) == (0, True) and "Joined network proj (node: joins)" in said, said
    net.kill_relay()
    # Asked for in words: nothing is made. By habit: made, and said.
    code, said, is_there = made("named", "--network", NETWORK)
    assert (code, is_there) == (1, False) and "cannot be reached" in said, said
    code, said, is_there = made("habit")
    assert (code, is_there) == (0, True) and "! It joins no network: " in said, said
    removed = here.cw("local", "rm", "joins")
    assert removed.returncode == 0 and "network proj still lists the node joins" in removed.stderr
