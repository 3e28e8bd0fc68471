"""Programs that redraw their screen, read through MCP; results as data; screens as resources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from tests.e2e.test_mcp import Agent, RawServer, drive
from tests.support import Home, running_home

# Draws three rows anew ten times a second, as an agent does while it works; prints a line of text
# above them at the word it is given.
SPINNER = r"""
import os, select, sys, tty
tty.setcbreak(0)
print("begun", flush=True)
frame, drawn = 0, False
while True:
    up = "\x1b[3A" if drawn else ""
    drawn = True
    line = "\x1b[2K"
    sys.stdout.write(f"{up}{line}-----\n{line}Working {frame}\n{line}-----\n")
    sys.stdout.flush()
    frame += 1
    if select.select([0], [], [], 0.02)[0]:
        key = os.read(0, 1).decode()
        if key == "q":
            break
        sys.stdout.write(f"\x1b[3A\x1b[2Ksaid {key} ä漢\n")
        drawn = False
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_home() as home:
        yield home


def test_a_spinner_fills_no_result(home: Home) -> None:
    home.launch("python3", "-c", SPINNER, name="spinner", rows=10, cols=40)

    async def script(agent: Agent) -> None:
        await agent.call("wait_for", session="spinner", text="Working 30")
        text, facts = await agent.texts("read_session_output", session="spinner")
        first = json.loads(facts)
        assert text.splitlines()[0] == "begun" and text.count("Working") == 1
        assert first["view"] == "screen" and first["rows"] == 10
        await agent.call("send_keys", session="spinner", keys="x")
        await agent.call("wait_for", session="spinner", text="said x")
        read = {"session": "spinner", "from_offset": first["next_offset"]}
        text, facts, new = await agent.texts("read_session_output", **read)
        assert "said x ä漢" in text and "begun" in text
        assert "said x ä漢" in new.splitlines() and "begun" not in new
        assert new.count("Working") == 1
        # Bounded, at the end of a character, and said to be.
        short = await agent.texts("read_session_output", **read, max_chars=12)
        assert all(len(part) <= 12 for part in (short[0], short[2]))
        assert "12 characters" in json.loads(short[1])["truncated"]
        # From an offset that nobody was shown.
        _, facts, new = await agent.texts("read_session_output", session="spinner", from_offset=3)
        assert "not remembered" in json.loads(facts)["truncated"] and "said x" in new
        watched, facts, new = await agent.texts(
            "watch_session", session="spinner", max_duration_seconds=0.5
        )
        assert watched.count("Working") == new.count("Working") == 1
        assert watched.endswith("\n[Watch timeout]\n")
        # Who asks for the log gets it.
        log, _ = await agent.texts("read_session_output", session="spinner", view="log")
        assert log.count("Working") > 30
        await agent.call("send_keys", session="spinner", keys="q")
        await agent.call("wait_for", session="spinner")

    drive(home, script)


def test_results_are_data_too(home: Home) -> None:
    async def script(agent: Agent) -> None:
        await agent.call("launch_session", command=["sh", "-c", "echo $V"], env=["V=one"], name="a")
        await agent.call("launch_session", command=["sh", "-c", "echo $V"], env={"V": "two"})
        schemas = {t.name: t.output_schema for t in (await agent.client.list_tools()).tools}
        for tool, arguments, key in (
            ("wait_for", {"session": "a"}, "sessions"),
            ("list_sessions", {}, "sessions"),
            ("get_session_status", {"session": "a", "last_event": "full"}, "idle_seconds"),
            ("read_session_output", {"session": "a"}, "text"),
            ("read_session_output", {"session": "a", "view": "screen"}, "rows"),
        ):
            result = await agent.client.call_tool(f"codewire_{tool}", arguments)
            data = result.structured_content
            jsonschema.validate(data, schemas[f"codewire_{tool}"])
            assert key in data, tool
        assert data["text"] == "one" and data["view"] == "screen"
        full = await agent.call("get_session_status", session="a", last_event="full")
        assert json.loads(full)["last_event"].strip() == "one"
        status = json.loads(await agent.call("get_session_status", session="a"))
        assert status["last_event_preview"] == "one" and status["last_event_at"]

    drive(home, script)


def initialized(home: Home, version: str) -> RawServer:
    server = RawServer(home)
    answer = server.ask("initialize", 0, protocolVersion=version, capabilities={}, clientInfo={})
    assert answer["result"]["protocolVersion"] == version
    return server


def test_wrong_arguments_are_for_the_model_to_mend(home: Home) -> None:
    """From 2025-11-25 on; before, an error of the protocol. Malformed calls always are."""
    new, old = initialized(home, "2025-11-25"), initialized(home, "2025-06-18")
    words = "tail must be a whole number from 0 to 4294967295, got true"
    result = new.call("read_session_output", session="x", tail=True)["result"]
    assert result == {"content": [{"type": "text", "text": f"Error: {words}"}], "isError": True}
    error = old.call("read_session_output", session="x", tail=True)["error"]
    assert error == {"code": -32602, "message": words}
    for server in (new, old):
        assert server.ask("tools/call", name="nope")["error"]["code"] == -32602
        malformed = server.ask("tools/call", name="codewire_kv_list", arguments=[1])
        assert malformed["error"]["code"] == -32602


def test_a_screen_is_a_resource_that_tells_of_changes(home: Home) -> None:
    session = home.launch(
        "sh", "-c", "echo hello; read word; echo got $word; exec cat", name="echo"
    )
    server = initialized(home, "2025-11-25")
    listed = server.ask("resources/list")["result"]["resources"]
    (uri,) = [entry["uri"] for entry in listed if entry["uri"].endswith(f"/{session}/screen")]
    assert server.ask("resources/templates/list")["result"]["resourceTemplates"][0]["name"]
    (screen,) = server.ask("resources/read", uri=uri)["result"]["contents"]
    assert screen == {"uri": uri, "mimeType": "text/plain", "text": "hello"}
    assert server.ask("resources/subscribe", uri=uri)["result"] == {}
    assert server.ask("resources/subscribe", uri=uri)["result"] == {}
    home.cw("send", str(session), "world")
    update: dict[str, Any] = {
        "jsonrpc": "2.0",
        "method": "notifications/resources/updated",
        "params": {"uri": uri},
    }
    assert server.read() == update
    by_name = server.ask("resources/read", uri="codewire://sessions/echo/screen")
    assert "got world" in by_name["result"]["contents"][0]["text"]
    home.cw("kill", str(session))
    assert server.read() == update, "the end is a change, too"
    server.send({"jsonrpc": "2.0", "id": 9, "method": "resources/unsubscribe", "params": {}})
    while (message := server.read()) == update:
        pass
    assert message == {"jsonrpc": "2.0", "id": 9, "result": {}}
    for wrong in ("codewire://sessions/99/screen", "file:///etc/passwd", "codewire://sessions//x"):
        assert server.ask("resources/read", uri=wrong)["error"]["code"] == -32002, wrong


def test_a_prompt_to_supervise(home: Home) -> None:
    server = initialized(home, "2025-06-18")
    (prompt,) = server.ask("prompts/list")["result"]["prompts"]
    messages = server.ask("prompts/get", name=prompt["name"])["result"]["messages"]
    assert "codewire_wait_for" in messages[0]["content"]["text"]
    assert server.ask("prompts/get", name="other")["error"]["code"] == -32602
