"""`cw wait`: block until sessions have ended, printed something, fallen silent, or need one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.sessions.selection import given, selection
from codewire.commands.sessions.states import signal_words, state_of
from codewire.errors import UsageError
from codewire.term.width import printable

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.commands.context import Context
    from codewire.wire.answers.sessions import SessionInfo


# A heading has parentheses already.
PLAIN = str.maketrans("", "", "()")
CONDITIONS = ("--for", "--regex", "--idle", "--state", "--exit", "--changed")


def wait(args: dict[str, Any], context: Context) -> int:
    """Block until sessions have finished, or until one prints something or falls silent.

    Prints how sessions ended and their last output, or the line that was waited for. The exit code
    is 0 however they ended, unless --exit-status is given; 124 means a timeout. Text is looked
    for from the session's start, so nothing printed before this command is missed; the echo of
    what was typed is no output.

    Usage:
      cw wait [options] [<session-or-tag>]

    Options:
          --for <text>           Until the session prints this text, or shows it on its screen
          --regex <expression>   Until it prints or shows what this regular expression matches
          --on <screen|output>   Look for text there only; with --from at output alone
          --gone                 With --for or --regex: until the screen shows it no longer
          --changed              Until the screen changes
          --idle <seconds>       Until it has printed nothing for so long (or has ended)
          --state <state,...>    Until it is in one of these states: working, blocked, idle, done,
                                 error, stopped, exited; 1 if it ends in another; repeatable
          --exit                 Until it has ended; so it is without --for, --regex and --idle
          --from <offset>        Where to look for text: a log offset, start, or now
          --include-echo         What was typed counts as printed
          --exit-status          Exit with the session's own code (128+n for signal n)
      -t, --tag <tag,...>        Wait for the sessions with any of these tags; repeatable
      -c, --condition <all|any>  With tags: wait for all of them, or for any one [default: all]
          --any                  The same as --condition any
          --timeout <seconds>    Give up after this time and exit 124 (0: never)
      -j, --json                 Print the sessions as JSON
      -o, --output <text|json>   The same choice, in words

    Examples:
      cw wait 3
      cw wait --tag worker
      cw wait --tag worker --condition any --timeout 60
      cw wait planner --for "Ready." --timeout 60
      cw wait build --exit-status
      cw wait claude --state blocked,done
      cw wait --tag worker --any --state blocked
    """
    context.give_up_after(args["--timeout"])
    client, session_id, tags = selection(args, context)
    if session_id is None and not tags:
        raise UsageError("session id, name, or tag required (or use --tag)")
    wanted = [flag for flag in CONDITIONS if given(args[flag]) and args[flag] != []]
    if len(wanted) > 1:
        raise UsageError(f"{wanted[0]} and {wanted[1]} are mutually exclusive")
    needs_one = [
        *(flag for flag in wanted if flag not in ("--exit", "--state")),
        *(["--exit-status"] * args["--exit-status"]),
    ]
    if needs_one and (session_id is None or tags):
        raise UsageError(f"{needs_one[0]} needs a single session")
    _check_place(args, wanted)
    if session_id is not None and (args["--gone"] or args["--changed"]):
        return _wait_for_screen(client, session_id, args)
    if session_id is not None and wanted and wanted[0] in ("--for", "--regex"):
        return _wait_for_text(client, session_id, args)
    sessions = client.wait(
        session_id,
        tags,
        "any" if args["--any"] else args["--condition"],
        args["--timeout"] or None,
        idle_seconds=args["--idle"],
        states=args["--state"],
    )
    if args["--state"]:
        return _show_states(sessions, args)
    if output.wants_json(args):
        output.show_json([session.sent for session in sessions])
    else:
        for session in sessions:
            _show_result(session)
    return _exit_status(sessions[0]) if args["--exit-status"] and sessions else 0


def _show_states(sessions: list[SessionInfo], args: dict[str, Any]) -> int:
    """Print sessions and their states; 1 if none is in one that was waited for."""
    if output.wants_json(args):
        output.show_json([session.sent for session in sessions])
    else:
        for session in sessions:
            words = [session.label, state_of(session)]
            reason = session.state_reason
            output.line(printable(" ".join(words) + (f": {reason}" if reason else "")))
    return 0 if any(session.state in args["--state"] for session in sessions) else 1


def _check_place(args: dict[str, Any], wanted: list[str]) -> None:
    """Raise UsageError for options about text and the screen that do not go together."""
    has_text = bool(wanted) and wanted[0] in ("--for", "--regex")
    for flag in ("--on", "--gone"):
        if given(args[flag]) and not has_text:
            raise UsageError(f"{flag} needs --for or --regex")
    if args["--on"] not in (None, "screen", "output", "both"):
        raise UsageError(f"--on takes screen or output, got {args['--on']!r}")
    if args["--gone"] and args["--on"] not in (None, "screen"):
        raise UsageError("--gone looks at the screen")


def _wait_for_screen(client: Client, session_id: int, args: dict[str, Any]) -> int:
    client.wait_for_screen(
        session_id,
        args["--for"],
        gone_regex=args["--regex"],
        timeout_seconds=args["--timeout"] or None,
    )
    if output.wants_json(args):
        output.show_json({"session_id": session_id})
    return _exit_status(client.wait(session_id)[0]) if args["--exit-status"] else 0


def _wait_for_text(client: Client, session_id: int, args: dict[str, Any]) -> int:
    match = client.wait_for_text(
        session_id,
        args["--for"],
        regex=args["--regex"],
        from_offset=_start(args["--from"]),
        include_echo=args["--include-echo"],
        timeout_seconds=args["--timeout"] or None,
        on=args["--on"],
    )
    if output.wants_json(args):
        output.show_json({"session_id": session_id, "line": match.line, "offset": match.offset})
    else:
        output.line(output.plain(match.line))
    if not args["--exit-status"]:
        return 0
    return _exit_status(client.wait(session_id)[0])


def _start(word: str | None) -> int | None:
    """Return the offset a word means, None for now. Raises UsageError."""
    if word in (None, "start"):
        return 0
    if word == "now":
        return None
    if not (word and word.isascii() and word.isdigit() and len(word) < 20):
        raise UsageError(f"--from takes a log offset, start or now, got {word!r}")
    return int(word)


def _exit_status(session: SessionInfo) -> int:
    """Return a session's code as a shell would; 1 where there is none."""
    from codewire.wire.exits import shell_status

    return shell_status(session.exit)


def _how(session: SessionInfo) -> str:
    """Say how a session ended; by a signal it has no exit code."""
    if session.signal:
        return f"signal={signal_words(session.signal).translate(PLAIN)}"
    return f"exit_code={'n/a' if session.exit_code is None else session.exit_code}"


def _show_result(session: SessionInfo) -> None:
    heading = f"=== {session.label} ({_how(session)}) ==="
    output.line(output.plain(heading))
    snippet = output.plain(session.last_output_snippet)
    output.write(f"{snippet}\n\n" if snippet else "\n")
