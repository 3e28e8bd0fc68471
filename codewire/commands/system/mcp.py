"""mcp-server: Codewire's tools for an AI agent, over stdin and stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from codewire.commands.context import Context


def mcp_server(args: dict[str, Any], context: Context) -> int:
    """Serve the Model Context Protocol on stdin and stdout, for an AI agent to drive Codewire.

    They act on one node: this machine's, which is started when none runs, or that of --server.
    Ends when stdin does.

    Usage:
      cw mcp-server [options]

    Examples:
      claude mcp add --scope user codewire -- cw mcp-server
      claude mcp add codewire -- cw mcp-server
      claude mcp add gpu -- cw mcp-server --server gpu
    """
    from codewire.mcp.server import main

    return main(context.route)
