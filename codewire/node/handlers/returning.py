"""Sessions that come back, or do not: relaunched, restored, forgotten; and the node's end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from codewire.errors import LaunchError, RequestError
from codewire.io.wait import spawn
from codewire.node.caller import Caller
from codewire.node.context import Handler, Message, Node
from codewire.node.handlers.control import launch_order
from codewire.session.relaunching import AS_WAS, WAYS
from codewire.session.session import Session
from codewire.wire.codes import BAD_REQUEST
from codewire.wire.texts import go_quote


def relaunch(node: Node, request: Message, caller: Caller) -> Message:
    """Start what a session was again, under a new id; or nothing at all. Raises LaunchError.

    With `restore` only one that ended with its node, and once: repeated, the answer is the same.
    `way` is as-was, resume (its agent's conversation) or printed (the command line that its program
    printed; who asks has shown it). The environment in the request is for where none was saved.
    """
    session = node.session(request)
    way = request.get("way") or AS_WAS
    if way not in WAYS:
        raise RequestError(f"unknown way {go_quote(way)}: there are {', '.join(WAYS)}", BAD_REQUEST)
    order = replace(launch_order(request), tags=(), name="")
    relauncher = node.sessions.relauncher
    start = relauncher.restore if request.get("restore") else relauncher.relaunch
    started = start(session, order, way)
    return {
        "type": "Relaunched",
        "id": started.id,
        "relaunched_from": session.id,
        "command": started.record.argv,
    }


def restorable(node: Node, request: Message, caller: Caller) -> Message:
    """Every session that ended with the node and has not come back, and how it would."""
    return {
        "type": "RestorableList",
        "restore": node.settings.restore,
        "sessions": [_plan(node, session) for session in node.sessions.relauncher.restorable()],
    }


def _plan(node: Node, session: Session) -> Message:
    record = session.record
    found: dict[str, Any] = {"id": record.id, "name": record.name, "working_dir": ""}
    try:
        plan = node.sessions.relauncher.plan(session)
    except LaunchError as error:
        return {**found, "command": record.argv, "problem": str(error)}
    return {
        **found,
        "working_dir": record.working_dir,
        "command": list(plan.argv),
        "resume": list(plan.resume) or None,
        "resume_by": plan.by or None,
        "printed": list(plan.printed) or None,
    }


def forget_restorable(node: Node, request: Message, caller: Caller) -> Message:
    """Offer a session that ended with the node no more."""
    session = node.session(request)
    return {
        "type": "RestorableForgotten",
        "id": session.id,
        "forgotten": node.sessions.relauncher.forget(session),
    }


def node_stop(node: Node, request: Message, caller: Caller) -> Message:
    """Be told that the node is about to be stopped, by signal: what ends then ended for good."""
    node.sessions.announce_stop()
    spawn(node.sessions.doubt_stop)
    return {"type": "NodeStopping"}


ANSWERS: dict[str, Handler] = {
    "Relaunch": relaunch,
    "Restorable": restorable,
    "ForgetRestorable": forget_restorable,
    "NodeStop": node_stop,
}
