"""The one-shot requests about sessions and the node: one answer each (wire.md 8)."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from codewire.errors import LaunchError, RequestError
from codewire.node.caller import Caller
from codewire.node.context import Handler, Message, Node
from codewire.node.handlers.screens import current_hash
from codewire.node.handlers.views import brief_infos, session_infos, session_status
from codewire.session.ending import survivors_json
from codewire.session.program import LaunchRequest
from codewire.session.restarts import new_restart
from codewire.session.session import Session
from codewire.terminal.turns import ScreenUnknown
from codewire.wire.codes import BAD_REQUEST, NO_DIRECTORY, TOO_LARGE
from codewire.wire.features import FEATURES
from codewire.wire.sizes import DEFAULT_COLS, DEFAULT_ROWS, MAX_CELLS, is_allowed
from codewire.wire.texts import go_quote

# What a session's environment is made from: the node's own, or nothing but what the request brings.
NODE, NONE = ENV_BASES = ("node", "none")


def list_sessions(node: Node, request: Message, caller: Caller) -> Message:
    """Every session of the node, by id; or those a filter names.

    With `name` or `tags` those of that name and those with any of the tags; with `id` that one;
    with `brief` only what a client needs to tell which is meant.
    """
    sessions = node.sessions.registry.all()
    name, tags, session_id = request.get("name"), request.get("tags"), request.get("id")
    if name or tags or session_id is not None:
        wanted = set(tags or ())
        sessions = [
            session
            for session in sessions
            if session.id == session_id
            or (name and session.record.name == name)
            or not wanted.isdisjoint(session.record.tags)
        ]
    infos = brief_infos(sessions) if request.get("brief") else session_infos(node, sessions)
    return {"type": "SessionList", "sessions": infos}


def launch(node: Node, request: Message, caller: Caller) -> Message:
    """Start a session, or nothing at all. Raises LaunchError.

    With `dir_optional` a working directory that is not here is no error: the session starts in the
    user's home, and the answer says so. `env` is added to the node's own environment; with
    `env_base` "none" its first `env_caller` entries (all, without a number) are the caller's and
    take the place of the node's, unless the node keeps to its own: `env_base` of the answer says
    whose it is. With `clean_env` few variables of either are left. A group that the node's relay
    does not have is refused before anything is started. Raises RequestError for a size that is too
    large.
    """
    order = launch_order(request)
    with node.grouping.admitted(order):
        return _launch(node, request, order)


def _launch(node: Node, request: Message, order: LaunchRequest) -> Message:
    # Said so that a client knows that its environment was not taken for additions to the node's.
    taken = node.settings.env if order.has_environment else None
    try:
        return {"type": "Launched", "id": node.sessions.launch(order).id, "env_base": taken}
    except LaunchError as error:
        # The directory is looked at before anything else is done (spec/wire.md 10).
        if not request.get("dir_optional") or error.code != NO_DIRECTORY:
            raise
    session = node.sessions.launch(replace(order, working_dir=""))
    home = session.record.working_dir
    return {
        "type": "Launched",
        "id": session.id,
        "working_dir": home,
        "note": f"it runs in {home}",
        "env_base": taken,
    }


def launch_order(request: Message) -> LaunchRequest:
    """Return what a request wants started. Raises RequestError."""
    rows, cols = request.get("rows") or DEFAULT_ROWS, request.get("cols") or DEFAULT_COLS
    if not is_allowed(rows, cols):
        raise RequestError(
            f"a terminal of {cols} columns and {rows} rows is too large: "
            f"at most {MAX_CELLS} cells; nothing was started",
            TOO_LARGE,
        )
    base = request.get("env_base") or NODE
    if base not in ENV_BASES:
        raise RequestError(
            f"unknown env_base {go_quote(base)}: there are {', '.join(ENV_BASES)}", BAD_REQUEST
        )
    return LaunchRequest(
        command=tuple(request.get("command") or ()),
        working_dir=request.get("working_dir") or "",
        name=request.get("name") or "",
        tags=tuple(request.get("tags") or ()),
        env=tuple(request.get("env") or ()),
        stdin_data=request.get("stdin_data") or b"",
        rows=rows,
        cols=cols,
        key=request.get("launch_key") or "",
        has_environment=base == NONE,
        env_caller=request.get("env_caller"),
        is_clean=bool(request.get("clean_env")),
        saves_env=not request.get("no_save_env"),
        restart=new_restart(request.get("restart") or "", request.get("restart_max")),
    )


def kill(node: Node, request: Message, caller: Caller) -> Message:
    """End one session; answered when it is gone. A finished one is only reported as such.

    With `tree` the daemons it started are ended, too, also those of a finished one.
    """
    session = node.session(request)
    is_finished, takes_daemons = not session.is_running(), bool(request.get("tree"))
    is_pending = node.sessions.relauncher.is_pending(session)
    survivors = node.sessions.kill([session], takes_daemons)
    return {
        "type": "Killed",
        "id": session.id,
        "finished": is_finished or None,
        "restart_ended": is_pending or None,
        "tree": takes_daemons or None,
        "survivors": survivors_json(survivors) or None,
    }


def kill_all(node: Node, request: Message, caller: Caller) -> Message:
    """End every running session."""
    pending = node.sessions.relauncher.pending()
    return _kill_many(node, request, [*node.sessions.registry.running(), *pending])


def kill_by_tags(node: Node, request: Message, caller: Caller) -> Message:
    """End the running sessions that carry any of the tags."""
    tagged = node.sessions.registry.tagged(request.get("tags") or ())
    is_pending = node.sessions.relauncher.is_pending
    return _kill_many(node, request, [s for s in tagged if s.is_running() or is_pending(s)])


def _kill_many(node: Node, request: Message, sessions: list[Session]) -> Message:
    takes_daemons = bool(request.get("tree"))
    survivors = node.sessions.kill(sessions, takes_daemons)
    return {
        "type": "KilledAll",
        "count": len(sessions),
        "tree": takes_daemons or None,
        "survivors": survivors_json(survivors) or None,
    }


def get_status(node: Node, request: Message, caller: Caller) -> Message:
    """One session in detail; without `screen_hash` where its screen is not known.

    With `full` also `last_event`: its last output as text, with its lines.
    """
    session = node.session(request)
    info = session_status(node, session, full=bool(request.get("full")))
    if request.get("screen_hash"):
        with contextlib.suppress(ScreenUnknown):
            info["screen_hash"] = current_hash(session, caller.has_left)
    return {"type": "SessionStatus", "info": info, "output_size": info["output_bytes"]}


def resize_nothing(node: Node, request: Message, caller: Caller) -> Message:
    """Resize outside an attach has no effect (wire.md 8)."""
    return {"type": "Resized"}


def detach_nothing(node: Node, request: Message, caller: Caller) -> Message:
    """Detach outside an attach has no effect (wire.md 8)."""
    return {"type": "Detached"}


def node_status(node: Node, request: Message, caller: Caller) -> Message:
    """Facts about the node itself; `features` say what a client may rely on."""
    return {"type": "NodeStatus", "node": node.status(), "features": list(FEATURES)}


def node_restart(node: Node, request: Message, caller: Caller) -> Message:
    """Replace this worker; sessions and clients stay. Answered before it happens."""
    node.sessions.backlog.add(node.custody.restart)
    return {"type": "NodeRestarting"}


ANSWERS: dict[str, Handler] = {
    "ListSessions": list_sessions,
    "Launch": launch,
    "Kill": kill,
    "KillAll": kill_all,
    "KillByTags": kill_by_tags,
    "GetStatus": get_status,
    "Resize": resize_nothing,
    "Detach": detach_nothing,
    "NodeStatus": node_status,
    "NodeRestart": node_restart,
}
