"""Whose conversation a hook tells of, where one process works for several sessions.

Codex 0.171 starts one app-server for all of a user's terminals, and that runs the hooks of all of
them with the environment of the first: CW_SESSION_ID is often the wrong one. What is told by a hook
goes by its conversation instead. Pure but for what it reads of sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from codewire.agents.resuming import HOOK, made_ms

if TYPE_CHECKING:
    from codewire.session.session import Session

MS = 1_000_000


def whose(conversation: str, named: Session, running: Iterable[Session]) -> Session:
    """Return the session that has a conversation; `named` is the one that the hook named.

    It is the one that is known to have it, else the last that was started before the conversation
    was and has none yet, else, as for a second conversation in one terminal, the one whose state
    has changed last.
    """
    rules = None if named.agent is None else named.agent.program.resume
    if not conversation or rules is None or not rules.shared:
        return named
    peers = [session for session in running if _program(session) == _program(named)]
    if not peers:
        return named
    known = [session for session in peers if _has(session, conversation)]
    return known[-1] if known else _fitting(conversation, peers)


def _fitting(conversation: str, peers: list[Session]) -> Session:
    made = made_ms(conversation)
    if made is not None:
        fresh = [
            session
            for session in peers
            if session.record.resume.get("by") != HOOK and session.record.created_ns // MS <= made
        ]
        if fresh:
            return max(fresh, key=lambda session: session.record.created_ns)
    return max(peers, key=_changed_ns)


def _program(session: Session) -> str:
    return "" if session.agent is None else session.agent.program.name


def _changed_ns(session: Session) -> int:
    return 0 if session.agent is None else session.agent.told.since_ns


def _has(session: Session, conversation: str) -> bool:
    record = session.record
    return record.resume.get("id") == conversation or conversation in record.argv
