"""Tools that read one session: what it has printed, what its screen shows, what it prints now.

Long because what a model is told of a tool stands beside what the tool does.
"""

from __future__ import annotations

from typing import Any

from codewire.errors import CodewireError
from codewire.mcp import outputs, shown
from codewire.mcp.arguments import MAX_U64, Param
from codewire.mcp.calls import CallClient, until_out_of_time
from codewire.mcp.memory import MAX_LINES, lines_of
from codewire.mcp.tool import (
    DURATION,
    MAX_CHARS,
    SESSION,
    Reply,
    Tool,
    session_number,
    to_json,
)

HISTORY_LINES = 50
# What an agent that reads a screen on, but from an offset nobody remembers, gets at most.
UNKNOWN_LINES = 200
# A node that does not answer is not waited for twice.
LOOK_SECONDS = 1.0


def read_session_output(client: CallClient, args: dict[str, Any]) -> Reply:
    """Run codewire_read_session_output: the text, then where the next read goes on."""
    session_id = session_number(client, args["session_id"])
    if args["view"] == "screen":
        screen = client.screen(session_id, history_lines=args["tail"])
        return _screen_reply(client, session_id, dict(screen.sent), args)
    if args["view"] == "auto":
        screen_or_none = shown.look(client, session_id)
        if screen_or_none is not None and shown.redraws(client, session_id, screen_or_none):
            lines = MAX_LINES if args["tail"] is None else args["tail"]
            screen = client.screen(session_id, history_lines=lines or None)
            return _screen_reply(client, session_id, dict(screen.sent), args)
    return _log_reply(client, session_id, args)


def _log_reply(client: CallClient, session_id: int, args: dict[str, Any]) -> Reply:
    limit, start = args["max_chars"], args["from_offset"]
    chunks = client.logs(
        session_id,
        tail=args["tail"],
        from_offset=start,
        max_bytes=None if start is None else limit,
    )
    text, gap, offset = "", 0, None
    for chunk in chunks:
        # Only the end is wanted: a log of gigabytes passes through, it is not collected.
        text = (text + shown.without_redraws(chunk.text))[-MAX_CHARS - 1 :]
        gap += chunk.gap
        offset = chunk.offset
    facts: dict[str, Any] = {"next_offset": offset}
    if gap:
        facts["lost_bytes"] = gap
    if len(text) > limit and start is None:
        text = text[len(text) - limit :] if limit else ""
        facts["truncated"] = f"only the last {limit} characters are shown"
        text += "... [truncated]"
    answer = client.status(session_id)
    left = 0 if offset is None else answer.output_size - offset
    if start is not None and left > 0 and offset is not None and offset - start + 4 >= limit:
        facts["truncated"] = f"{left} more bytes: read on from next_offset"
    facts["status"] = answer.info.status
    return _reply(text, "log", facts)


def _screen_reply(
    client: CallClient, session_id: int, screen: dict[str, Any], args: dict[str, Any]
) -> Reply:
    """Return the screen, what else is known of it, and what is new since an offset, if asked."""
    limit, start = args["max_chars"], args["from_offset"]
    facts = shown.facts_of(screen)
    text, is_cut = _last(lines_of(screen), limit)
    if is_cut:
        facts["truncated"] = f"only the last {limit} characters are shown"
    elif args["tail"] is None and len(screen.get("history") or ()) >= MAX_LINES:
        facts["truncated"] = f"only the last {MAX_LINES} lines are shown; view log has all"
    if start is None:
        client.memory.keep(session_id, screen)
        return _reply(text, "screen", facts)
    if args["tail"] is None:
        # With all that scrolled off since, which the screen alone does not show.
        text, _ = _last(list(screen.get("lines") or []), limit)
        screen = shown.look(client, session_id, MAX_LINES) or screen
    new = client.memory.new_lines(session_id, start, screen)
    client.memory.keep(session_id, screen)
    if new is None:
        new = lines_of(screen)[-UNKNOWN_LINES:]
        facts["truncated"] = (
            f"what was shown at from_offset is not remembered: new are the last {len(new)} lines"
        )
    words, is_cut = _last(new, limit)
    if is_cut:
        facts["truncated"] = f"only the last {limit} characters of what is new are shown"
    return _reply(text, "screen", facts, words)


def _last(lines: list[str], limit: int) -> tuple[str, bool]:
    """Return the end of some lines, at most `limit` characters, and whether that is not all."""
    text = "\n".join(lines).rstrip("\n")
    return (
        (text[len(text) - limit :] if limit else "", True) if len(text) > limit else (text, False)
    )


def _reply(text: str, view: str, facts: dict[str, Any], new: str | None = None) -> Reply:
    data = {"text": text, "view": view, **facts}
    named = {**facts, "view": view} if view == "screen" else facts
    if new is None:
        return Reply([text, to_json(named)], data)
    return Reply([text, to_json(named), new], {**data, "new": new})


def watch_session(client: CallClient, args: dict[str, Any]) -> list[str]:
    """Run codewire_watch_session: the output, then where a read goes on.

    Of a program that redraws its screen, what that shows at the end, and what is new in it.
    """
    unbounded = client
    client = client.within(args["max_duration_seconds"])
    session_id = session_number(client, args["session_id"])
    screen = _look_quickly(client, session_id)
    if screen is None:
        return _watch_log(client, session_id, args)
    client.memory.keep(session_id, screen)
    quiet = {**args, "include_history": False}
    texts = _watch_log(client, session_id, quiet, keeps=False)
    now = _look_quickly(unbounded, session_id, always=True) or screen
    new = client.memory.new_lines(session_id, screen["offset"], now) or []
    client.memory.keep(session_id, now)
    shows = "\n".join(lines_of({"lines": now.get("lines")}))[-MAX_CHARS:]
    facts = {**shown.facts_of(now), "view": "screen"}
    return [shows + texts[0], to_json(facts), "\n".join(new)[-MAX_CHARS:]]


def _look_quickly(
    client: CallClient, session_id: int, always: bool = False
) -> dict[str, Any] | None:
    """Return the screen of a program that redraws it; None of another, or where nobody answers."""
    client = client.within(LOOK_SECONDS)
    try:
        screen = shown.look(client, session_id, MAX_LINES)
        if screen is None or not isinstance(screen.get("offset"), int):
            return None
        return screen if always or shown.redraws(client, session_id, screen) else None
    except CodewireError:
        return None


def _watch_log(
    client: CallClient, session_id: int, args: dict[str, Any], keeps: bool = True
) -> list[str]:
    stream = client.watch(
        session_id,
        include_history=args["include_history"],
        history_lines=args["history_lines"] if args["include_history"] else None,
    )
    pieces, size, ending, offset = [], 0, "\n[Watch timeout]\n", None
    lost: list[str] = []
    for chunk in until_out_of_time(stream, lost.append):
        text = shown.without_redraws(chunk.text) if keeps else ""
        size += len(text)
        if size > MAX_CHARS:
            # A piece is shown whole or not at all, so that the offset is where the text stops.
            ending = "\n... [output truncated to 500KB]"
            break
        pieces.append(text)
        offset = chunk.offset if chunk.offset is not None else offset
        if chunk.done:
            ending = f"\n[Session {chunk.status}]\n"
    if lost:
        ending = f"\n[Watch ended early: {lost[0]}]\n"
    text = "".join(pieces) + ending
    return [text] if offset is None else [text, to_json({"next_offset": offset})]


TOOLS = (
    Tool(
        "codewire_read_session_output",
        "Read what a session has printed so far, escape sequences removed; returns at once, works "
        "for finished sessions too. Returns two texts: the output, and JSON with next_offset and "
        "status. To read only what is new later, pass next_offset back as from_offset. Without "
        "from_offset you get the last max_chars characters (or the last `tail` lines). Of a "
        "program that redraws its screen (an agent, an editor) you get what its terminal shows "
        "now, JSON with view: screen, cursor and screen_hash, and with from_offset a third text: "
        "the lines that are new since. `tail` adds so many lines above the screen.",
        (
            SESSION,
            Param("tail", "integer", "Only the last N lines (default: all)"),
            Param(
                "max_chars",
                "integer",
                "Most characters to return (default and most 500000)",
                default=MAX_CHARS,
                maximum=MAX_CHARS,
            ),
            Param(
                "from_offset",
                "integer",
                "Read on from this byte offset: next_offset of an earlier read",
                maximum=MAX_U64,
            ),
            Param(
                "view",
                "string",
                "log: what was printed; screen: what the terminal shows now; auto (default): the "
                "screen of a program that redraws it, else the log",
                default="auto",
                choices=("auto", "log", "screen"),
            ),
        ),
        read_session_output,
        outputs.OUTPUT,
    ),
    Tool(
        "codewire_watch_session",
        "Follow a session's output live for a limited time: recent lines first, then what it "
        "prints until it ends or max_duration_seconds is over. Returns raw terminal output, ending "
        "in [Session <status>] or [Watch timeout], then JSON with next_offset, where "
        "codewire_read_session_output reads on. Of a program that redraws its screen: what that "
        "shows at the end, and the lines that are new. To just wait for the end use "
        "codewire_wait_for.",
        (
            SESSION,
            Param(
                "include_history", "boolean", "Start with recent lines (default true)", default=True
            ),
            Param(
                "history_lines",
                "integer",
                f"How many recent lines (default {HISTORY_LINES})",
                default=HISTORY_LINES,
            ),
            DURATION,
        ),
        watch_session,
    ),
)
