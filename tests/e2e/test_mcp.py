"""The MCP server: driven by the official SDK, and by hand where the SDK is too polite.

Calls that last, and what happens to them meanwhile: test_mcp_calls.py.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.support import CW, Home

if TYPE_CHECKING:
    from mcp import Client

LOCAL_TOOLS = 24
ALL_TOOLS = 37

Script = Callable[["Agent"], Awaitable[None]]


class Agent:
    """An SDK client with the calls the tests need."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must succeed; return its first text."""
        texts = await self.texts(tool, **arguments)
        return texts[0]

    async def texts(self, tool: str, **arguments: Any) -> list[str]:
        """Call a tool that must succeed; return all its texts."""
        result = await self.client.call_tool(f"codewire_{tool}", arguments)
        assert not result.is_error, result.content
        return [block.text for block in result.content]

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must answer isError; return the text."""
        result = await self.client.call_tool(f"codewire_{tool}", arguments)
        assert result.is_error, result.content
        return str(result.content[0].text)


def drive(home: Home, script: Script, mode: str = "auto") -> None:
    """Run `script` against a server started by the SDK."""

    # Large, and every worker reads this file.
    from mcp import Client, StdioServerParameters

    async def run() -> None:
        server = StdioServerParameters(
            command=CW[0], args=[*CW[1:], "mcp-server"], env=home.env, cwd=home.path
        )
        async with Client(server, mode=mode) as client:
            await asyncio.wait_for(script(Agent(client)), 60)

    asyncio.run(run())


class RawServer:
    """A server on pipes, spoken to line by line."""

    def __init__(self, home: Home) -> None:
        self.process = home.popen("mcp-server", stderr=subprocess.DEVNULL)
        self._buffer = b""

    def send(self, *lines: bytes | dict[str, Any]) -> None:
        """Send lines in one write."""
        data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(line + b"\n" for line in data))
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server ended"
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
        self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return self.read()

    def call(self, tool: str, request_id: Any = 1, **arguments: Any) -> dict[str, Any]:
        self.send(tool_call(tool, request_id, **arguments))
        return self.read()


def tool_call(tool: str, request_id: Any, **arguments: Any) -> dict[str, Any]:
    """Return the message that calls a tool."""
    params = {"name": f"codewire_{tool}", "arguments": arguments}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.smoke
def test_a_session_from_launch_to_kill(node: Home, mode: str) -> None:
    async def script(agent: Agent) -> None:
        program = "echo ready; read word; echo got $word; exec sleep 1000"
        launched = await agent.call("launch_session", command=["sh", "-c", program], name="worker")
        assert launched == "Launched session 1"
        # What is typed before the program prints is echoed before it.
        await agent.call("wait_for", session_id=1, regex=r"ready\r\n")
        assert (
            await agent.call("send_input", session_id="worker", input="hello")
            == "Sent 6 bytes to session 1\ntyped, not confirmed"
        )
        await agent.call("wait_for", session_id=1, regex=r"got hello\r\n")
        watched = await agent.call("watch_session", session_id=1, max_duration_seconds=1)
        assert "got hello" in watched
        assert watched.endswith("[Watch timeout]\n")
        text, facts = await agent.texts("read_session_output", session_id="worker", from_offset=0)
        assert text.startswith("ready\r\n")
        offset = json.loads(facts)["next_offset"]
        assert offset == len(text)
        again, facts = await agent.texts(
            "read_session_output", session_id="worker", from_offset=offset
        )
        assert again == ""
        assert json.loads(facts) == {"next_offset": offset, "status": "running"}
        assert (
            await agent.refused("wait_for", session_id=1, timeout_seconds=1)
            == "Error: wait timed out"
        )
        watching = asyncio.create_task(
            agent.call("watch_session", session_id=1, max_duration_seconds=50)
        )
        assert await agent.call("kill_session", session_id="worker") == "Killed session 1"
        assert (await watching).endswith("got hello\r\n\n[Session killed]\n")
        ended = json.loads(await agent.call("wait_for", session_id=1))
        assert [(s["id"], s["status"]) for s in ended] == [(1, "killed")]
        listed = json.loads(await agent.call("list_sessions", status_filter="killed"))
        assert [s["name"] for s in listed] == ["worker"]
        assert (
            json.loads(await agent.call("get_session_status", session_id=1))["status"] == "killed"
        )
        assert "not running" in await agent.refused("send_input", session_id=1, input="x")

    drive(node, script, mode)


def test_reading_on_in_small_pieces_gives_every_character_once(node: Home) -> None:
    async def script(agent: Agent) -> None:
        printed = "".join(f"\x1b[3{n % 8}mzeile {n} äöü 漢字\x1b[0m\n" for n in range(40))
        await agent.call("launch_session", command=["printf", "%s", printed])
        await agent.call("wait_for", session_id=1)
        whole = await agent.call("read_session_output", session_id=1)
        pieces, offset = [], 0
        while True:
            text, facts = await agent.texts(
                "read_session_output", session_id=1, from_offset=offset, max_chars=17
            )
            after = json.loads(facts)["next_offset"]
            if after == offset:
                break
            pieces.append(text)
            offset = after
        assert "".join(pieces) == whole
        assert whole.count("漢字") == 40
        assert "\x1b" not in whole

    drive(node, script)


def test_messages_requests_and_keys(node: Home) -> None:
    async def script(agent: Agent) -> None:
        for name in ("planner", "coder"):
            await agent.call("launch_session", command=["sleep", "1000"], name=name, tags=["team"])
        sent = await agent.call(
            "msg", from_session_id="planner", to_name="coder", body="start with auth"
        )
        assert sent.startswith("Message sent: msg_")
        inbox = json.loads(await agent.call("read_messages", session_id="coder"))
        assert [(m["from_name"], m["body"]) for m in inbox] == [("planner", "start with auth")]

        asked = asyncio.create_task(
            agent.call("request", from_session_id="planner", to_name="coder", body="ready?")
        )
        pending: list[Any] = []
        while not pending:
            inbox = json.loads(await agent.call("read_messages", session_id="coder"))
            pending = [m for m in inbox if m["type"] == "message.request"]
        request_id = pending[0]["request_id"]
        replied = await agent.call(
            "reply", request_id=request_id, from_session_id="coder", body="yes"
        )
        assert replied == f"Reply sent for request {request_id}"
        assert await asked == "Reply from coder: yes"
        assert "Error:" in await agent.refused("reply", request_id=request_id, body="again")

        assert await agent.call("kv_set", key="a/b", value="grün") == "Set default/a/b"
        assert await agent.call("kv_get", key="a/b") == "grün"
        assert json.loads(await agent.call("kv_list", prefix="a/"))[0]["text"] == "grün"
        assert await agent.call("kv_delete", key="a/b") == "Deleted default/a/b"
        assert await agent.call("kv_get", key="a/b") == "Key not found"
        assert await agent.call("kill_session", tags=["team"]) == (
            "Killed 2 session(s) matching tags [team]"
        )

    drive(node, script)


def test_events_arrive_and_end_at_the_first_when_asked(node: Home) -> None:
    async def script(agent: Agent) -> None:
        collecting = asyncio.create_task(
            agent.call(
                "subscribe", event_types=["session.status"], max_events=1, max_duration_seconds=30
            )
        )
        while not collecting.done():
            await agent.call("launch_session", command=["true"])
            await asyncio.sleep(0.05)
        events = json.loads(await collecting)
        assert [e["type"] for e in events] == ["session.status"]
        assert events[0]["data"]["exit_code"] == 0

    drive(node, script)


def test_thirty_tools_with_valid_schemas_and_clear_refusals(node: Home) -> None:
    async def script(agent: Agent) -> None:
        tools = (await agent.client.list_tools()).tools
        assert len(tools) == ALL_TOOLS
        assert len({tool.name for tool in tools}) == ALL_TOOLS
        for tool in tools:
            jsonschema.Draft202012Validator.check_schema(tool.input_schema)
            assert tool.description
        refusals = 0
        for tool in tools:
            required = tool.input_schema.get("required", [])
            arguments = {name: ["x"] if name == "command" else "x" for name in required}
            if tool.name.removeprefix("codewire_") in REMOTE_TOOLS:
                result = await agent.client.call_tool(tool.name, arguments)
                assert result.is_error, tool.name
                text = result.content[0].text
                assert "configured" in text or "not logged in" in text
                assert "\n" not in text
                refusals += 1
        assert refusals == ALL_TOOLS - LOCAL_TOOLS

    drive(node, script)


REMOTE_TOOLS = frozenset(
    [
        "list_nodes",
        "list_environments",
        "create_environment",
        "get_environment",
        "start_environment",
        "stop_environment",
        "delete_environment",
        "exec_in_environment",
        "list_files",
        "upload_file",
        "download_file",
        "get_environment_logs",
        "list_presets",
    ]
)


def test_bad_messages_get_an_error_or_nothing_and_the_server_lives_on(node: Home) -> None:
    server = RawServer(node)
    server.send(b"not json")
    assert server.read()["error"]["code"] == -32700
    server.send(b"\xff\xfe")
    assert server.read()["error"]["code"] == -32700
    for line in (b"[]", b"17", b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]'):
        server.send(line)
        answer = server.read()
        assert (answer["id"], answer["error"]["code"]) == (None, -32600)
    server.send({"jsonrpc": "2.0", "id": {"a": 1}, "method": "ping"})
    assert server.read()["error"]["code"] == -32600
    # Notifications, also with a null id or of an unknown or dangerous kind: no answer.
    server.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    server.send({"jsonrpc": "2.0", "id": None, "method": "ping"})
    server.send({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "codewire_msg"}})
    server.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": 7})
    assert server.ask("ping", "after notifications")["id"] == "after notifications"
    assert server.ask("no/such", 2)["error"] == {
        "code": -32601,
        "message": "method not found: no/such",
    }
    assert server.ask("ping", 2.5) == {"jsonrpc": "2.0", "id": 2.5, "result": {}}
    server.send({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": [1]})
    assert server.read()["error"]["code"] == -32602
    assert server.ask("tools/call", 4, name="nope")["error"]["message"] == "unknown tool: nope"
    for odd in (b"1e400", b"NaN", b"-Infinity"):
        # Could be echoed in no valid JSON.
        server.send(b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % odd)
        answer = server.read()
        assert (answer["id"], answer["error"]["code"]) == (None, -32700)
    deep = b'{"jsonrpc":"2.0","id":5,"method":"ping","params":' + b'{"a":' * 50_000
    server.send(deep + b"1" + b"}" * 50_001)
    assert server.read()["error"]["code"] == -32700
    large = {"jsonrpc": "2.0", "id": 6, "method": "ping", "params": {"x": "y" * (2 << 20)}}
    server.send(large)
    assert server.read() == {"jsonrpc": "2.0", "id": 6, "result": {}}


def test_odd_arguments_are_refused_with_the_argument_named(node: Home) -> None:
    server = RawServer(node)
    node.launch("true")
    for value in (-1, 1e30, 3.9, "3", None, [1], {}, True, 1 << 40):
        answer = server.call("read_session_output", session_id=1, tail=value)
        if value is None:
            assert "result" in answer
        else:
            assert answer["error"]["code"] == -32602
            assert "tail must be a whole number" in answer["error"]["message"]
    for value in (-1, 1.5, [], {}, True, "", None):
        answer = server.call("get_session_status", session_id=value)
        assert "session_id" in answer["error"]["message"]
    answer = server.call("get_session_status", session_id=4_000_000_000)
    assert answer["result"]["isError"]
    assert answer["result"]["_meta"] == {"codewire/code": "no_such_session"}
    assert "session 4000000000 not found" in answer["result"]["content"][0]["text"]
    assert server.call("launch_session", command="ls")["error"]["code"] == -32602
    empty = server.call("launch_session", command=[])["result"]
    assert empty["content"][0]["text"] == "Error: command must not be empty"
    assert server.call("launch_session")["error"]["message"] == "missing command"
    assert server.call("msg", to_name="x")["error"]["message"] == "missing body"
    assert server.call("msg", to_name="x", body="")["error"]["message"] == "missing body"
    assert server.call("kv_get", key="")["error"]["message"] == "missing key"
    empty_id = server.call("reply", request_id="", body="x")
    assert empty_id["error"]["message"] == "missing request_id"
