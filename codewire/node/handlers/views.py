"""How a session looks on the wire: SessionInfo (spec/wire.md 7)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from codewire.config import NEVER
from codewire.io.clock import CLOCK
from codewire.node.context import Node
from codewire.session.lookout import shown_state
from codewire.session.records.record import Status
from codewire.session.restarts import due_ns
from codewire.session.result import recent_output
from codewire.session.session import Session
from codewire.term.strip import strip_ansi
from codewire.wire.frames import MAX_PAYLOAD
from codewire.wire.timestamps import format_seconds

# Many sessions share one frame; what cannot be cut (times, counters, paths) has the rest of it.
TEXT_BUDGET = MAX_PAYLOAD // 2
SNIPPET = "last_output_snippet"
EVENT = "last_event"
PREVIEW = 200
RULE = re.compile("[─━═]{4,}")
CUT_KEYS = (SNIPPET, EVENT, "prompt", "tags")


def session_info(node: Node, session: Session, snippet: str | None = None) -> dict[str, Any]:
    """Return SessionInfo with counters up to date; `snippet` replaces the captured result."""
    if session.is_running():
        node.sessions.observer.catch_up(session)
    record = session.record
    attached = session.attached_count
    info: dict[str, Any] = {"id": record.id}
    if record.name:
        info["name"] = record.name
    info |= {
        "prompt": record.prompt,
        "working_dir": record.working_dir,
        "created_at": format_seconds(record.created_ns),
        "status": record.status_text(),
        **_state(session),
        "attached": attached > 0,
        "pid": record.pid,
    }
    last_ns = _add_log_facts(session, info) or record.completed_ns or record.created_ns
    text = record.result if snippet is None else snippet
    if text.strip():
        info[SNIPPET] = text
    if record.tags:
        info["tags"] = record.tags
    # By what was said above, not by what has become true since.
    if info["status"] != Status.RUNNING.value:
        _add_end(session, info)
    info |= _return(node, session)
    info |= {
        "output_lines": record.lines,
        "output_bytes": max(record.counted, info.get("output_size_bytes", 0)),
        "attached_count": attached,
        "last_event_at": format_seconds(last_ns),
        "idle_seconds": int(_idle_seconds(session, last_ns)),
    }
    if not record.pid:
        del info["pid"]
    return info


def _idle_seconds(session: Session, last_ns: int) -> float:
    """Return how long nothing has happened to it; only of the past the time of day decides."""
    if session.record.status is Status.RUNNING:
        return session.idle_seconds()
    return max(0, CLOCK.wall_ns() - last_ns) / 1e9


def _state(session: Session) -> dict[str, Any]:
    """Return what its agent does, why and since when, for who knows of states."""
    shown = shown_state(session)
    program = session.agent.program.name if session.agent is not None else ""
    facts = {
        "state": shown.state,
        "state_kind": shown.kind,
        "state_reason": shown.reason,
        "state_since": format_seconds(shown.since_ns) if shown.since_ns else "",
        "agent": program,
    }
    return {key: value for key, value in facts.items() if value}


def _add_log_facts(session: Session, info: dict[str, Any]) -> int:
    """Size and last change of the log: true after any restart. Return the latter (ns)."""
    found = session.log_status()
    if found is None:
        return 0
    info["output_size_bytes"], changed_ns = found
    if not info["output_size_bytes"]:
        return 0
    info["last_output_at"] = format_seconds(changed_ns)
    return changed_ns


def _add_end(session: Session, info: dict[str, Any]) -> None:
    record = session.record
    if record.exit_code is not None:
        info["exit_code"] = record.exit_code
    if record.signal is not None:
        info["signal"] = record.signal
    if record.end_reason:
        info["end_reason"] = record.end_reason
    if record.completed_ns:
        info["completed_at"] = format_seconds(record.completed_ns)
        info["duration_ms"] = session.duration_ms()


def _return(node: Node, session: Session) -> dict[str, Any]:
    """Return what it came from and what comes of it, for who knows of that."""
    record = session.record
    facts: dict[str, Any] = {
        "relaunched_from": record.relaunched_from,
        "relaunched_as": record.relaunched_as,
        "restorable": node.settings.restore != NEVER
        and node.sessions.relauncher.is_restorable(session),
    }
    if record.restart:
        restart = {k: v for k, v in record.restart.items() if k != "due_ns"}
        due = due_ns(record.restart)
        facts["restart"] = {**restart, **({"next_at": format_seconds(due)} if due else {})}
    return {key: value for key, value in facts.items() if value}


def session_status(node: Node, session: Session, *, full: bool = False) -> dict[str, Any]:
    """Return SessionInfo with the last raw lines as snippet, as GetStatus and Wait by id do.

    Of a program that moves the cursor they are those of its screen.

    With `full` also the text that the preview is of, with its lines (spec/wire.md 17).
    """
    recent = recent_output(session)
    info = session_info(node, session, recent)
    last = session.record.result if session.record.result.strip() else recent
    text = preview(last)
    if text:
        info["last_event_preview"] = text
        if full:
            info[EVENT] = strip_ansi(last.encode("utf-8", "replace")).decode("utf-8", "replace")
    return fit_frame([info])[0]


def preview(text: str) -> str:
    """Return output in one line: no escapes, white space as single blanks, PREVIEW characters.

    A long rule is a short one: it would take the room of what stands below it.
    """
    plain = strip_ansi(text.encode("utf-8", "replace")).decode("utf-8", "replace")
    line = "".join(c for c in " ".join(RULE.sub("──", plain).split()) if c.isprintable())
    return line if len(line) <= PREVIEW else f"{line[:PREVIEW]}..."


def session_infos(node: Node, sessions: Iterable[Session]) -> list[dict[str, Any]]:
    """Return SessionInfo of many sessions, cut where they would not fit one frame together."""
    return fit_frame([session_info(node, session) for session in sessions])


def brief_infos(sessions: Iterable[Session]) -> list[dict[str, Any]]:
    """Return the part of SessionInfo by which sessions are found; no file is looked at for it."""
    found = []
    for session in sessions:
        record = session.record
        info = {"id": record.id, "name": record.name, "status": record.status_text()}
        info |= {"attached": session.attached_count > 0, "tags": record.tags}
        found.append({key: value for key, value in info.items() if value not in ("", [])})
    return fit_frame(found)


def fit_frame(infos: list[dict[str, Any]], budget: int = TEXT_BUDGET) -> list[dict[str, Any]]:
    """Cut long texts in place until all are within `budget` bytes of JSON; return `infos`.

    A result is up to 64 KiB and an argv up to 2 MiB: some hundred sessions outgrow MAX_PAYLOAD,
    and a list that cannot be sent would leave no session reachable by name.
    """
    texts = [(info, key) for info in infos for key in CUT_KEYS if info.get(key)]
    left = budget
    for info, key in texts:
        left -= _json_bytes(info[key])
        if left < 0:
            break
    else:
        return infos
    allowed = budget // len(texts)
    for info, key in texts:
        # Length first: it is free, and no text is shorter as JSON.
        while info[key] and (len(info[key]) > allowed or _json_bytes(info[key]) > allowed):
            half = len(info[key]) // 2
            # Of output the end counts, of a command line the start.
            is_output = key in (SNIPPET, EVENT)
            info[key] = info[key][-half:] if half and is_output else info[key][:half]
    return infos


def _json_bytes(value: str | list[str]) -> int:
    return len(json.dumps(value))
