"""`cw list`, `cw status`, `cw kill`: look at sessions and end them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import UsageError

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.commands.context import Context

# Columns of `cw list`, in terminal cells: ID, NAME, COMMAND, STATUS, AGE.
WIDTHS = (4, 14, 32, 14, 8)


def list_sessions(args: dict[str, Any], context: Context) -> int:
    """List sessions with their name, command, status and age; finished ones are kept.

    Usage:
      cw list [options] [<node>]

    Options:
          --status <all|running|completed|killed>  Only sessions in this state [default: all]
      -j, --json                Print everything known about them, as JSON
      -o, --output <text|json>  The same choice, in words
          --local               This machine's sessions (the default)
          --runs                Sessions (the default)

    Examples:
      cw list
      cw list --status running
      cw list --json
      cw --server my-gpu list
    """
    client = context.client_of(args["<node>"]) if args["<node>"] else context.client()
    wanted = args["--status"]
    sessions = [
        session
        for session in client.list_sessions()
        if wanted == "all" or session["status"].startswith(wanted)
    ]
    if output.wants_json(args):
        output.show_json(sessions)
    elif sessions:
        show_table(sessions, time.time_ns())
    else:
        output.line("No sessions")
    return 0


def status(args: dict[str, Any], context: Context) -> int:
    """Show one session in detail: process, sizes, exit code and its last output.

    Usage:
      cw status [options] <session>

    Options:
      -j, --json                Print everything known about it, as JSON
      -o, --output <text|json>  The same choice, in words

    Examples:
      cw status 3
      cw status planner --json
    """
    from codewire.client.addressing import resolve_session

    client, ref = context.locate(args["<session>"])
    answer = client.status(resolve_session(client, ref))
    if output.wants_json(args):
        output.show_json({**answer["info"], "output_size": answer["output_size"]})
    else:
        show_status(answer["info"], answer["output_size"])
    return 0


def kill(args: dict[str, Any], context: Context) -> int:
    """End sessions: SIGTERM, then SIGKILL for whatever is left of them after a grace period.

    A word that is no session's id or name is taken for a tag. Logs are kept.

    Usage:
      cw kill [options] [<session-or-tag>]

    Options:
      -a, --all            End every running session
      -t, --tag <tag,...>  End the running sessions with any of these tags; repeatable

    Examples:
      cw kill 3
      cw kill planner
      cw kill --tag worker
      cw kill --all
    """
    word = args["<session-or-tag>"]
    client = context.client_of(word) if context.names_server(word) else None
    if args["--all"]:
        answer = (client or context.client()).call({"type": "KillAll"})
        output.note(f"Killed {answer.get('count', 0)} session(s)")
        return _name_survivors(answer)
    if args["--tag"]:
        return _kill_tags(client or context.client(), args["--tag"])
    if word and client is None:
        return _kill_one(word, context)
    raise UsageError("session id, name, or tag required (or use --all / --tag)")


def show_table(sessions: list[dict[str, Any]], now_ns: int) -> None:
    """Print the table of `cw list`; `now_ns` is what ages count from."""
    from codewire.term.width import clip, printable

    rows = [("ID", "NAME", "COMMAND", "STATUS", "AGE")]
    for session in sessions:
        row = (
            str(session["id"]),
            clip(printable(session.get("name") or "-"), WIDTHS[1]),
            clip(printable(session.get("prompt", "")), WIDTHS[2]),
            session["status"],
            output.age(session["created_at"], now_ns),
        )
        rows.append(row)
    output.table(rows, WIDTHS)


def show_status(info: dict[str, Any], output_size: int) -> None:
    """Print the text of `cw status`; output_size is the node's counter of printed bytes."""
    output.line(f"Session {info['id']}")
    log_file_size = info.get("output_size_bytes")
    pairs = [
        ("Name", info.get("name") or None),
        ("Command", info.get("prompt")),
        ("Working Dir", info.get("working_dir")),
        ("Tags", ", ".join(info.get("tags") or ()) or None),
        ("Status", info["status"]),
        ("Exit Code", info.get("exit_code")),
        ("Ended By", _ending(info)),
        ("Created", info.get("created_at")),
        ("Completed", info.get("completed_at")),
        ("Attached", "true" if info.get("attached") else "false"),
        ("PID", info.get("pid")),
        ("Output Size", None if log_file_size is None else f"{log_file_size} bytes"),
        ("Log Size", f"{output_size} bytes"),
    ]
    output.fields(pairs, width=13)
    snippet = output.plain(info.get("last_output_snippet") or "")
    if snippet:
        output.line(f"  Last Output:\n{snippet}")


def _ending(info: dict[str, Any]) -> str | None:
    """Return how a session ended where its status does not say it."""
    reason = info.get("end_reason")
    if reason == "signal":
        return f"signal {info.get('signal', '?')}"
    return "lost with the node (exit code unknown)" if reason == "lost" else None


def _kill_tags(client: Client, tags: list[str]) -> int:
    answer = client.call({"type": "KillByTags", "tags": tags})
    output.note(f"Killed {answer.get('count', 0)} session(s) matching tags [{' '.join(tags)}]")
    return _name_survivors(answer)


def _kill_one(target: str, context: Context) -> int:
    client, found = context.find(target)
    if isinstance(found, str):
        return _kill_tags(client, [found])
    answer = client.kill(found)
    if answer.get("finished"):
        output.note(f"Session {found} has already finished")
    else:
        output.note(f"Session {found} killed")
    return _name_survivors(answer)


def _name_survivors(answer: dict[str, Any]) -> int:
    """Name the processes even SIGKILL could not end; they make the command fail."""
    survivors = answer.get("survivors") or []
    for process in survivors:
        output.notice(f"still running: pid {process.get('pid')} ({process.get('command', '?')})")
    return 1 if survivors else 0
