"""`cw subscribe`: what happens to sessions, as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.commands.sessions.selection import selection
from codewire.wire.answers.events import Event, EventsLost, Subscribed
from codewire.wire.events import EVENT_TYPES

if TYPE_CHECKING:
    from codewire.commands.context import Context


def subscribe(args: dict[str, Any], context: Context) -> int:
    """Stream events of sessions, one a line, until Ctrl-C.

    Without a session or tag: of all sessions. A session and tags must both fit.

    Usage:
      cw subscribe [options] [<session-or-tag>]

    Options:
          --session <session>    Only events of this session
      -t, --tag <tag,...>        Only sessions with any of these tags; repeatable
      -e, --event <type,...>     Only events of these types; repeatable
          --json                 Print each as one line of JSON; requests with their reply_token

    Event types:
      session.created session.status session.stopped session.continued
      session.output_summary session.input session.attached session.detached
      session.state session.decision task.report direct.message message.request message.reply

    Examples:
      cw subscribe
      cw subscribe --tag worker --event session.status
      cw subscribe --session 3
    """
    client, session_id, tags = selection(args, context)
    for unknown in [name for name in args["--event"] if name not in EVENT_TYPES]:
        output.notice(f"no event type is called {unknown}; there are: {' '.join(EVENT_TYPES)}")
    is_subscribed = False
    for frame in client.subscribe(session_id, tags, args["--event"]):
        if not isinstance(frame, Subscribed):
            _show_event(frame, args["--json"])
        elif is_subscribed:
            output.notice("the node's worker was replaced; events in between may be missing")
        else:
            is_subscribed = True
            output.notice(f"subscribed (id={frame.subscription_id})")
    return 0


def _show_event(frame: Event | EventsLost, as_json: bool) -> None:
    if isinstance(frame, EventsLost):
        output.notice(f"{frame.count} events lost: this reader was too slow")
        return
    event = dict(frame.sent)
    if as_json:
        line = output.compact_json({"session_id": frame.session_id, **event})
        output.write(line + "\n", flush=True)
        return
    # The token lets its holder answer in the recipient's name; a transcript must not show it.
    event["data"] = {k: v for k, v in frame.data.items() if k != "reply_token"}
    text = f"[session {frame.session_id}] {output.compact_json(event)}\n"
    output.write(text, flush=True)
