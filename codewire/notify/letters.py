"""What is said of an event: which events count, their stable ids, their words. Pure.

All text that comes from sessions is untrusted: no control character, nothing invisible, bounded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from codewire.notify.settings import BLOCKED, DONE, FAILED
from codewire.term.width import printable
from codewire.wire import events
from codewire.wire.timestamps import parse_timestamp

Letter = dict[str, Any]

MAX_TEXT = 300
MAX_NAMES = 20
SUMMARY = "summary"
# States of agents that somebody is told of.
STATES = {"blocked": BLOCKED, "done": DONE, "error": FAILED}
# Ends that somebody has asked for, or that are the node's own.
ASKED_FOR = ("killed", "lost")
WORDS = {BLOCKED: "needs you", DONE: "is done", FAILED: "has failed"}
TYPES = (events.STATE, events.STATUS)


def event_id(node_id: str, session_id: int, event: dict[str, Any]) -> str:
    """Return the id of an event: the same however often, and by whomever, it is read."""
    text = f"{node_id} {session_id} {event.get('timestamp')} {event.get('type')}"
    return f"evt_{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:24]}"


def moment_ns(event: dict[str, Any]) -> int:
    """Return when an event was, nanoseconds since the epoch; 0 for what does not say."""
    try:
        return parse_timestamp(event["timestamp"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0


def kind_of(event: dict[str, Any]) -> str:
    """Return blocked, done or failed; "" for what nobody is told of."""
    data = event.get("data")
    if not isinstance(data, dict):
        return ""
    if event.get("type") == events.STATE:
        to = data.get("to")
        return STATES.get(to, "") if isinstance(to, str) else ""
    if event.get("type") == events.STATUS and data.get("to") == "completed":
        return DONE if data.get("exit_code") == 0 else FAILED
    return ""


def letter(
    node: str, node_id: str, session_id: int, event: dict[str, Any], info: dict[str, Any]
) -> Letter | None:
    """Return what is told of an event, None for nothing; `info` is the session's, {} if unknown."""
    kind = kind_of(event)
    is_end = event.get("type") == events.STATUS
    if not kind or (is_end and info.get("end_reason") in ASKED_FOR):
        return None
    data = event["data"]
    name = clean(info.get("name"))
    found: Letter = {
        "event_id": event_id(node_id, session_id, event),
        "event": kind,
        "time": clean(event.get("timestamp")),
        "node": clean(node),
        "session_id": session_id,
        "name": name,
        "tags": [clean(tag) for tag in info.get("tags") or ()][:MAX_NAMES],
        "command": clean(info.get("prompt")),
        "kind": clean(data.get("kind")),
        "reason": clean(data.get("reason")),
        "preview": clean(data.get("preview")),
        "exit_code": data.get("exit_code") if is_end else None,
    }
    who = name or f"session {session_id}"
    why = found["reason"] or (f"exit code {data['exit_code']}" if "exit_code" in data else "")
    found["title"] = f"{who} {WORDS[kind]}"
    found["message"] = clean(why if kind != DONE or not is_end else "")
    return {key: value for key, value in found.items() if value not in ("", None, [])}


def summary(letters: Sequence[Letter]) -> Letter:
    """Return one letter for many that were too many."""
    ids = [str(one["event_id"]) for one in letters]
    names = [str(one.get("name") or one.get("session_id")) for one in letters]
    counts = {kind: sum(one["event"] == kind for one in letters) for kind in WORDS}
    words = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    digest = hashlib.sha256(" ".join(ids).encode()).hexdigest()[:24]
    shown = list(dict.fromkeys(names))
    more = f" and {len(shown) - MAX_NAMES} more" if len(shown) > MAX_NAMES else ""
    return {
        "event_id": f"evt_{digest}",
        "event": SUMMARY,
        "time": letters[-1].get("time", ""),
        "node": letters[-1].get("node", ""),
        "count": len(letters),
        "counts": counts,
        "event_ids": ids,
        "title": f"{len(letters)} more notifications: {words}",
        "message": clean(", ".join(shown[:MAX_NAMES]) + more),
    }


def clean(value: Any) -> str:
    """Return text that a terminal, a log or a page may show: one line, at most MAX_TEXT."""
    if not isinstance(value, str):
        return ""
    line = " ".join(value.split())[: 2 * MAX_TEXT]
    return "".join(c for c in printable(line) if c.isprintable())[:MAX_TEXT]
