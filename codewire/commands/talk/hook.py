"""`cw hook`: an agent's hook that asks the gateway before a tool is used (spec/cli.md 10).

Who answers is the session called `gateway`: a person's program, or another agent. Everything but a
clear DENIED lets the tool through, unless --strict turns that round.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import CodewireError, RequestTimedOut

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.commands.context import Context

GATEWAY = "gateway"
# What looks and changes nothing.
HARMLESS = frozenset((
    "Read", "Glob", "Grep", "WebFetch", "WebSearch", "TodoRead", "TaskList", "TaskGet",
))  # fmt: skip
ANSWER_SECONDS = 30.0
MAX_INPUT_BYTES = 4 << 20
# A message body holds 64 KiB; the rest of a tool's input is cut.
MAX_QUESTION = 60_000
DENIED = 2


def hook(args: dict[str, Any], context: Context) -> int:
    """Ask the session called gateway whether an agent may use a tool; for the agent's hooks.

    Reads one JSON object with tool_name and tool_input on stdin. A reply that begins with DENIED
    blocks the tool (exit 2, and the decision as JSON on stdout); any other lets it through, and so
    does it when nobody answers: no node, no gateway, no reply in 30 s. Then stderr says so; a tool
    that nobody answers for is denied with --strict. Tools that only read are never asked about.

    Usage:
      cw hook [options]

    Options:
          --strict   Deny when nobody answers, and what is no tool call
          --install  Add it to the PreToolUse hooks in ~/.claude/settings.json (with --strict: so)

    Examples:
      cw hook --install
      echo '{"tool_name": "Bash", "tool_input": {"command": "ls"}}' | cw hook
    """
    if args["--install"]:
        return _install(args["--strict"])
    call = _read_call()
    if call is None:
        return _unanswered("stdin is no tool call (a JSON object with tool_name)", args)
    tool, question = call
    if tool in HARMLESS:
        return 0
    try:
        reply = _ask(context, question)
    except (CodewireError, OSError) as error:
        return _unanswered(_why(error), args)
    if not reply.strip().upper().startswith("DENIED"):
        return 0
    rest = reply.strip()[len("DENIED") :].lstrip(" :")
    return _deny(f"Gateway denied: {rest}" if rest else "Gateway denied")


def _read_call() -> tuple[str, str] | None:
    """Return a tool's name and what to ask about it, None for anything else on stdin."""
    try:
        data = b"" if sys.stdin is None else sys.stdin.buffer.read(MAX_INPUT_BYTES)
        value = json.loads(data)
    except (OSError, ValueError, RecursionError):
        return None
    tool = value.get("tool_name") if isinstance(value, dict) else None
    if not isinstance(tool, str) or not tool:
        return None
    details = json.dumps(value.get("tool_input"), ensure_ascii=False, separators=(",", ":"))
    question = f"{tool}: {details}"
    if len(question) > MAX_QUESTION:
        question = question[:MAX_QUESTION] + " ... (cut)"
    return tool, question


def _ask(context: Context, question: str) -> str:
    """Return the gateway's reply. Raises CodewireError where there is none."""
    from codewire.client.inside import as_sender

    context.give_up_after(ANSWER_SECONDS)
    client = context.client(autostart=False)
    answer = client.request(
        _gateway(client), question, **as_sender(client.route),
        timeout_seconds=ANSWER_SECONDS, delivery="inbox",
    )  # fmt: skip
    return answer.reply_body


def _gateway(client: Client) -> int:
    for session in client.find_sessions(name=GATEWAY):
        if session.is_running:
            return session.id
    raise CodewireError("no running session is called gateway (start one with 'cw gateway')")


def _why(error: Exception) -> str:
    if isinstance(error, RequestTimedOut):
        return f"the gateway has not replied in {ANSWER_SECONDS:g} s"
    return str(error).partition("\n")[0]


def _unanswered(why: str, args: dict[str, Any]) -> int:
    if args["--strict"]:
        return _deny(f"Nobody answered, so it is denied (--strict): {why}")
    output.notice(f"hook: nobody answered, so the tool is let through: {why}")
    return 0


def _deny(reason: str) -> int:
    output.line(json.dumps({"decision": "block", "reason": reason}, ensure_ascii=False))
    # Of exit 2 some programs show stderr alone.
    output.note(reason)
    return DENIED


def _install(is_strict: bool) -> int:
    from codewire.client.local.integrations import PROGRAMS, planned
    from codewire.client.local.toolhook import edit

    change = planned(PROGRAMS["claude"][0](), lambda before: edit(before, is_strict))
    if not change.is_needed:
        output.note(f"cw hook already installed in {change.path}")
        return 0
    change.make()
    output.note(f"Installed cw hook in {change.path}")
    return 0
