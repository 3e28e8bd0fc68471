"""The tools by name: what an agent is shown, what it may pass, what runs."""

from __future__ import annotations

from codewire.mcp import (
    agent_tools,
    environment_tools,
    message_tools,
    reading_tools,
    session_tools,
    shared_tools,
    typing_tools,
    waiting_tools,
)
from codewire.mcp.tool import Tool

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        *session_tools.TOOLS[:1],
        *reading_tools.TOOLS,
        *session_tools.TOOLS[1:],
        *typing_tools.TOOLS,
        *waiting_tools.TOOLS,
        *message_tools.TOOLS,
        *shared_tools.TOOLS,
        *environment_tools.TOOLS,
        *agent_tools.TOOLS,
    )
}

__all__ = ["TOOLS", "Tool"]
