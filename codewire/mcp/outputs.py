"""Schemas of what tools return as data beside their texts (outputSchema, structuredContent).

Nothing is required but what every answer has, and more may come: nodes of other versions add fields
and leave some out.
"""

from __future__ import annotations

from typing import Any


def _object(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _text(what: str) -> dict[str, Any]:
    return {"type": "string", "description": what}


def _number(what: str) -> dict[str, Any]:
    return {"type": "integer", "description": what}


SESSION = _object(
    ("id", "status"),
    id=_number("The session's id"),
    name=_text("Its name, where it has one"),
    prompt=_text("Its command"),
    status=_text("running, completed (exit code), killed"),
    state=_text("What its agent does: working, blocked, idle, done, error, stopped, exited"),
    tags={"type": "array", "items": {"type": "string"}},
    exit_code=_number("Its exit code, once it has ended; -1 when a signal ended it"),
    created_at=_text("When it was started"),
    last_event_at=_text("When something last happened: its last output, end or start"),
    idle_seconds=_number("How long ago that was"),
    last_event_preview=_text("Its result or last lines, in one line"),
    last_event=_text("Its result or last lines, whole"),
)
TRUNCATED = _text("What was left out, and how to get at it")
SESSIONS = _object(("sessions",), sessions={"type": "array", "items": SESSION}, truncated=TRUNCATED)
WAITED = _object(
    (),
    sessions={"type": "array", "items": SESSION},
    line=_text("The line that was waited for"),
    next_offset=_number("Where to read or wait on"),
    truncated=TRUNCATED,
)
OUTPUT = _object(
    ("text", "view"),
    text=_text("What was printed, or what the screen shows"),
    view=_text("log or screen: which of them text is"),
    new=_text("Of a screen: lines that were not there at from_offset"),
    next_offset=_number("Pass it back as from_offset to read on"),
    status=_text("The session's status"),
    rows=_number("Of a screen"),
    cols=_number("Of a screen"),
    cursor={"type": "object"},
    screen_hash=_text("Changes with the screen: for expect_screen"),
    lost_bytes=_number("How much of the log is gone (budget, full disk)"),
    truncated=TRUNCATED,
)
