"""What sessions of nodes report about their tasks (spec/relay.md 3.9)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codewire.relay.http.answers import bad_request
from codewire.relay.http.endpoint import Endpoint, Who
from codewire.relay.http.identity import need_member
from codewire.relay.http.inputs import MAX_U32
from codewire.relay.http.shapes import TEXT, TIME, WHOLE, listed, shape
from codewire.relay.http.streams import open_feed
from codewire.relay.store import tasks
from codewire.wire.timestamps import format_nanos

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.tasks import Task

STATES = ("working", "complete", "blocked", "failed")


def show_tasks(call: Call, store: Database) -> Any:
    """List the latest report of each session."""
    network, user = call.network, call.user
    node, session, state = _filters(call)

    def find(tx: Tx) -> list[Task]:
        need_member(tx, user, network)
        return tasks.latest(tx, network, node=node, session_id=session, state=state)

    return [_shown(task) for task in store.read(find)]


def watch_tasks(call: Call, store: Database) -> Any:
    """Stream reports as they come."""
    node, session, state = _filters(call)

    def wants(data: str) -> bool:
        if not (node or session or state):
            return True
        task = json.loads(data)
        return (
            node in ("", task.get("node_name"))
            and session in (None, task.get("session_id"))
            and state in ("", task.get("state"))
        )

    return open_feed(call, store, "tasks", wants)


def _filters(call: Call) -> tuple[str, int | None, str]:
    state, session = call.query.text("state"), call.query.text("session_id")
    if state and state not in STATES:
        raise bad_request(f'invalid state "{state}"')
    if not session:
        return call.query.text("node"), None, state
    if not (session.isascii() and session.isdigit() and len(session) < 12):
        raise bad_request("invalid session_id")
    if not 0 < int(session) <= MAX_U32:
        raise bad_request("invalid session_id")
    return call.query.text("node"), int(session), state


def _shown(task: Task) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "event_id": task.event_id,
        "stream_seq": task.stream_seq,
        "network_id": task.network_id,
        "node_name": task.node_name,
        "session_id": task.session_id,
    }
    if task.session_name:
        shown["session_name"] = task.session_name
    return {
        **shown,
        "summary": task.summary,
        "state": task.state,
        "timestamp": format_nanos(task.at),
    }


TASK = shape(
    {"session_name": TEXT},
    event_id=TEXT,
    stream_seq=WHOLE,
    network_id=TEXT,
    node_name=TEXT,
    session_id=WHOLE,
    summary=TEXT,
    state=TEXT,
    timestamp=TIME,
)
FILTERS = ("network_id", "node", "session_id", "state")
ENDPOINTS = [
    Endpoint(
        "GET",
        "/api/v1/tasks",
        show_tasks,
        Who.USER,
        "The latest report of each session",
        FILTERS,
        answers=listed(TASK),
        errors=(403,),
    ),
    Endpoint(
        "GET",
        "/api/v1/tasks/events",
        watch_tasks,
        Who.USER,
        "Stream reports",
        FILTERS,
        kind="text/event-stream",
        errors=(403,),
        fields=("Last-Event-ID",),
    ),
]
