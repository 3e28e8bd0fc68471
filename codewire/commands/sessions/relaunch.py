"""`cw relaunch` and `cw restore`: start sessions again that have ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import CodewireError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codewire.client.api import Client
    from codewire.commands.context import Context
    from codewire.wire.answers.returning import Relaunched, Restorable
    from codewire.wire.answers.sessions import SessionInfo

AS_WAS, RESUME, COMMAND = "as-was", "resume", "printed"


def relaunch(args: dict[str, Any], context: Context) -> int:
    """Start a session that has ended again: same command, directory, environment, tags and name.

    The new session has an id of its own. Where its environment was not saved (with --no-save-env of
    launch) it has that of this shell.

    Usage:
      cw relaunch [options] <session>

    Options:
          --resume               Take up its agent's conversation, if that is known
      -j, --json                 Print the new session's id, and whose place it takes, as JSON
      -q, --quiet                Print only its id, on stdout

    Examples:
      cw relaunch planner
      cw relaunch 3 --resume
    """
    from codewire.client.addressing import resolve_session

    if args["--json"] or args["--quiet"]:
        output.require_stdout()
    client, ref = context.locate(args["<session>"])
    way = RESUME if args["--resume"] else AS_WAS
    answer = client.relaunch(resolve_session(client, ref), way=way)
    if args["--json"]:
        output.line(output.compact_json(_facts(answer)))
    elif args["--quiet"]:
        output.line(str(answer.id))
    else:
        output.note(f"Session {answer.relaunched_from} {_words(answer, 'relaunched')}")
    return 0


def restore(args: dict[str, Any], context: Context) -> int:
    """Start the sessions again that ended with their node: a reboot, a crash, `docker stop`.

    Without names all of them, each once. Agents take up their conversation where its id is known;
    what else ran starts as it did. A command line that a program printed is shown and only run
    if you say so. What `cw stop` or `cw kill` ended is not restored.

    Usage:
      cw restore [options] [<session>...]

    Options:
          --as-was               Start everything as it was launched, agents too
      -n, --dry-run              Only show what would be started
          --forget               Offer them no more; nothing is started
      -j, --json                 Print what was (with -n: would be) started, as JSON

    Examples:
      cw restore
      cw restore planner 7
      cw restore --dry-run
      cw restore --forget 3
    """
    client, wanted = _wanted(args, context)
    if args["--forget"]:
        return _forget(client, wanted)
    if args["--dry-run"]:
        return _show(args, wanted)
    done: list[dict[str, Any]] = []
    failures = 0
    for entry in wanted:
        try:
            answer = client.restore(entry.id, way=_way(args, entry))
        except CodewireError as error:
            failures += 1
            output.note(f"Session {entry.label} not restored: {str(error).partition(chr(10))[0]}")
            continue
        done.append(_facts(answer))
        if not args["--json"]:
            output.note(f"Session {entry.label} {_words(answer, 'restored')}")
    if args["--json"]:
        output.show_json(done)
    return 1 if failures else 0


def _wanted(args: dict[str, Any], context: Context) -> tuple[Client, list[Restorable]]:
    """Return what is to be restored. Raises CodewireError for a session that cannot be."""
    words = args["<session>"]
    if not words:
        client = context.client()
        found = client.restorable()
        if not found:
            output.note("No sessions to restore")
        return client, found
    from codewire.client.addressing import resolve_session

    client, ref = context.locate(words[0])
    offered = {entry.id: entry for entry in client.restorable()}
    wanted = []
    for word in [ref, *words[1:]]:
        number = resolve_session(client, word)
        if number not in offered:
            raise CodewireError(
                f"session {word} did not end with its node, or has been restored; "
                f"'cw relaunch {word}' starts it again"
            )
        wanted.append(offered[number])
    return client, wanted


def _forget(client: Client, wanted: list[Restorable]) -> int:
    for entry in wanted:
        client.forget_restorable(entry.id)
        output.note(f"Session {entry.label} is not offered any more")
    return 0


def _show(args: dict[str, Any], wanted: list[Restorable]) -> int:
    if args["--json"]:
        output.show_json([dict(entry.sent) for entry in wanted])
        return 0
    for entry in wanted:
        command = (not args["--as-was"] and entry.resume) or entry.command
        output.line(_shown(f"{entry.label}: {_joined(command)}"))
        if _asks(args, entry):
            output.line(_shown(f"  its program printed: {_joined(entry.printed)}"))
    return 0


def _way(args: dict[str, Any], entry: Restorable) -> str:
    if args["--as-was"]:
        return AS_WAS
    if _asks(args, entry) and _confirms(entry):
        return COMMAND
    return RESUME if entry.resume else AS_WAS


def _asks(args: dict[str, Any], entry: Restorable) -> bool:
    """Say whether there is a command line to ask about: nobody else named the conversation."""
    is_named = entry.resume and entry.resume_by != COMMAND
    return bool(entry.printed and not is_named and not args["--as-was"])


def _confirms(entry: Restorable) -> bool:
    """Show a command line that a program printed, and ask whether to run it."""
    shown = _shown(_joined(entry.printed))
    if sys.stdin is None or not sys.stdin.isatty():
        output.note(f"Session {entry.label}: its program says it is resumed with: {shown}")
        output.note("  not run: nobody is there to confirm it")
        return False
    output.note(f"Session {entry.label}: its program printed this command line to resume it:")
    output.note(f"  {shown}")
    sys.stderr.write("Run it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _facts(answer: Relaunched) -> dict[str, Any]:
    return {
        "id": answer.id,
        "relaunched_from": answer.relaunched_from,
        "command": list(answer.command),
    }


def _words(answer: Relaunched, what: str) -> str:
    return _shown(f"{what} as {answer.id}: {_joined(answer.command)}")


def _joined(command: Sequence[str]) -> str:
    from shlex import join

    return join(command)


def _shown(text: str) -> str:
    from codewire.term.width import printable

    return printable(text)


def offer(sessions: list[SessionInfo]) -> None:
    """Say on a terminal that sessions can be restored."""
    count = sum(1 for session in sessions if session.restorable)
    if count and output.is_terminal():
        noun = "sessions" if count > 1 else "session"
        output.line(f"{count} {noun} can be restored: cw restore")


def restart_words(restart: Mapping[str, Any]) -> str:
    """Return a restart policy and where it stands."""
    count, most = restart.get("count", 0), restart.get("max")
    done = f"{count} of {most}" if most is not None else f"{count}"
    text = f"{restart.get('policy')} ({done} restarts)"
    if restart.get("next_at"):
        text += f", next at {restart['next_at']}"
    if restart.get("ended"):
        text += f", over: {restart['ended']}"
    elif restart.get("failed"):
        text += f", last one failed: {restart['failed']}"
    return text


def restart_fields(args: dict[str, Any]) -> dict[str, Any]:
    """Return what `cw launch` says of restarts. Raises UsageError."""
    policy, most = args["--restart"], args["--max"]
    if most is None:
        return {"restart": policy}
    if policy is None:
        raise UsageError("--max needs --restart")
    if not (most.isascii() and most.isdigit() and len(most) <= 9):
        raise UsageError(f'invalid argument "{most}" for "--max" flag: must be a whole number')
    return {"restart": policy, "restart_max": int(most)}
