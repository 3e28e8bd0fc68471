"""What agents do and ask for: reports, decisions that wait, and why a state is what it is."""

from __future__ import annotations

import re
from typing import Any

from codewire.agents.programs import explain
from codewire.errors import RequestError
from codewire.io.streams import FrameStream
from codewire.node.caller import Caller
from codewire.node.context import Handler, Message, Node, Streamer
from codewire.session.approvals import approval
from codewire.session.callers import session_of
from codewire.session.conversations import whose
from codewire.session.lookout import shown_state
from codewire.session.session import Session
from codewire.terminal.turns import ScreenUnknown
from codewire.wire.texts import go_quote
from codewire.wire.timestamps import format_seconds

MAX_SUMMARY_BYTES = 280
# What a report says, and the state that it means.
REPORTED = {
    "working": "working",
    "complete": "done",
    "blocked": "blocked",
    "failed": "error",
    "idle": "idle",
}
KINDS = ("", "permission", "question", "auth")
APPROVAL = re.compile(r"([0-9]{1,10})-[0-9a-f]{8}\Z")


def report_task(node: Node, request: Message, caller: Caller) -> Message:
    """Take what an agent, or a hook of it, says it is doing (spec/wire.md 17.3)."""
    session = _named(node, request)
    summary = " ".join((request.get("summary") or "").split())
    if not summary:
        raise RequestError("task summary is required")
    if len(summary.encode("utf-8", "replace")) > MAX_SUMMARY_BYTES:
        raise RequestError(f"task summary exceeds {MAX_SUMMARY_BYTES} characters")
    word = (request.get("state") or "").strip().lower()
    kind = request.get("state_kind") or ""
    if word not in REPORTED:
        raise RequestError(f"invalid task state {go_quote(word)}")
    if kind not in KINDS:
        raise RequestError(f"invalid kind {go_quote(kind)}: use permission, question or auth")
    node.sessions.lookout.conversation(session, request.get("conversation") or "")
    node.sessions.publish_report(session, word, summary)
    message = "" if summary.lower() in (word, REPORTED[word]) else summary
    node.sessions.lookout.reported(
        session, REPORTED[word], kind if word == "blocked" else "", message
    )
    return {"type": "TaskReported", "id": session.id}


def _named(node: Node, request: Message) -> Session:
    """Return the running session that `id` or `name` (maybe with an @) names, or that is meant."""
    name = (request.get("name") or "").removeprefix("@")
    if request.get("id") is not None:
        session = node.session(request)
    elif name:
        session = node.sessions.registry.by_name(name)
    else:
        raise RequestError("session id or name required")
    conversation = request.get("conversation") or ""
    session = whose(conversation, session, node.sessions.registry.running())
    if not session.is_running():
        raise RequestError(
            f"append task report event: session {session.id} has ended: file already closed"
        )
    return session


def approvals(node: Node, request: Message, caller: Caller) -> Message:
    """Every session that waits for a decision, or of those with `id` or `tags`, by id."""
    sessions = node.sessions.registry.running()
    if request.get("id") is not None:
        sessions = [node.session(request)]
    elif request.get("tags"):
        sessions = node.sessions.registry.tagged(request["tags"])
    found = []
    for session in sessions:
        try:
            waiting = approval(session, caller.has_left)
        except ScreenUnknown:
            continue
        if waiting is not None:
            since_ns = waiting.pop("since_ns")
            found.append({**waiting, "since": format_seconds(since_ns)})
    return {"type": "ApprovalList", "approvals": found}


def approve(node: Node, stream: FrameStream, request: Message, caller: Caller) -> None:
    """Answer a dialog; the event `session.decision` says who chose what. Raises RequestError."""
    wanted = request.get("approval") or ""
    named = APPROVAL.match(wanted)
    if named is None:
        raise RequestError(f"no approval is called {go_quote(wanted[:40])}; see 'cw approvals'")
    session = node.sessions.registry.get(int(named[1]))
    if not session.is_running():
        raise RequestError(f"session {session.id} is not running")
    who = _who(node, stream, request)
    if who.get("by_session") == session.id:
        raise RequestError(f"session {session.id} cannot approve what it asks itself")
    decision = node.sessions.approver.approve(
        session, wanted, request.get("choice"), bool(request.get("refuse")), stream.has_left
    )
    facts: dict[str, Any] = {
        "approval": wanted,
        "question": decision.question,
        "choice": decision.item.number,
        "label": decision.item.label,
        "confirmed": decision.is_gone,
    }
    node.sessions.publish_decision(session, {**facts, **who})
    stream.send_control({"type": "Approved", "id": session.id, **facts})


def _who(node: Node, stream: FrameStream, request: Message) -> dict[str, Any]:
    """Return who calls: the session it runs in, else its process, else what it says of itself."""
    pid = stream.peer_pid()
    if pid:
        session = session_of(pid, node.sessions.registry.all())
        return {"by_session": session.id, "by_pid": pid} if session else {"by_pid": pid}
    return {"by_remote": True}


def explain_agent(node: Node, request: Message, caller: Caller) -> Message:
    """Every rule with what it says of a session's screen now, and what is known besides."""
    session = node.session(request)
    agent = session.agent
    if agent is None:
        raise RequestError(f"session {session.id} is not running")
    shown, look = shown_state(session), agent.evidence
    rules = [
        {"rule": name}
        if verdict is None
        else {"rule": name, "state": verdict.state, "kind": verdict.kind, "text": verdict.text}
        for name, verdict in explain(look, agent.program)
    ]
    report = agent.report()
    return {
        "type": "AgentExplained",
        "id": session.id,
        "program": agent.program.name,
        "state": shown.state,
        "kind": shown.kind,
        "reason": shown.reason,
        "source": shown.source,
        "rule": shown.rule,
        "since": format_seconds(shown.since_ns),
        "report": None if report is None else report._asdict(),
        "reports": [record._asdict() for record in agent.signals.status.all()],
        "title": look.title,
        "progress": look.progress,
        "notification": agent.signals.notification or None,
        "quiet_seconds": round(min(look.quiet_seconds, 1e6), 1),
        "busy_slots": look.busy_slots,
        "bottom": look.bottom(14),
        "rules": rules,
    }


ANSWERS: dict[str, Handler] = {
    "ReportTask": report_task,
    "ExplainAgent": explain_agent,
    "Approvals": approvals,
}
STREAMS: dict[str, Streamer] = {"Approve": approve}
