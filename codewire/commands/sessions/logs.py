"""`cw logs`: print a session's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from codewire.commands.context import Context


def logs(args: dict[str, Any], context: Context) -> int:
    """Print what a session has printed, finished ones too; escape sequences are removed.

    Usage:
      cw logs [options] <session>

    Options:
      -f, --follow    Go on with new output until the session ends
      -t, --tail <n>  Only the last n lines
          --raw       Keep colours and other escape sequences

    Examples:
      cw logs 1
      cw logs planner --follow
      cw logs 1 --tail 100
    """
    from codewire.client.addressing import resolve_session
    from codewire.term.width import harmless

    client, ref = context.locate(args["<session>"])
    chunks = client.logs(
        resolve_session(client, ref),
        follow=args["--follow"],
        tail=args["--tail"],
        strip_ansi=not args["--raw"],
    )
    for chunk in chunks:
        note_gap(chunk.gap)
        output.write(chunk.text if args["--raw"] else harmless(chunk.text), flush=args["--follow"])
    return 0


def note_gap(gap: int) -> None:
    """Say that bytes of a log are missing here, if any are."""
    if gap:
        output.notice(f"{gap} bytes of output are gone (log budget or full disk)")
