"""`cw list` and `cw status`: look at sessions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.sessions.states import signal_words, state_line
from codewire.paths import has_runtimes

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.wire.answers.sessions import SessionInfo

# Columns of `cw list`, in terminal cells: ID, NAME, COMMAND, STATUS, AGE.
WIDTHS = (4, 14, 32, 14, 8)


def list_sessions(args: dict[str, Any], context: Context) -> int:
    """List sessions with their name, command, status and age; finished ones are kept.

    On a terminal, those that need somebody come first, and of the finished ones only the latest.

    Usage:
      cw list [options] [<node>]

    Options:
          --status <all|running|completed|killed>  Only sessions in this state [default: all]
      -a, --all                 On a terminal, too: all finished ones, not only the latest
      -j, --json                Print everything known about them, as JSON
      -o, --output <text|json>  The same choice, in words
          --local               This machine's sessions, whatever the current target is
          --runs                Those of this machine and of every local runtime
          --network <network>   The node is of this network; without a node it changes nothing
          --org <org>           Accepted for scripts of other releases; changes nothing

    Examples:
      cw list
      cw list --status running
      cw list --json
      cw --server my-gpu list
    """
    if not args["<node>"] and not context.server:
        # Scripts of other releases say it.
        context.network = ""
    if args["--runs"] and has_runtimes():
        from codewire.commands.runtime.runs import list_runs

        return list_runs(args, lambda found, now: show_table(found, now, shows_all=args["--all"]))
    if args["--local"]:
        client = context.client_on("local")
    else:
        client = context.client_of(args["<node>"]) if args["<node>"] else context.client()
    wanted = args["--status"]
    sessions = [
        session
        for session in client.list_sessions()
        if wanted == "all" or session.status.startswith(wanted)
    ]
    if output.wants_json(args):
        output.show_json([session.sent for session in sessions])
    elif sessions:
        show_table(sessions, time.time_ns(), shows_all=args["--all"] or wanted != "all")
        if any(session.restorable for session in sessions):
            from codewire.commands.sessions.relaunch import offer

            offer(sessions)
    else:
        output.line("No sessions")
    return 0


def status(args: dict[str, Any], context: Context) -> int:
    """Show one session in detail: process, sizes, exit code and its last output.

    Usage:
      cw status [options] <session>

    Options:
          --full                Show all of its last output that is kept, not only its last lines
      -j, --json                Print everything known about it, as JSON
      -o, --output <text|json>  The same choice, in words

    Examples:
      cw status 3
      cw status planner --full
      cw status planner --json
    """
    from codewire.client.addressing import resolve_session

    client, ref = context.locate(args["<session>"])
    answer = client.status(resolve_session(client, ref), full=args["--full"])
    if output.wants_json(args):
        output.show_json({**answer.info.sent, "output_size": answer.output_size})
    else:
        show_status(answer.info, answer.output_size)
    return 0


def show_table(sessions: list[SessionInfo], now_ns: int, *, shows_all: bool = False) -> None:
    """Print the table of `cw list`; `now_ns` is what ages count from.

    People get another one than programs do, without most of the finished unless `shows_all`.
    """
    if output.is_terminal():
        from codewire.commands.sessions.overview import list_lines

        width, paint = output.terminal_width(), output.paint()
        for line in list_lines(sessions, now_ns, width, paint, folds=not shows_all):
            output.line(line)
        return
    from codewire.term.width import clip, printable

    rows = [["ID", "NAME", "COMMAND", "STATUS", "AGE"]]
    for session in sessions:
        row = [
            str(session.id),
            clip(printable(session.name or "-"), WIDTHS[1]),
            clip(printable(session.prompt), WIDTHS[2]),
            state_words(session),
            output.age(session.created_at, now_ns),
        ]
        rows.append(row)
    output.table(rows, WIDTHS)


def show_status(info: SessionInfo, output_size: int) -> None:
    """Print the text of `cw status`; output_size is the node's counter of printed bytes."""
    # Of a node that was not asked for all of it, or has none of it, the last lines.
    snippet = output.plain(info.last_event or info.last_output_snippet)
    if output.is_terminal():
        _show_to_people(info, output_size, snippet)
        return
    output.line(f"Session {info.id}")
    log_file_size = info.output_size_bytes
    pairs = [
        ("Name", info.name or None),
        ("Command", info.prompt or None),
        ("Working Dir", info.working_dir or None),
        ("Tags", ", ".join(info.tags) or None),
        ("Status", state_words(info)),
        ("State", state_line(info, time.time_ns()) if info.pid else None),
        ("Exit Code", None if info.signal else info.exit_code),
        ("Ended By", _ending(info)),
        ("Restart", _restart(info)),
        ("Relaunched", _relaunched(info)),
        ("Created", info.created_at or None),
        ("Completed", info.completed_at or None),
        ("Attached", "true" if info.attached else "false"),
        ("PID", info.pid or None),
        ("Output Size", None if log_file_size is None else f"{log_file_size} bytes"),
        ("Log Size", f"{output_size} bytes"),
    ]
    output.fields(pairs, width=13)
    if snippet:
        output.line(f"  Last Output:\n{snippet}")


def _show_to_people(info: SessionInfo, output_size: int, snippet: str) -> None:
    from codewire.commands.sessions.overview import output_lines, status_lines

    width, paint = output.terminal_width(), output.paint()
    for line in status_lines(info, output_size, time.time_ns(), width, paint):
        output.line(line)
    for line in output_lines(snippet, width, paint) if snippet else ():
        output.line(line)


def state_words(info: SessionInfo) -> str:
    """Return a session's state for people: its status, or what says more than that."""
    if info.end_reason == "lost":
        return "lost"
    return "stopped" if info.state == "stopped" else info.status


def _restart(info: SessionInfo) -> str | None:
    if not info.restart:
        return None
    from codewire.commands.sessions.relaunch import restart_words

    return restart_words(info.restart)


def _relaunched(info: SessionInfo) -> str | None:
    """Return which run a session goes on from, and which goes on from it."""
    runs = (("from", info.relaunched_from), ("as", info.relaunched_as))
    words = [f"{word} session {number}" for word, number in runs if number]
    if info.restorable:
        words.append(f"not yet: cw restore {info.id}")
    return ", ".join(words) or None


def _ending(info: SessionInfo) -> str | None:
    """Return how a session ended where its status does not say it."""
    if info.end_reason == "lost":
        return "lost with the node (exit code unknown)"
    if info.end_reason == "signal" or info.signal is not None:
        return f"signal {signal_words('?' if info.signal is None else info.signal)}"
    return None
