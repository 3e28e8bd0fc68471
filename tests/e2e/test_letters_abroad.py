"""Messages, requests and replies between sessions of two nodes, through a relay."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import UsageError
from tests.remote import free_port
from tests.support import CW, REPOSITORY, Home, wait_until
from tests.uplinks import Pair


@pytest.fixture
def pair(runtime: str) -> Iterator[Pair]:
    pair = Pair(runtime)
    try:
        pair.start()
        yield pair
    finally:
        pair.close()


def letters(home: Home, name: str) -> list[dict[str, Any]]:
    """Return what a session's inbox says, oldest first."""
    answer = home.request({"type": "MsgRead", "to_name": name, "tail": 0})
    found: list[dict[str, Any]] = answer["messages"]
    return found


def members(pair: Pair, group: str) -> list[str]:
    found = pair.ask("GET", f"/api/v1/groups/{group}?network_id=proj").get("members", [])
    return [f"{one['node_name']}:{one['session_name']}" for one in found]


@pytest.mark.smoke
def test_three_sessions_on_two_nodes(pair: Pair) -> None:
    here, there = pair.node, pair.other
    pair.ask("POST", "/api/v1/groups", {"network_id": "proj", "name": "mesh"})
    nowhere = here.cw("launch", "--group", "nowhere", "planner", "--", "cat")
    assert nowhere.returncode == 1 and 'group "nowhere" does not exist' in nowhere.stderr
    assert here.cw("list", "--json").stdout.strip() in ("[]", "")
    far = here.cw("--server", "x", "launch", "--group", "mesh", "planner", "--", "cat")
    assert far.returncode == 1 and "--group cannot be combined with --server" in far.stderr
    for home, name in ((here, "planner"), (there, "coder")):
        launched = home.cw("launch", "--group", "mesh", name, "--", "cat")
        assert launched.returncode == 0, launched.stderr
    there.launch("cat", name="reviewer")
    stranger = here.launch("cat", name="stranger")
    assert members(pair, "mesh") == ["dev-1:planner", "dev-2:coder"]

    sent = here.cw("msg", "-f", "planner", "dev-2:coder", "start with auth")
    assert sent.returncode == 0 and "Message sent: msg_" in sent.stderr, sent.stderr
    [letter] = letters(there, "coder")
    assert (letter["from"], letter["from_name"], letter["body"]) == (
        0, "dev-1:planner", "start with auth",
    )  # fmt: skip
    # In a session no sender is named, nor can another be.
    inside = here.inside(stranger)
    refused = here.cw("msg", "dev-2:coder", "let me in", env=inside)
    assert refused.returncode == 1
    assert "group policy forbids msg delivery to this session" in refused.stderr
    assert here.cw("msg", "dev-2:reviewer", "hello", env=inside).returncode == 0
    assert [one["from_name"] for one in letters(there, "reviewer")] == ["dev-1:stranger"]
    typed = here.cw("msg", "--delivery", "both", "-f", "planner", "dev-2:coder", "typed")
    assert typed.returncode == 0 and typed.stderr.count("\n") == 1, typed.stderr
    wait_until(lambda: b"[Codewire message from dev-1:planner]" in there.log(1), 60)
    there.launch("sh", name="shell")
    untyped = here.cw("msg", "--delivery", "both", "-f", "planner", "dev-2:shell", "exit")
    assert "would run the text; it is in the inbox and was not typed" in untyped.stderr
    forced = here.cw("msg", "--force", "-f", "planner", "dev-2:coder", "x")
    assert forced.returncode == 1 and "cannot be forced" in forced.stderr, forced.stderr
    unknown = here.cw("msg", "-f", "planner", "dev-2:nobody", "x")
    assert unknown.returncode == 1 and 'no session named "nobody"' in unknown.stderr

    asking = here.popen("request", "-f", "planner", "dev-2:coder", "ready?", "--timeout", "60")
    wait_until(lambda: len(letters(there, "coder")) == 3, 60, "the request is there")
    request = letters(there, "coder")[2]
    assert (request["from_name"], request["type"]) == ("dev-1:planner", "message.request")
    # Session 1 of another node is not session 1 of this one.
    stolen = there.cw("reply", request["request_id"], "stolen", "-f", "reviewer")
    assert stolen.returncode == 1 and "may only be replied to by session 1" in stolen.stderr
    assert there.cw("reply", request["request_id"], "yes, PR 42", "-f", "coder").returncode == 0
    said, _ = asking.communicate(timeout=60)
    assert (asking.returncode, said) == (0, b"[reply from dev-2:coder] yes, PR 42\n")

    late = here.cw("request", "-f", "planner", "dev-2:coder", "and now?", "--timeout", "4")
    assert late.returncode == 124 and "timed out after 4s" in late.stderr, late.stderr
    assert "cw inbox dev-2:coder" in late.stderr
    assert here.cw("kill", "planner").returncode == 0
    wait_until(lambda: members(pair, "mesh") == ["dev-2:coder"], 60, "the planner has left")
    # A new worker tells the relay again what it has, and shows what the relay says no to.
    pair.ask("DELETE", "/api/v1/groups/mesh?network_id=proj")
    there.kill_worker()
    wait_until(lambda: "groups" in pair.uplink(there), 60, "the group is missed")
    shown = there.cw("node", "status").stdout
    assert 'group "mesh" of coder: group not found' in shown
    assert "group not found" in there.cw("doctor").stdout


def test_a_machine_without_a_login_and_programs(pair: Pair) -> None:
    here, there = pair.node, pair.other
    here.launch("cat", name="planner")
    there.launch("cat", name="coder")
    config = json.dumps(Path(here.data_dir, "config.toml").read_text())
    assert "relay_node_token" in config
    without = {"CODEWIRE_RELAY_AUTH_TOKEN": "", "CODEWIRE_RELAY_NETWORK": ""}
    sent = here.cw("msg", "-f", "planner", "dev-2:coder", "no login", env=without)
    assert sent.returncode == 0, sent.stderr
    assert [one["body"] for one in letters(there, "coder")] == ["no login"]
    # The user is nobody there: only a session has a word.
    asked = here.cw("msg", "dev-2:coder", "x", env=without)
    assert asked.returncode == 1 and "log in: cw login" in asked.stderr, asked.stderr
    assert "a session may write to it" in asked.stderr
    assert "msg_" in by_mcp(here, without, to_name="dev-2:coder", body="by MCP", from_session_id=1)
    # Who is in a session speaks for that alone, wherever it took the number from.
    speaker = here.launch("sh", "-c", spoken("msg dev-2:coder inside"), name="speaker")
    assert here.wait_finished(speaker)["exit_code"] == 0, here.log(speaker)
    posing = here.launch("sh", "-c", spoken("msg -f planner dev-2:coder posing"), name="poser")
    assert here.wait_finished(posing)["exit_code"] == 1, here.log(posing)
    assert b"session 3 may not send to other nodes as session 1" in here.log(posing)
    client = here.client()
    os.environ.update(without)
    assert client.msg("dev-2:coder", "from a program", sender=1).delivered == "inbox"
    with pytest.raises(UsageError, match="written to by a session"):
        client.msg("dev-2:coder", "x")
    assert client.msg("dev-1:planner", "to itself").delivered == "inbox"
    found = [(one["from_name"], one["body"]) for one in letters(there, "coder")]
    assert found == [
        ("dev-1:planner", "no login"),
        ("dev-1:planner", "by MCP"),
        ("dev-1:speaker", "inside"),
        ("dev-1:planner", "from a program"),
    ]


def spoken(words: str) -> str:
    """Return a shell's words for a command of cw that speaks for the session it is in."""
    return f"exec {shlex.join(CW)} {words}"


def by_mcp(home: Home, env: dict[str, str], **arguments: Any) -> str:
    """Return what the MCP server answers codewire_msg."""
    call = {"name": "codewire_msg", "arguments": arguments}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {},
             "clientInfo": {"name": "test", "version": "1"}}  # fmt: skip
    server = home.popen("mcp-server", env=env)
    assert server.stdin is not None and server.stdout is not None
    for number, (method, params) in enumerate((("initialize", hello), ("tools/call", call))):
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        server.stdin.write(json.dumps(message).encode() + b"\n")
        server.stdin.flush()
        answer = server.stdout.readline().decode()
    server.stdin.close()
    server.wait(30)
    return answer


def test_the_script_of_the_whole_scenario(tmp_path: Path) -> None:
    """Enrolment, credentials, grants and all: what is tried against a cluster elsewhere."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    # So that it installs nothing.
    (tmp_path / ".codewire-installed").touch()
    env = {name: text for name, text in os.environ.items() if not name.startswith("CODEWIRE_")}
    env |= {"CW_VENV": str(tmp_path), "RELAY_PORT": str(free_port()), "PYTHON": sys.executable}
    script = REPOSITORY / "scripts" / "run-relay-kind-e2e.sh"
    done = subprocess.run([script, "--local"], env=env, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.endswith("e2e: all passed\n"), done.stderr[-3000:]
