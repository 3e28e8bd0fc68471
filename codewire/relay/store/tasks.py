"""What nodes report of their sessions' tasks: the latest of each session, and an event each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codewire.relay.store import events
from codewire.relay.store.tx import Tx
from codewire.wire.events import REPORT
from codewire.wire.timestamps import format_nanos

COLUMNS = (
    "event_id, stream_seq, network_id, node_name, session_id, session_name, summary, state, at"
)


@dataclass(frozen=True, slots=True)
class Task:
    """The latest report of one session."""

    event_id: str
    stream_seq: int
    network_id: str
    node_name: str
    session_id: int
    session_name: str
    summary: str
    state: str
    at: int


def report(
    tx: Tx,
    network_id: str,
    node_name: str,
    *,
    event_id: str,
    session_id: int,
    session_name: str,
    summary: str,
    state: str,
    at: int,
    now: int,
) -> int | None:
    """Keep a report and tell of it; return its event's number, None where it is known already."""
    is_new = tx.run(
        """
        insert into task_ids (network_id, node_name, event_id, at) values (?, ?, ?, ?)
        on conflict do nothing
        """,
        network_id,
        node_name,
        event_id,
        now,
    )
    if not is_new:
        return None
    data: dict[str, Any] = {
        "event_id": event_id,
        "network_id": network_id,
        "node_name": node_name,
        "session_id": session_id,
        **({"session_name": session_name} if session_name else {}),
        "summary": summary,
        "state": state,
        "timestamp": format_nanos(at),
    }
    seq = events.append(tx, network_id, events.TASKS, REPORT, data, now)
    task = Task(event_id, seq, network_id, node_name, session_id, session_name, summary, state, at)
    _keep_latest(tx, task)
    return seq


def _keep_latest(tx: Tx, task: Task) -> None:
    tx.run(
        f"""
        insert into tasks ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)
        on conflict (network_id, node_name, session_id) do update set
            event_id = excluded.event_id, stream_seq = excluded.stream_seq,
            session_name = excluded.session_name, summary = excluded.summary,
            state = excluded.state, at = excluded.at
        where tasks.at <= excluded.at
        """,
        task.event_id,
        task.stream_seq,
        task.network_id,
        task.node_name,
        task.session_id,
        task.session_name,
        task.summary,
        task.state,
        task.at,
    )


def latest(
    tx: Tx, network_id: str, *, node: str = "", session_id: int | None = None, state: str = ""
) -> list[Task]:
    """Return the latest reports that fit, by node, session name and id."""
    sql, args = f"select {COLUMNS} from tasks where network_id = ?", [network_id]
    found: list[tuple[str, object]] = [("node_name", node), ("state", state)]
    chosen = [(name, value) for name, value in found if value]
    if session_id is not None:
        chosen.append(("session_id", session_id))
    sql += "".join(f" and {name} = ?" for name, _ in chosen)
    sql += " order by node_name, session_name, session_id"
    return [Task(*row) for row in tx.all(sql, *args, *(value for _, value in chosen))]
