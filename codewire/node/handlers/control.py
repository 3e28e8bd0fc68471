"""The one-shot requests about sessions and the node: one answer each (wire.md 8)."""

from __future__ import annotations

from codewire.keeper.processes import Process
from codewire.node.context import Message, Node
from codewire.node.handlers.screens import current_hash
from codewire.node.handlers.views import session_infos, session_status
from codewire.session.program import LaunchRequest
from codewire.session.session import Session


def list_sessions(node: Node, request: Message) -> Message:
    """Every session of the node, by id."""
    return {"type": "SessionList", "sessions": session_infos(node, node.sessions.registry.all())}


def launch(node: Node, request: Message) -> Message:
    """Start a session, or nothing at all. Raises LaunchError."""
    order = LaunchRequest(
        command=tuple(request.get("command") or ()),
        working_dir=request.get("working_dir") or "",
        name=request.get("name") or "",
        tags=tuple(request.get("tags") or ()),
        env=tuple(request.get("env") or ()),
        stdin_data=request.get("stdin_data") or b"",
        rows=request.get("rows") or 0,
        cols=request.get("cols") or 0,
        key=request.get("launch_key") or "",
    )
    return {"type": "Launched", "id": node.sessions.launch(order).id}


def kill(node: Node, request: Message) -> Message:
    """End one session; answered when it is gone. A finished one is only reported as such."""
    session = node.session(request)
    answer: Message = {"type": "Killed", "id": session.id}
    if not session.is_running():
        return {**answer, "finished": True}
    survivors = node.sessions.kill([session])
    return {**answer, "survivors": _survivors(survivors)}


def kill_all(node: Node, request: Message) -> Message:
    """End every running session."""
    return _kill_many(node, node.sessions.registry.running())


def kill_by_tags(node: Node, request: Message) -> Message:
    """End the running sessions that carry any of the tags."""
    tagged = node.sessions.registry.tagged(request.get("tags") or ())
    return _kill_many(node, [session for session in tagged if session.is_running()])


def _kill_many(node: Node, sessions: list[Session]) -> Message:
    survivors = node.sessions.kill(sessions)
    return {"type": "KilledAll", "count": len(sessions), "survivors": _survivors(survivors)}


def _survivors(survivors: dict[int, list[Process]]) -> list[Message] | None:
    found = [
        {"session_id": session_id, "pid": process.pid, "command": process.command}
        for session_id, processes in survivors.items()
        for process in processes
    ]
    return found or None


def get_status(node: Node, request: Message) -> Message:
    """One session in detail."""
    session = node.session(request)
    info = session_status(node, session)
    if request.get("screen_hash"):
        info["screen_hash"] = current_hash(session)
    return {"type": "SessionStatus", "info": info, "output_size": info["output_bytes"]}


def resize_nothing(node: Node, request: Message) -> Message:
    """Resize outside an attach has no effect (wire.md 8)."""
    return {"type": "Resized"}


def detach_nothing(node: Node, request: Message) -> Message:
    """Detach outside an attach has no effect (wire.md 8)."""
    return {"type": "Detached"}


def node_status(node: Node, request: Message) -> Message:
    """Facts about the node itself."""
    return {"type": "NodeStatus", "node": node.status()}


def node_restart(node: Node, request: Message) -> Message:
    """Replace this worker; sessions and clients stay. Answered before it happens."""
    node.sessions.backlog.start(node.custody.restart)
    return {"type": "NodeRestarting"}
