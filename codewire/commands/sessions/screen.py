"""`cw screen` and `cw reset`: what a session's terminal shows, and repairing one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context


def screen(args: dict[str, Any], context: Context) -> int:
    """Show what a session's terminal shows now, as text.

    For full-screen programs, whose log is no text to read. The hash printed with --json changes
    when the screen does; give it to 'cw send --expect-screen'.

    Usage:
      cw screen [options] <session>

    Options:
          --history <n>       Also the n lines above the screen
          --ansi              Keep colours
      -j, --json              Print size, cursor, hash and lines as JSON
      -o, --output <text|json>  The same choice, in words

    Examples:
      cw screen 3
      cw screen editor --ansi
      cw screen 3 --json
    """
    from codewire.client.addressing import resolve_session

    client, ref = context.locate(args["<session>"])
    session_id = resolve_session(client, ref)
    found = client.screen(
        session_id, history_lines=args["--history"], ansi=args["--ansi"], peek=False
    )
    if output.wants_json(args):
        output.show_json({key: value for key, value in found.sent.items() if key != "type"})
        return 0
    lines = [*found.history, *found.lines]
    while lines and not lines[-1]:
        lines.pop()
    for line in lines:
        output.line(output.coloured_only(line) if args["--ansi"] else output.plain(line))
    return 0


def reset(args: dict[str, Any], context: Context) -> int:
    """Bring this terminal back to order after an attach that could not clean up.

    Leaves the alternate screen, shows the cursor, ends mouse reports, key protocols and colours,
    and sets the line settings as 'stty sane' does.

    Usage:
      cw reset [options]

    Examples:
      cw reset
    """
    import os

    from codewire.client.attaching.terminal import reset_terminal

    if not os.isatty(0):
        raise UsageError("reset needs a terminal on stdin")
    reset_terminal()
    return 0
