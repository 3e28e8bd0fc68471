"""`cw prompt`: ask an agent something and print what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output

if TYPE_CHECKING:
    from codewire.commands.context import Context

STALLED_STATUS = 3


def prompt(args: dict[str, Any], context: Context) -> int:
    """Submit a text to an agent, wait until it has settled, and print what it said.

    Settled is idle, or blocked: it waits for a decision. Printed are the lines that are new since
    Enter above the input row, at most 200. Exit 3: stalled, the screen has not changed for 10 s
    after Enter. Exit 1: refused at a dialog, a password prompt or a pager; nothing was typed.

    Usage:
      cw prompt [options] <session> <text>

    Options:
          --timeout <seconds>  Give up after this time and exit 124 (0: never)
      -j, --json               Print state and text as JSON

    Examples:
      cw prompt planner "What is left to do?"
      cw prompt 3 "Run the tests" --timeout 600
    """
    from codewire.client.addressing import resolve_session

    context.give_up_after(args["--timeout"])
    client, ref = context.locate(args["<session>"])
    session_id = resolve_session(client, ref)
    answer = client.prompt(session_id, args["<text>"], timeout_seconds=args["--timeout"] or None)
    lines = [output.plain(line) for line in answer.lines]
    if args["--json"]:
        facts = {"id": session_id, "state": answer.state, "text": "\n".join(lines)}
        output.line(output.compact_json(facts))
    else:
        for line in lines:
            output.line(line)
        if answer.state != "idle":
            output.note(SAID.get(answer.state, answer.state))
    return STALLED_STATUS if answer.state == "stalled" else 0


SAID = {
    "blocked": "blocked: waits for a decision",
    "stalled": "stalled: the screen has not changed for 10s after Enter",
    "exited": "the session has ended",
}
