"""Tools for one session at a time: launch, look, end (spec/mcp.md 3).

Long because what a model is told of a tool stands beside what the tool does.
"""

from __future__ import annotations

import json
from typing import Any

from codewire.errors import RequestError, UsageError
from codewire.mcp import outputs
from codewire.mcp.arguments import Param
from codewire.mcp.calls import CallClient
from codewire.mcp.tool import (
    MAX_CHARS,
    SESSION,
    TAGS,
    Reply,
    Tool,
    listed,
    listing,
    session_number,
    to_json,
)
from codewire.wire.answers.kills import Killed

# What a session last said, where it captured no result.
LAST_LINES = 5


def list_sessions(client: CallClient, args: dict[str, Any]) -> Reply:
    """Run codewire_list_sessions."""
    wanted = args["status_filter"]
    sessions = client.list_sessions()
    if wanted != "all":
        sessions = [session for session in sessions if session.status.startswith(wanted)]
    hint = "the oldest; ask for one by name with codewire_get_session_status"
    return listed(
        "sessions", listing([session.sent for session in sessions], newest=True, hint=hint)
    )


def get_session_status(client: CallClient, args: dict[str, Any]) -> Reply:
    """Run codewire_get_session_status."""
    session_id = session_number(client, args["session_id"])
    is_full = args["last_event"] == "full"
    request = {"type": "GetStatus", "id": session_id, "screen_hash": True, "full": is_full or None}
    answer = client.ask(request)
    info = {**answer.get("info", {}), "output_size": answer.get("output_size", 0)}
    if is_full and "last_event" not in info:
        # A node that names none.
        text = "".join(chunk.text for chunk in client.logs(session_id, tail=LAST_LINES))
        info["last_event"] = text[-MAX_CHARS:]
    text = to_json(dict(sorted(info.items())))
    return Reply([text], json.loads(text))


def launch_session(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_launch_session; what the client is told (another directory) comes behind."""
    told: list[str] = []
    session_id = client.telling(told.append).launch(
        args["command"],
        working_dir=args["working_dir"],
        name=args["name"],
        tags=args["tags"] or (),
        env=args["env"] or (),
        stdin_data=(args["stdin"] or "").encode("utf-8", "replace"),
        **_size(args["size"]),
    )
    return [f"Launched session {session_id}", *told]


def _size(text: str | None) -> dict[str, Any]:
    """Return columns and rows of a size like 120x40. Raises UsageError."""
    if not text:
        return {}
    cols, _, rows = text.partition("x")
    if not all(part.isascii() and part.isdigit() and len(part) <= 5 for part in (cols, rows)):
        raise UsageError(f"size must be COLSxROWS, got {text!r}")
    return {"cols": int(cols), "rows": int(rows)}


def kill_session(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_kill_session; tags win over an id."""
    tags = args["tags"]
    if tags:
        answer = client.kill_by_tags(tags, tree=args["tree"])
        words = f"Killed {answer.count} session(s) matching tags [{' '.join(tags)}]"
        return words + _survivors(answer, args["tree"])
    if args["session_id"] is None:
        raise RequestError("either session_id or tags required")
    session_id = session_number(client, args["session_id"])
    answer = client.kill(session_id, tree=args["tree"])
    words = f"Killed session {session_id}"
    if answer.finished:
        words = f"Session {session_id} had already finished; nothing was signalled"
        if answer.tree:
            words = f"Session {session_id} had already finished; daemons it had left are ended"
    return words + _survivors(answer, args["tree"])


def _survivors(answer: Killed, wants_tree: bool) -> str:
    """Return what to add to the answer of a kill: who lives on, and what to do about it."""
    if wants_tree and not answer.tree:
        return "; this node does not know tree: daemons were not looked for"
    names = ", ".join(f"{process.command} (pid {process.pid})" for process in answer.survivors)
    daemons = any(process.daemon for process in answer.survivors)
    hint = "; to end daemons as well, set tree" if daemons else ""
    return f"; still alive: {names}{hint}" if names else ""


COMMAND = Param(
    "command",
    "strings",
    'The program and its arguments, e.g. ["claude", "-p", "fix the tests"]. No shell is involved: '
    'for shell syntax use ["bash", "-c", "…"].',
    required=True,
)
TOOLS = (
    Tool(
        "codewire_list_sessions",
        "List all sessions of this node, running and finished, as a JSON array with id, name, "
        "command (prompt), status (running, completed (exit code), killed), tags, sizes and times. "
        "Use it to find a session's id or to see what is still running.",
        (
            Param(
                "status_filter",
                "string",
                "Only sessions in this state (default all)",
                default="all",
                choices=("all", "running", "completed", "killed"),
            ),
        ),
        list_sessions,
        outputs.SESSIONS,
    ),
    Tool(
        "codewire_get_session_status",
        "Get one session's details as JSON: status, exit_code, end_reason, pid, duration, output "
        "size, its last lines (last_output_snippet), idle_seconds since last_event_at, and "
        "last_event_preview, its result or last lines in one line.",
        (
            SESSION,
            Param(
                "last_event",
                "string",
                "full: also last_event, the result or last lines whole (default preview)",
                default="preview",
                choices=("preview", "full"),
            ),
        ),
        get_session_status,
        outputs.SESSION,
    ),
    Tool(
        "codewire_launch_session",
        "Start a program in a new session that keeps running on its own; returns its id at once "
        "(`Launched session N`). Give it a name if it should receive messages, tags to wait for "
        "or end several together.",
        (
            COMMAND,
            Param(
                "working_dir",
                "string",
                "Directory to start in (default: where this server was started)",
            ),
            Param("name", "string", "Unique name: 1-32 letters, digits or hyphens"),
            Param("tags", "strings", "Labels for waiting, watching and killing in groups"),
            Param("env", "pairs", 'Environment variables to add, e.g. ["LANG=C"]'),
            Param("stdin", "string", "Text typed into the program once it runs, unchanged"),
            Param("size", "string", "Size of its terminal as COLSxROWS (default 80x24)"),
        ),
        launch_session,
    ),
    Tool(
        "codewire_kill_session",
        "End a session and every process it started (SIGTERM, then SIGKILL); returns when they are "
        "gone. Give session, or tags to end all running sessions with any of them. Daemons that "
        "left the session's tree live on and are named, unless tree is true.",
        (
            Param("session_id", "session", "Which session: its id or its name"),
            TAGS,
            Param("tree", "boolean", "End daemons it started, too (default false)", default=False),
        ),
        kill_session,
    ),
)
