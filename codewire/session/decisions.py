"""What a session waits in for a decision, and what it does: one judgement of one look.

Typing, approvals and prompts ask here, with the look they act on, so that none of them takes for
an input box what another calls a dialog. A program is blocked where it says so, and where its
screen shows it: what a menu takes for a choice is not typed, whatever its program reports.
"""

from __future__ import annotations

from codewire.agents.evidence import BLOCKED, IDLE, WORKING, Evidence, Verdict
from codewire.agents.programs import judge
from codewire.session.agentstate import AgentState, steady_now
from codewire.session.session import Session
from codewire.terminal.scene import Scene


def decision(session: Session, scene: Scene) -> Verdict | None:
    """Return what a session waits in for a decision, None for nothing. May read its log."""
    agent = session.agent
    if agent is None:
        found = judge(Evidence(scene.rows, scene.cursor))
        return found if found.state == BLOCKED else None
    agent.refresh()
    return _said(agent) or _shown(agent, scene.rows, scene.cursor, BLOCKED)


def state_of(session: Session, lines: tuple[str, ...], cursor: tuple[int, int]) -> str:
    """Return working, blocked or idle, of a screen that was looked at now. May read its log."""
    agent = session.agent
    if agent is None:
        return judge(Evidence(lines, cursor)).state
    agent.refresh()
    if _said(agent) or _shown(agent, lines, cursor, BLOCKED):
        return BLOCKED
    said = agent.said()
    if said is not None:
        return WORKING if said.state == WORKING else IDLE
    return WORKING if _shown(agent, lines, cursor, WORKING) else IDLE


def _said(agent: AgentState) -> Verdict | None:
    said = agent.said()
    if said is None or said.state != BLOCKED:
        return None
    return Verdict(BLOCKED, said.rule, said.kind, said.message)


def _shown(
    agent: AgentState, lines: tuple[str, ...], cursor: tuple[int, int], state: str
) -> Verdict | None:
    found = agent.judge(agent.look(lines, cursor, steady_now()))
    return found if found.state == state else None
