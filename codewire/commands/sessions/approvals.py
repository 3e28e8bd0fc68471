"""`cw approvals` and `cw approve`: what agents wait for a person to decide."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.errors import UsageError

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.wire.answers.agents import Approval


def approvals(args: dict[str, Any], context: Context) -> int:
    """List the sessions that wait for a decision: what is asked, the choices, and an id.

    The id belongs to what the screen asks now: 'cw approve' takes it only while that is so.

    Usage:
      cw approvals [options] [<session>]

    Options:
      -t, --tag <tag,...>       Only sessions with any of these tags; repeatable
      -j, --json                Print them as JSON
      -o, --output <text|json>  The same choice, in words

    Examples:
      cw approvals
      cw approvals --tag worker --json
    """
    from codewire.client.addressing import resolve_session

    session_id = None
    if args["<session>"]:
        client, ref = context.locate(args["<session>"])
        session_id = resolve_session(client, ref)
    else:
        client = context.client()
    found = client.approvals(session_id, args["--tag"])
    if output.wants_json(args):
        output.show_json([one.sent for one in found])
    elif not found:
        output.line("Nothing waits for a decision")
    for one in found if not output.wants_json(args) else ():
        _show(one, time.time_ns())
    return 0


def _show(one: Approval, now_ns: int) -> None:
    from codewire.term.width import printable

    name = one.session_name or one.session_id
    kind = f" {one.kind}" if one.kind else ""
    age = output.age(one.since, now_ns)
    head = f"{one.id}  session {name}{kind}, {age}"
    output.line(output.coloured(printable(head), 1))
    for text in one.text.split("\n"):
        output.line(f"    {printable(text)}".rstrip())
    if not one.choices:
        output.line("    (its choices are not recognised: answer with 'cw send --keys' or attach)")


def approve(args: dict[str, Any], context: Context) -> int:
    """Answer what a session waits for, by an id of 'cw approvals'.

    Without --choice and --no it takes the only choice that begins with Yes, Allow, Approve or
    Proceed; where there are several, it lists them and chooses nothing. Enter is pressed only once
    the mark is seen on the choice. Refused when the screen asks something else by now, and from
    inside the session that asks.

    Usage:
      cw approve [options] <approval>

    Options:
      -c, --choice <n>          The number of the choice, as listed
          --no                  The only choice that says no
      -j, --json                Print what was chosen as JSON
      -o, --output <text|json>  The same choice, in words

    Examples:
      cw approve 3-1eb7efda
      cw approve 3-1eb7efda --choice 2
      cw approve 3-1eb7efda --no
    """
    from codewire.term.width import printable

    if args["--no"] and args["--choice"] is not None:
        raise UsageError("--choice and --no are mutually exclusive")
    node, colon, approval = args["<approval>"].rpartition(":")
    client = context.client_of(node) if colon else context.client()
    answer = client.approve(approval, choice=args["--choice"], refuse=bool(args["--no"]))
    if output.wants_json(args):
        output.show_json({key: value for key, value in answer.sent.items() if key != "type"})
        return 0
    label = printable(answer.label)
    output.line(f"Chose {answer.choice}. {label} in session {answer.id}")
    if not answer.confirmed:
        output.notice("the question is still on the screen")
    return 0
