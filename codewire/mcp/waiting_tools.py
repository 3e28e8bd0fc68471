"""Tools that wait for what sessions do: collect events, wait for an end, a text, silence.

Their place in the list is behind the tools for one session (spec/mcp.md 3).
"""

from __future__ import annotations

from typing import Any

from codewire.client.reach.asking import deadline_behind
from codewire.errors import RequestError
from codewire.mcp import outputs
from codewire.mcp.arguments import MAX_U64, Param
from codewire.mcp.calls import CallClient, CallEnded, until_out_of_time
from codewire.mcp.tool import (
    DURATION,
    GRANT,
    MAX_SECONDS,
    TAGS,
    Reply,
    Tool,
    listed,
    listing,
    observed_session,
    session_number,
    to_json,
)
from codewire.wire.answers.events import Event


def subscribe(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_subscribe."""
    client = client.within(args["max_duration_seconds"])
    session_id = args["session_id"]
    if session_id is not None:
        session_id = observed_session(client, session_id)
    if isinstance(session_id, str) or args["grant"]:
        if args["tags"] or args["event_types"]:
            raise RequestError("of a session of another node there are messages only: no filters")
        stream = client.listen(session_id, grant=args["grant"] or "")
    else:
        stream = client.subscribe(session_id, args["tags"] or (), args["event_types"] or ())
    events: list[dict[str, Any]] = []
    lost: list[str] = []
    for message in until_out_of_time(stream, lost.append):
        if not isinstance(message, Event):
            continue
        events.append({"session_id": message.session_id, **message.sent})
        if args["max_events"] and len(events) >= args["max_events"]:
            break
    facts = {"ended_early": lost[0]} if lost else None
    hint = "ask for fewer sessions or event types, or less time"
    return listing(events, hint=hint, facts=facts)


def wait_for(client: CallClient, args: dict[str, Any]) -> Reply:
    """Run codewire_wait_for."""
    if args["timeout_seconds"]:
        client = client.until(deadline_behind(args["timeout_seconds"]))
    session_id = args["session_id"]
    if session_id is not None:
        session_id = session_number(client, session_id)
    elif not args["tags"]:
        raise RequestError("wait needs a session, a session_id or tags")
    text, regex, idle = args["text"], args["regex"], args["idle_seconds"]
    _check_place(args)
    looks = bool(text or regex or args["changed"])
    if session_id is None and (looks or idle is not None):
        raise RequestError("waiting for text, silence or a screen needs a session or session_id")
    try:
        if session_id is not None and (args["gone"] or args["changed"]):
            limit = args["timeout_seconds"] or None
            client.wait_for_screen(session_id, text, gone_regex=regex, timeout_seconds=limit)
            shown = {"session_id": session_id}
            return Reply([to_json(shown)], shown)
        if session_id is not None and (text or regex):
            match = client.wait_for_text(
                session_id,
                text,
                regex=regex,
                from_offset=args["from_offset"] or 0,
                include_echo=args["include_echo"],
                timeout_seconds=args["timeout_seconds"] or None,
                on=args["on"],
            )
            found = {"line": match.line, "next_offset": match.offset}
            return Reply([to_json(found)], found)
        sessions = client.wait(
            session_id,
            args["tags"] or (),
            args["condition"],
            args["timeout_seconds"] or None,
            idle_seconds=idle,
            states=args["states"] or (),
        )
    except CallEnded as error:
        raise RequestError("cancelled", "cancelled") from error
    hint = "the oldest; ask for one with codewire_get_session_status"
    return listed(
        "sessions", listing([session.sent for session in sessions], newest=True, hint=hint)
    )


def _check_place(args: dict[str, Any]) -> None:
    """Raise RequestError for parameters about text and the screen that do not go together."""
    has_text = bool(args["text"] or args["regex"])
    if (args["gone"] or args["on"]) and not has_text:
        raise RequestError(f"{'gone' if args['gone'] else 'on'} needs text or regex")
    if args["gone"] and args["on"] not in (None, "screen"):
        raise RequestError("gone looks at the screen")
    if args["changed"] and (has_text or args["idle_seconds"] is not None):
        raise RequestError("changed stands alone: wait for text or silence in another call")


TOOLS = (
    Tool(
        "codewire_subscribe",
        "Collect events for a limited time: session.created, session.status (a session ended), "
        "session.stopped (by a signal), session.continued, session.output_summary, "
        "session.input, session.attached, session.detached, session.state (what its agent does), "
        "session.decision, task.report, direct.message, message.request, "
        "message.reply. Returns a JSON array. Set max_events to 1 to return at the first one. Only "
        "events from now on are seen.",
        (
            Param(
                "session_id",
                "session",
                "Only events of this session; node:session: the messages of one of another node",
            ),
            TAGS,
            Param("event_types", "strings", "Only these event types"),
            DURATION,
            Param("max_events", "integer", "Return after this many events (default: no limit)"),
            GRANT,
        ),
        subscribe,
    ),
    Tool(
        "codewire_wait_for",
        "Block until a session has finished, or all (or any) of the sessions with some tags; with "
        "text or regex until a session prints or shows it (returns the line and next_offset), or "
        "with gone until its screen shows it no longer; with changed until the screen changes; "
        "with idle_seconds until it has been silent for so long. "
        "Returns a JSON array of the sessions with status, exit_code and last_output_snippet; "
        "`Error: wait timed out` when it takes longer.",
        (
            Param("session_id", "session", "Which session: its id or its name"),
            TAGS,
            Param(
                "condition",
                "string",
                "With tags: wait for all of them or any (default all)",
                default="all",
                choices=("all", "any"),
            ),
            Param("text", "string", "Wait until the session prints this"),
            Param("regex", "string", "Wait until it prints what this regular expression matches"),
            Param(
                "from_offset",
                "integer",
                "Look for text from this log offset on (default 0: the session's start); use "
                "next_offset of an earlier result to wait for the next one",
                maximum=MAX_U64,
            ),
            Param(
                "include_echo",
                "boolean",
                "Count the echo of typed input as printed (default false)",
                default=False,
            ),
            Param(
                "on",
                "string",
                "Look for text there only (default: both; with from_offset at output alone)",
                choices=("screen", "output", "both"),
            ),
            Param(
                "gone",
                "boolean",
                "With text or regex: until the screen shows it no longer (default false)",
                default=False,
            ),
            Param("changed", "boolean", "Until the screen changes (default false)", default=False),
            Param("idle_seconds", "number", "Wait until it has printed nothing for so long"),
            Param(
                "states",
                "strings",
                "Wait until it is in one of these states, or has ended: working, blocked, idle, "
                "done, error, stopped, exited",
            ),
            Param(
                "timeout_seconds",
                "number",
                "Give up after this long (default 300; 0: never)",
                default=300,
                maximum=MAX_SECONDS * 365,
            ),
        ),
        wait_for,
        outputs.WAITED,
    ),
)
