"""Every command about sessions, through a relay: the same stdout and exit code as on the node."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from codewire.commands.table import AGENTS, MESSAGING, SESSIONS, TABLE
from tests.e2e.test_uplink import gevent_net, net
from tests.support import Home, wait_until
from tests.terminal import Terminal
from tests.uplinks import Net

__all__ = ["gevent_net", "net"]

# What each is given here, and from elsewhere: `{}` is nothing and "dev-1:", {node} nothing and
# dev-1, {on} and {server} the same by an option. Sessions 1 (cat, `bot`) and 2 (ended with 3, tag
# `build`) are there; what changes more than a line says stands last.
COMMANDS = (
    # While it has shown nothing: its screen is looked at a moment after it has.
    ("agent explain {}bot", 0),
    ("list {node}", 0),
    ("list --json {node}", 0),
    ("list --network proj {node}", 0),
    ("status {}bot", 0),
    ("status --json {}2", 0),
    ("logs {}2", 0),
    ("logs --tail 1 {}2", 0),
    ("screen {}bot", 0),
    ("watch {}2", 0),
    ("wait {}2", 0),
    ("wait {}9", 1),
    ("wait {}bot --timeout 2", 124),
    ("send {}2 x", 1),
    ("send {}bot typed", 0),
    ("prompt {}2 question", 1),
    ("report working --session {}bot", 0),
    ("approvals {}bot", 0),
    ("approve {}2-1eb7efda", 1),
    ("restore --dry-run {}2", 1),
    ("msg {}bot hello", 0),
    ("request {}bot question --timeout 6", 124),
    ("{server} reply req_x yes --reply-token rpl_x", 1),
    ("{server} kv set build/a green", 0),
    ("{server} kv get build/a", 0),
    ("{server} kv list build/", 0),
    ("{server} kv delete build/a", 0),
    ("{server} kv get build/a", 1),
    ("relaunch {}2", 0),
    ("kill {}nosuch", 1),
    ("launch {}new -- true", 0),
    ("run {on} -- true", 0),
    # Without an option of a session it runs where it is typed.
    ("exec {on} --name ran -- true", 0),
)
# One of each kind: a list, a stream, a letter, an error.
A_FEW = ("list --json {node}", "logs {}2", "msg {}bot hello", "kill {}nosuch")
# What ends with session `live`, or (subscribe) never: begun before the session goes on.
STREAMS = (
    "watch {}live",
    "logs -f {}live",
    "wait {}live",
    "subscribe --json --session {}live --event session.status",
)
# What is not compared that way, and why.
EXCUSED = {
    "inbox": "needs a grant through a relay",
    "listen": "needs a grant through a relay",
    "attach": "shows a terminal: below",
    "top": "shows a screen of its own: below",
    "kv": "is the group of its commands",
    "mcp-server": "speaks a protocol: below",
    "hook": "asks whoever decides on this machine",
    "gateway": "decides on this machine",
    "integrate": "changes files of this machine",
}


def words(line: str, is_elsewhere: bool) -> list[str]:
    """Return a command line for here or for elsewhere."""
    prefix, node = ("dev-1:", "dev-1") if is_elsewhere else ("", "")
    on, server = ("--on dev-1", "--server dev-1") if is_elsewhere else ("", "")
    return line.format(prefix, node=node, on=on, server=server).split()


def ageless(text: str) -> str:
    """Return what was printed without what time it is, and without numbers that are given once."""
    text = re.sub(r'("\w+_(?:seconds|at|ms)": ?|"timestamp": ?)[^,\n}]+', r"\1T", text)
    text = re.sub(r"\b(req|msg)_\w+", r"\1_ID", text).replace("dev-1:", "")
    text = re.sub(r"\bession \d+", "ession N", text)
    # Of a state: who said it, which is nobody until it has been looked at for the first time.
    text = re.sub(r"\b(Since|Source|Rule|Silent for): +.*", r"\1: T", text)
    return re.sub(r"\d+[smh] ago *|for \d+[smh]", "AGE", text)


def said(home: Home, line: str, is_elsewhere: bool) -> tuple[int, str]:
    done = home.cw(*words(line, is_elsewhere))
    return done.returncode, ageless(done.stdout)


def begin(net: Net) -> None:
    assert net.client.cw("launch", "dev-1:bot", "--", "cat").returncode == 0
    ended = ("-t", "build", "--", "sh", "-c", "echo a; echo b; exit 3")
    done = net.client.cw("launch", "dev-1", *ended)
    assert done.returncode == 0 and "Session 2 launched: sh -c" in done.stdout + done.stderr
    net.node.wait_finished(2)
    looked = re.compile(r"Source: +screen")
    explain = ("agent", "explain", "bot")
    wait_until(lambda: looked.search(net.node.cw(*explain).stdout), 30, "it was looked at")


def compare(net: Net, commands: Iterable[tuple[str, int]]) -> None:
    for line, code in commands:
        here = said(net.node, line, False)
        assert (here[0], said(net.client, line, True)) == (code, here), line


# Some eighty processes, one after the other.
@pytest.mark.timeout(300)
def test_every_command_says_the_same_from_elsewhere(gevent_net: Net) -> None:
    begin(gevent_net)
    compare(gevent_net, COMMANDS)
    streams(gevent_net)
    assert gevent_net.client.processes() == [], "a command for another node started one here"


@pytest.mark.smoke
def test_each_kind_of_command_on_each_runtime(net: Net) -> None:
    client = net.client
    begin(net)
    compare(net, [one for one in COMMANDS if one[0] in A_FEW])
    [row] = json.loads(client.cw("node", "list", "--json").stdout)
    assert (row["name"], row["connected"], row["owned"]) == ("dev-1", True, True)
    assert row["owner_subject"] == "admin" and row["features"] == ["stream", "back-control"]
    shown = client.cw("nodes").stdout.splitlines()
    assert shown[0].split() == ["NAME", "STATUS", "LAST", "SEEN", "OWNER", "FEATURES"]
    assert re.fullmatch(r"dev-1 +online +\d+s ago +admin \(you\) +stream,back-control", shown[1])
    unknown = client.cw("list", "dev-2")
    assert unknown.returncode == 1
    assert f"network proj of relay {net.url} has no node of that name" in unknown.stderr
    assert client.processes() == [], "a command for another node started one here"


def streams(net: Net) -> None:
    """Run each of STREAMS here and there at the same time; what they print must be the same."""
    go = Path(net.node.path, "go")
    script = f"echo begun; until [ -e {go} ]; do sleep 0.05; done; echo over; exit 4"
    net.node.launch("sh", "-c", script, name="live")
    for_both = [(net.node, False), (net.client, True)]
    running = {
        line: [home.popen(*words(line, is_elsewhere)) for home, is_elsewhere in for_both]
        for line in STREAMS
    }
    for line, processes in running.items():
        for process in processes:
            if line.startswith(("watch", "logs")):
                assert process.stdout is not None and b"begun" in process.stdout.readline()
            if line.startswith("subscribe"):
                assert process.stderr is not None and b"subscribed" in process.stderr.readline()
    go.touch()
    for line, processes in running.items():
        here, there = (read(line, process) for process in processes)
        assert here == there and here[1], line


def read(line: str, process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Return exit code and stdout of a stream; of one that does not end, the first line's."""
    if line.startswith("subscribe"):
        assert process.stdout is not None
        first = process.stdout.readline()
        process.terminate()
        return process.wait(60), ageless(first.decode())
    stdout, _ = process.communicate(timeout=60)
    return process.returncode, ageless(stdout.decode())


def test_what_shows_a_terminal_shows_it_from_elsewhere(gevent_net: Net) -> None:
    begin(gevent_net)
    screens = (
        (("attach", "dev-1:bot"), b"attached to session 1", b"\x02d"),
        (("top", "dev-1"), b"bot", b"q"),
    )
    for command, shown, leave in screens:
        terminal = Terminal()
        try:
            terminal.process = gevent_net.client.popen(*command, **terminal.streams)
            terminal.expect(shown)
            terminal.expect_raw()
            terminal.type(leave)
            assert terminal.wait() == 0
        finally:
            terminal.close()


def test_agents_reach_it_by_tools(gevent_net: Net) -> None:
    begin(gevent_net)
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t"}}
    calls: tuple[dict[str, Any], ...] = (
        {"id": 1, "method": "initialize", "params": hello},
        {"id": 2, "method": "tools/call", "params": {"name": "codewire_list_sessions"}},
    )
    sessions = json.loads(told(gevent_net.client, "--server", "dev-1", calls=calls))
    assert [session["id"] for session in sessions] == [1, 2]
    # Of a server for the node here, a single call may be for another.
    arguments = {"key": "k", "value": "there", "node": "dev-1"}
    calls[1]["params"] = {"name": "codewire_kv_set", "arguments": arguments}
    assert told(gevent_net.client, calls=calls) == "Set default/k"
    assert gevent_net.node.cw("kv", "get", "k").stdout == "there\n"
    assert gevent_net.client.cw("kv", "get", "k").returncode == 1
    del arguments["value"]
    calls[1]["params"] = {"name": "codewire_kv_get", "arguments": arguments}
    assert told(gevent_net.client, calls=calls) == "there"
    arguments["node"] = f"127.0.0.1:{gevent_net.port}"
    assert "node must be the name of one" in told(gevent_net.client, calls=calls)


def told(home: Home, *flags: str, calls: tuple[dict[str, Any], ...]) -> str:
    """Return what an MCP server answers the last of the calls, which has id 2."""
    with home.popen(*flags, "mcp-server") as server:
        assert server.stdin is not None and server.stdout is not None
        for call in calls:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **call}).encode() + b"\n")
        server.stdin.flush()
        answer: dict[str, Any] = {}
        while answer.get("id") != 2:
            answer = json.loads(server.stdout.readline())
        server.stdin.close()
        assert server.wait(20) == 0
    return str(answer["result"]["content"][0]["text"])


def test_no_command_is_forgotten() -> None:
    """Whoever adds one says here how it is compared, or why it is not."""
    groups = (SESSIONS, MESSAGING, AGENTS)
    all_names = {name for name, command in TABLE.items() if command.group in groups}
    all_names |= {name for name in TABLE if name.startswith(("kv ", "agent "))}
    lines = [line for line, _ in COMMANDS] + list(STREAMS)
    compared = {named(line) for line in lines}
    assert all_names - compared == set(EXCUSED)
    assert not compared & set(EXCUSED)


def named(line: str) -> str:
    """Return the command of a line: its first word, or its first two that are no field."""
    found = [word for word in line.split() if not word.startswith(("{", "-"))]
    both = " ".join(found[:2])
    return both if both in TABLE else found[0]
