"""`cw report`: an agent, or a hook of it, says what it is doing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import CodewireError, UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context

# Our words, and those of the wire (spec/wire.md 17.3).
ON_THE_WIRE = {"done": "complete", "error": "failed"}
STATES = ("working", "blocked", "idle", "done", "error")
MAX_SUMMARY_BYTES = 280
# A hook holds up the agent that runs it.
HOOK_SECONDS = 3.0
MAX_HOOK_BYTES = 1 << 20


def report(args: dict[str, Any], context: Context) -> int:
    """Say what the agent of this session is doing, for 'cw list', 'cw wait --state' and others.

    States are working, blocked, idle, done and error. Meant for an agent's hooks: 'cw integrate'
    installs those. Outside a session it tells the terminal (OSC 7501), if stdout is one, and does
    nothing otherwise.

    Usage:
      cw report [options] <state>

    Options:
      -m, --message <text>       What it is about, at most 280 bytes
          --kind <permission|question|auth>  With blocked: what it waits for
          --conversation <id>    The agent's own id of its conversation, for 'cw restore'
          --session <session>    The session meant, if not the one this runs in
          --hook                 Read a hook's JSON from stdin for the message; never fail

    Examples:
      cw report working --message "running the tests"
      cw report blocked --kind question
      cw report done --session planner
    """
    state = args["<state>"].lower()
    state = {"complete": "done", "failed": "error"}.get(state, state)
    if state not in STATES:
        raise UsageError(f"state must be one of {', '.join(STATES)}, got {state!r}")
    message, kind = args["--message"] or "", args["--kind"]
    if args["--hook"]:
        return _report_hook(state, message, kind, args, context)
    where = _session(args["--session"], context)
    if where is None:
        _tell_terminal(state, message, kind)
    else:
        _send(context, where, state, message, kind, _conversation(args["--conversation"]))
    return 0


def _conversation(given: str | None) -> str:
    from codewire.agents.resuming import is_id

    if given is not None and not is_id(given):
        raise UsageError("a conversation's id has 1 to 64 letters, digits, and . _ -")
    return given or ""


def _report_hook(
    state: str, message: str, kind: str | None, args: dict[str, Any], context: Context
) -> int:
    """Report for a hook: silent, since what it prints may become part of the conversation."""
    where = _session(args["--session"], context)
    if where is None:
        return 0
    context.give_up_after(HOOK_SECONDS)
    given = _read_hook()
    if _is_aside(given):
        return 0
    said, about = _about(given)
    conversation = args["--conversation"] or given.get("session_id") or given.get("thread-id")
    if state == "blocked" and kind is None:
        kind = about
    try:
        words = message or (said if state != "done" else "")
        _send(context, where, state, words, kind, str(conversation or ""))
    except CodewireError:
        if os.environ.get("CW_DEBUG") == "1":
            raise
    return 0


def _read_hook() -> dict[str, Any]:
    """Return a hook's JSON on stdin, {} where there is none."""
    import json
    import sys

    try:
        if sys.stdin is None or sys.stdin.isatty():
            return {}
        value = json.loads(sys.stdin.buffer.read(MAX_HOOK_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_aside(given: dict[str, Any]) -> bool:
    """Say whether a hook of Codex tells of a conversation it had with itself, for a title, say.

    Of those it keeps no file: sessions/2026/11/27/rollout-(...)-ID.jsonl in its directory.
    """
    named = given.get("thread-id")
    from pathlib import Path

    from codewire.agents.resuming import is_id

    if not is_id(named):
        return False

    kept = Path(os.environ.get("CODEX_HOME") or os.path.expanduser("~/.codex"), "sessions")
    try:
        return kept.is_dir() and next(kept.rglob(f"rollout-*{named}.jsonl"), None) is None
    except OSError:
        return False


def _about(value: dict[str, Any]) -> tuple[str, str]:
    """Return what a hook's JSON is about, and which kind of decision that would be."""
    tool, details = value.get("tool_name"), value.get("tool_input")
    kind = "question" if tool in ("AskUserQuestion", "ask_user", "question") else "permission"
    if isinstance(tool, str) and tool:
        given = details if isinstance(details, dict) else {}
        what = next((given[k] for k in ("command", "file_path") if given.get(k)), "")
        return (f"{tool}: {what}" if isinstance(what, str) and what else tool), kind
    said = value.get("message") or value.get("error")
    return (said if isinstance(said, str) else ""), kind


def _session(named: str | None, context: Context) -> str | None:
    """Return the session that is meant, None outside one."""
    inside = os.environ.get("CW_SESSION_ID", "")
    is_id = inside.isascii() and inside.isdigit() and len(inside) <= 10
    return named or (inside if is_id and context.server is None else None)


def _send(
    context: Context, where: str, state: str, message: str, kind: str | None, conversation: str
) -> None:
    from codewire.client.addressing import resolve_session

    word = ON_THE_WIRE.get(state, state)
    is_number = where.isascii() and where.isdigit()
    if is_number:
        client, session_id = context.client(autostart=False), int(where)
    else:
        client, ref = context.locate(where)
        session_id = resolve_session(client, ref)
    client.report_task(
        session_id, _summary(message) or state, word, kind=kind, conversation=conversation
    )


def _summary(message: str) -> str:
    """Return a message in one line that fits."""
    line = " ".join(message.split()).encode("utf-8", "replace")
    return line[:MAX_SUMMARY_BYTES].decode("utf-8", "ignore").strip()


def _tell_terminal(state: str, message: str, kind: str | None) -> None:
    """Print the report as a terminal that knows the protocol reads it."""
    if output.is_terminal():
        from codewire.term.programstatus import Report, write_report

        told = Report(state, kind or "", "cw", message=_summary(message))
        output.write(write_report(told).decode(), flush=True)
