"""Tools for one session at a time: launch, look, end (spec/mcp.md 3).

Long because what a model is told of a tool stands beside what the tool does.
"""

from __future__ import annotations

from typing import Any

from codewire.errors import RequestError, UsageError
from codewire.mcp.arguments import MAX_U64, Param
from codewire.mcp.calls import CallClient, until_out_of_time
from codewire.mcp.tool import (
    DURATION,
    MAX_CHARS,
    SESSION,
    TAGS,
    Tool,
    listing,
    session_number,
    to_json,
)

HISTORY_LINES = 50


def list_sessions(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_list_sessions."""
    wanted = args["status_filter"]
    sessions = client.list_sessions()
    if wanted != "all":
        sessions = [s for s in sessions if str(s.get("status", "")).startswith(wanted)]
    hint = "the oldest; ask for one by name with codewire_get_session_status"
    return listing(sessions, newest=True, hint=hint)


def read_session_output(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_read_session_output: the text, then where the next read goes on."""
    session_id = session_number(client, args["session_id"])
    if args["view"] == "screen":
        return read_screen(client, session_id, args["tail"])
    limit = args["max_chars"]
    chunks = client.logs(
        session_id,
        tail=args["tail"],
        from_offset=args["from_offset"],
        max_bytes=None if args["from_offset"] is None else limit,
    )
    text, gap, offset = "", 0, None
    for chunk in chunks:
        # Only the end is wanted: a log of gigabytes passes through, it is not collected.
        text = (text + chunk.text)[-MAX_CHARS - 1 :]
        gap += chunk.gap
        offset = chunk.offset
    facts: dict[str, Any] = {"next_offset": offset}
    if gap:
        facts["lost_bytes"] = gap
    if len(text) > limit and args["from_offset"] is None:
        text = text[len(text) - limit :] if limit else ""
        facts["truncated"] = f"only the last {limit} characters are shown"
        text += "... [truncated]"
    facts["status"] = client.status(session_id).get("info", {}).get("status")
    return [text, to_json(facts)]


def read_screen(client: CallClient, session_id: int, history_lines: int | None) -> list[str]:
    """Return the screen as text, then what else is known of it."""
    screen = client.screen(session_id, history_lines=history_lines)
    lines = [*(screen.get("history") or []), *(screen.get("lines") or [])]
    wanted = ("rows", "cols", "cursor", "title", "alternate", "screen_hash", "offset", "status")
    facts = {key: screen[key] for key in wanted if screen.get(key) is not None}
    return ["\n".join(lines).rstrip("\n"), to_json(facts)]


def watch_session(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_watch_session: the output, then where a read goes on."""
    client = client.within(args["max_duration_seconds"])
    session_id = session_number(client, args["session_id"])
    stream = client.watch(
        session_id,
        include_history=args["include_history"],
        history_lines=args["history_lines"] if args["include_history"] else None,
    )
    pieces, size, ending, offset = [], 0, "\n[Watch timeout]\n", None
    for chunk in until_out_of_time(stream):
        size += len(chunk.text)
        if size > MAX_CHARS:
            # A piece is shown whole or not at all, so that the offset is where the text stops.
            ending = "\n... [output truncated to 500KB]"
            break
        pieces.append(chunk.text)
        offset = chunk.offset if chunk.offset is not None else offset
        if chunk.done:
            ending = f"\n[Session {chunk.status}]\n"
    text = "".join(pieces) + ending
    return [text] if offset is None else [text, to_json({"next_offset": offset})]


def get_session_status(client: CallClient, args: dict[str, Any]) -> str:
    """Run codewire_get_session_status."""
    answer = client.status(session_number(client, args["session_id"]), screen_hash=True)
    info = {**answer.get("info", {}), "output_size": answer.get("output_size", 0)}
    return to_json(dict(sorted(info.items())))


def launch_session(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_launch_session; what the client is told (another directory) comes behind."""
    told: list[str] = []
    session_id = client.telling(told.append).launch(
        args["command"],
        working_dir=args["working_dir"],
        name=args["name"],
        tags=args["tags"] or (),
        env=[f"{key}={value}" for key, value in (args["env"] or {}).items()],
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
        request = {"type": "KillByTags", "tags": list(tags), "tree": args["tree"] or None}
        answer = client.call(request)
        words = f"Killed {answer.get('count', 0)} session(s) matching tags [{' '.join(tags)}]"
        return words + _survivors(answer, args["tree"])
    if args["session_id"] is None:
        raise RequestError("either session_id or tags required")
    session_id = session_number(client, args["session_id"])
    answer = client.kill(session_id, tree=args["tree"])
    words = f"Killed session {session_id}"
    if answer.get("finished"):
        words = f"Session {session_id} had already finished; nothing was signalled"
        if answer.get("tree"):
            words = f"Session {session_id} had already finished; daemons it had left are ended"
    return words + _survivors(answer, args["tree"])


def _survivors(answer: dict[str, Any], wants_tree: bool) -> str:
    """Return what to add to the answer of a kill: who lives on, and what to do about it."""
    if wants_tree and not answer.get("tree"):
        return "; this node does not know tree: daemons were not looked for"
    survivors = answer.get("survivors") or []
    names = ", ".join(f"{s.get('command')} (pid {s.get('pid')})" for s in survivors)
    daemons = any(s.get("daemon") for s in survivors)
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
    ),
    Tool(
        "codewire_read_session_output",
        "Read what a session has printed so far, escape sequences removed; returns at once, works "
        "for finished sessions too. Returns two texts: the output, and JSON with next_offset and "
        "status. To read only what is new later, pass next_offset back as from_offset. Without "
        "from_offset you get the last max_chars characters (or the last `tail` lines). For a "
        'full-screen program use view "screen": what its terminal shows now, with cursor and '
        "screen_hash; `tail` then adds so many lines above the screen.",
        (
            SESSION,
            Param("tail", "integer", "Only the last N lines (default: all)"),
            Param(
                "max_chars",
                "integer",
                "Most characters to return (default and most 500000)",
                default=MAX_CHARS,
                maximum=MAX_CHARS,
            ),
            Param(
                "from_offset",
                "integer",
                "Read on from this byte offset: next_offset of an earlier read",
                maximum=MAX_U64,
            ),
            Param(
                "view",
                "string",
                "log: what was printed (default); screen: what the terminal shows now",
                default="log",
                choices=("log", "screen"),
            ),
        ),
        read_session_output,
    ),
    Tool(
        "codewire_watch_session",
        "Follow a session's output live for a limited time: recent lines first, then what it "
        "prints until it ends or max_duration_seconds is over. Returns raw terminal output, ending "
        "in [Session <status>] or [Watch timeout], then JSON with next_offset, where "
        "codewire_read_session_output reads on. To just wait for the end use codewire_wait_for.",
        (
            SESSION,
            Param(
                "include_history", "boolean", "Start with recent lines (default true)", default=True
            ),
            Param(
                "history_lines",
                "integer",
                f"How many recent lines (default {HISTORY_LINES})",
                default=HISTORY_LINES,
            ),
            DURATION,
        ),
        watch_session,
    ),
    Tool(
        "codewire_get_session_status",
        "Get one session's details as JSON: status, exit_code, end_reason, pid, duration, output "
        "size and its last lines (last_output_snippet).",
        (SESSION,),
        get_session_status,
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
            Param("env", "strings_map", "Environment variables to add"),
            Param("stdin", "string", "Text typed into the program once it runs, unchanged"),
            Param("size", "string", "Size of its terminal as COLSxROWS (default 80x24)"),
        ),
        launch_session,
    ),
    Tool(
        "codewire_kill_session",
        "End a session and every process it started (SIGTERM, then SIGKILL); returns when they are "
        "gone. Give session_id, or tags to end all running sessions with any of them. Daemons that "
        "left the session's tree live on and are named, unless tree is true.",
        (
            Param("session_id", "session", "Session: its id, or its name"),
            TAGS,
            Param("tree", "boolean", "End daemons it started, too (default false)", default=False),
        ),
        kill_session,
    ),
)
