"""Tools for sessions that are started again."""

from __future__ import annotations

from typing import Any

from codewire.errors import RequestError
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.mcp.tool import SESSION, Tool, listing, session_number

AS_WAS, RESUME, PRINTED = "as-was", "resume", "printed"


def relaunch(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_relaunch."""
    way = RESUME if args["resume"] else AS_WAS
    answer = client.relaunch(session_number(client, args["session_id"]), way=way)
    return f"Relaunched session {answer.relaunched_from} as {answer.id}"


def restore(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_restore: list what can be restored, or restore one session."""
    if args["session_id"] is None:
        return listing([one.sent for one in client.restorable()], hint="restore one by its id")
    number = session_number(client, args["session_id"])
    offered = next((one for one in client.restorable() if one.id == number), None)
    if offered is None:
        raise RequestError(f"session {number} cannot be restored; codewire_relaunch may do")
    # What a program printed is for a person to confirm.
    way = RESUME if offered.resume and offered.resume_by != PRINTED else AS_WAS
    return [f"Restored session {number} as {client.restore(number, way=way).id}"]


TOOLS = (
    Tool(
        "codewire_relaunch",
        "Start a session that has ended again: same command, directory, environment, tags and "
        "name. The new session has an id of its own.",
        (
            SESSION,
            Param(
                "resume",
                "boolean",
                "Take up its agent's conversation where that is known (default false)",
                default=False,
            ),
        ),
        relaunch,
    ),
    Tool(
        "codewire_restore",
        "Sessions that ended with their node (a reboot, a crash). Without session_id lists those "
        "that can be restored, as a JSON array; with one starts it again, once, an agent with its "
        "conversation unless only its own output names it.",
        (Param("session_id", "session", "Which one to restore (default: only list)"),),
        restore,
    ),
)
