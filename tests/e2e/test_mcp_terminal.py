"""An agent at a terminal through MCP: the screen, waiting for text, typing under conditions."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.test_mcp import Agent, drive
from tests.support import Home, running_home


@pytest.fixture
def home() -> Iterator[Home]:
    with running_home() as home:
        yield home


def test_a_screen_is_read_and_typed_into(home: Home) -> None:
    async def script(agent: Agent) -> None:
        program = r"printf 'main\033[?1049h\033[2;3Hmenu 日本'; read x; printf '\033[2;3Hdone'; cat"
        await agent.call("launch_session", command=["bash", "-c", program])
        match = json.loads(await agent.call("wait_for", session_id=1, text="日本"))
        assert match["line"].endswith("menu 日本")
        text, facts = await agent.texts("read_session_output", session_id=1, view="screen")
        screen = json.loads(facts)
        assert text == "\n  menu 日本"
        assert screen["cursor"] == {"row": 1, "col": 11, "visible": True}
        status = json.loads(await agent.call("get_session_status", session_id=1))
        assert status["screen_hash"] == screen["screen_hash"]
        typing = {"session_id": 1, "input": "go", "expect_screen": screen["screen_hash"]}
        for is_repeated in (False, True, True):
            sent = await agent.call("send_input", **typing, key="once")
            assert sent.startswith("Sent 3 bytes to session 1\ntyped, not confirmed")
            assert ("already sent" in sent) is is_repeated
        # What was typed is shown a moment after it was taken.
        await agent.call("wait_for", session_id=1, regex="d.ne", from_offset=match["next_offset"])
        gone = await agent.call("wait_for", session_id=1, text="menu", gone=True)
        assert json.loads(gone) == {"session_id": 1}
        shown = await agent.call("wait_for", session_id=1, text="done", on="screen")
        assert json.loads(shown)["line"].strip().startswith("done")
        refused = await agent.refused("send_input", **typing)
        assert "has changed" in refused
        assert "busy" in await agent.refused(
            "send_input", session_id=1, input="x", if_idle_seconds=60
        )
        await agent.call("wait_for", session_id=1, idle_seconds=0.5)
        assert home.log(1).count(b"go") == 1

    drive(home, script)


def test_what_cannot_be_waited_for_is_said(home: Home) -> None:
    async def script(agent: Agent) -> None:
        await agent.call("launch_session", command=["cat"])
        assert "regular expression" in await agent.refused("wait_for", session_id=1, regex="(")
        assert "session_id" in await agent.refused("wait_for", tags=["x"], text="a")
        for wanted in ({"text": "never"}, {"changed": True}, {"text": "never", "on": "screen"}):
            assert "timed out" in await agent.refused(
                "wait_for", session_id=1, **wanted, timeout_seconds=1
            )
        for wanted, words in (
            ({"gone": True}, "needs text"),
            ({"on": "screen"}, "needs text"),
            ({"text": "a", "gone": True, "on": "output"}, "the screen"),
            ({"text": "a", "changed": True}, "stands alone"),
        ):
            assert words in await agent.refused("wait_for", session_id=1, **wanted)
        await agent.call("launch_session", command=["sh", "-c", "sleep 1; echo x; read x"])
        await agent.call("wait_for", session_id=2, changed=True, timeout_seconds=30)

    drive(home, script)
