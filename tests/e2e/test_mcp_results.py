"""What an agent gets back through MCP: bounded, with a way to read on, and with every note."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from codewire.client import Client
from tests.e2e.test_mcp import Agent, drive
from tests.support import Home, running_home

MAX_BYTES = 500_000


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with running_home() as home:
        monkeypatch.setenv("HOME", str(home.path))
        yield home


def test_an_inbox_too_long_for_one_result_shows_its_last_messages(home: Home) -> None:
    client = Client()
    session_id = client.launch(["sleep", "1000"], name="busy")
    for number in range(20):
        client.msg(session_id, f"{number} " + "\n" * 40_000, delivery="inbox")

    async def script(agent: Agent) -> None:
        texts = await agent.texts("read_messages", session_id="busy", tail=0)
        assert sum(map(len, texts)) < MAX_BYTES + 1000
        shown, facts = map(json.loads, texts)
        numbers = [int(message["body"].split()[0]) for message in shown]
        assert numbers == list(range(20 - len(shown), 20))
        assert facts["truncated"].startswith(f"{20 - len(shown)} of 20 are left out")

    drive(home, script)


def test_a_long_value_is_listed_by_its_size_and_read_in_parts(home: Home) -> None:
    value = "ä漢" * 150_000
    Client().kv_set("long", value.encode())
    Client().kv_set("short", b"x")

    async def script(agent: Agent) -> None:
        entries = json.loads(await agent.call("kv_list"))
        assert [(e["key"], e["text"]) for e in entries] == [("long", None), ("short", "x")]
        assert entries[0]["size"] == 750_000
        first, facts = await agent.texts("kv_get", key="long")
        assert len(first.encode()) <= MAX_BYTES
        rest = await agent.texts("kv_get", key="long", from_offset=json.loads(facts)["next_offset"])
        assert [first + rest[0], len(rest)] == [value, 1]

    drive(home, script)


def test_reading_goes_on_where_watching_stopped(home: Home) -> None:
    async def script(agent: Agent) -> None:
        program = "seq 200000; read x; echo after"
        await agent.call("launch_session", command=["bash", "-c", program])
        await agent.call("wait_for", session_id=1, text="200000")
        text, facts = await agent.texts("watch_session", session_id=1, history_lines=200_000)
        assert text.endswith("\n... [output truncated to 500KB]")
        offset = json.loads(facts)["next_offset"]
        seen = text.removesuffix("\n... [output truncated to 500KB]")
        assert home.log(1)[:offset].decode().endswith(seen)
        await agent.call("send_input", session_id=1, input="go")
        await agent.call("wait_for", session_id=1)
        text, facts = await agent.texts("watch_session", session_id=1, history_lines=1)
        assert text == "after\r\n\n[Session completed (0)]\n"
        assert json.loads(facts)["next_offset"] == len(home.log(1))

    drive(home, script)


def test_a_request_that_was_not_typed_or_not_answered_says_so(home: Home) -> None:
    async def script(agent: Agent) -> None:
        await agent.call("launch_session", command=["bash", "--norc"], name="shell")
        await agent.call("wait_for", session_id="shell", regex="[$#]")
        arguments = {"to_name": "shell", "body": "ready?", "delivery": "both"}
        result = await agent.client.call_tool(
            "codewire_request", {**arguments, "timeout_seconds": 1}
        )
        assert result.is_error
        failed, note, later = [block.text for block in result.content]
        assert failed.startswith("Error: request req_")
        assert failed.endswith(" timed out after 1s")
        assert "was not typed" in note
        assert "codewire_read_messages" in later

    drive(home, script)


def test_delivery_may_be_left_to_cw(home: Home) -> None:
    async def script(agent: Agent) -> None:
        for name in ("asker", "reader"):
            await agent.call("launch_session", command=["cat"], name=name)
        arguments = {"to_name": "reader", "delivery": "auto"}
        await agent.call("msg", **arguments, body="for the inbox")
        await agent.call("msg", **arguments, body="typed", from_session_id="asker")
        await agent.call("wait_for", session_id="reader", text="typed", include_echo=True)
        assert b"for the inbox" not in home.log(2)

    drive(home, script)
