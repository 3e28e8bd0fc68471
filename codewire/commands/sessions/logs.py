"""`cw logs`: print a session's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.commands.context import Context

# More than any screen remembers.
HISTORY_LINES = 1_000_000


def logs(args: dict[str, Any], context: Context) -> int:
    """Print what a session has printed, finished ones too; escape sequences are removed.

    Of a full-screen program the lines that have scrolled off, then its screen: what it has printed
    is no text to read.

    Usage:
      cw logs [options] <session>

    Options:
      -f, --follow    Go on with new output until the session ends
      -t, --tail <n>  Only the last n lines
          --raw       Keep colours and other escape sequences: every byte as it was printed

    Examples:
      cw logs 1
      cw logs planner --follow
      cw logs 1 --tail 100
    """
    from codewire.client.addressing import resolve_session
    from codewire.client.feedback import refuse_own
    from codewire.term.width import harmless

    output.require_stdout()
    client, ref = context.locate(args["<session>"])
    session_id = resolve_session(client, ref)
    shower = refuse_own(client, session_id, "following it here") if args["--follow"] else None
    if not (args["--follow"] or args["--raw"]):
        lines = _rendered(client, session_id)
        if lines is not None:
            tail = args["--tail"]
            shown = lines if tail is None else lines[max(0, len(lines) - tail) :]
            output.write("".join(f"{output.plain(line)}\n" for line in shown))
            return 0
    chunks = client.logs(
        session_id,
        from_session=shower,
        follow=args["--follow"],
        tail=args["--tail"],
        strip_ansi=not args["--raw"],
    )
    for chunk in chunks:
        note_gap(chunk.gap)
        output.write(chunk.text if args["--raw"] else harmless(chunk.text), flush=args["--follow"])
    return 0


def _rendered(client: Client, session_id: int) -> list[str] | None:
    """Return the lines of a program on the alternate screen, None for any other.

    Nodes that know no screens have only the text.
    """
    from codewire.errors import RequestError

    try:
        # Most sessions scroll: asked for its history is only one that does not.
        if not client.screen(session_id).alternate:
            return None
        screen = client.screen(session_id, history_lines=HISTORY_LINES)
    except RequestError:
        return None
    lines = [*screen.history, *screen.lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def note_gap(gap: int) -> None:
    """Say that bytes of a log are missing here, if any are."""
    if gap:
        output.notice(f"{gap} bytes of output are gone (log budget or full disk)")
