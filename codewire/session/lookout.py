"""Looks at what agents are doing: one loop for all sessions of a node, off the output path.

A session whose log grows rings once; from then on it is glanced at four times a second, which
costs microseconds, and looked at when its output pauses. While it goes on printing, its screen is
drawn once a second at most, and not at all for one that floods. When it has fallen silent it costs
nothing until it rings again.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from codewire.agents.evidence import IDLE, WORKING, Verdict
from codewire.agents.generic import BOTTOM
from codewire.agents.programs import NO_PROGRAM
from codewire.agents.resuming import HOOK, PRINTED, is_id, printed_command, printed_id
from codewire.errors import RequestError
from codewire.io.clock import CLOCK
from codewire.output.log import OutputLog
from codewire.session.agentprocess import foreground, foreground_names, hint, is_gone
from codewire.session.agentrules import Rules
from codewire.session.agentstate import EXITED, STOPPED, AgentState, Shown, steady_now
from codewire.session.session import Session
from codewire.terminal.scene import view
from codewire.terminal.turns import ScreenUnknown
from codewire.wire import events

log = logging.getLogger(__name__)

Publish = Callable[[Session, str, dict[str, Any]], None]

PAUSE_SECONDS = 0.25
# One that prints without a pause is looked at so often all the same, unless it prints more.
FLOW_SECONDS, FLOW_BYTES = 1.0, 1 << 16
# After its last output a session is looked at for so long: spinners and rhythm run out.
SETTLE_SECONDS, SETTLE_STEP_SECONDS = 2.6, 0.5
# One screen at a time is drawn, and others wait.
DRAW_SECONDS = 0.5
# After an error that would only come again.
ERROR_SECONDS = 5.0
# So long a new session that has shown nothing is not waited for as an idle one: it may only begin.
START_SECONDS = 2.0
# Which program has the terminal is asked so often.
PROGRAM_SECONDS = 2.0


class Watch:
    """One session under watch: a waker of its log that costs nothing while it is rung."""

    __slots__ = (
        "session",
        "agent",
        "due",
        "is_rung",
        "glanced_end",
        "looked_end",
        "looked_at",
        "grown_at",
        "program_at",
        "group",
        "hint",
        "lock",
        "_ring",
    )

    def __init__(self, session: Session, agent: AgentState, ring: Callable[[Watch], None]) -> None:
        self.session, self.agent, self._ring = session, agent, ring
        self.due = 0.0
        self.is_rung = False
        self.glanced_end = self.looked_end = -1
        self.looked_at = self.grown_at = self.program_at = -1e9
        self.group = 0
        self.hint: str | None = None
        # Held by whoever finds out what there is beside the screen: files of a few KiB are read.
        self.lock = threading.Lock()

    def set(self) -> None:
        """Be told that the log has grown."""
        if not self.is_rung:
            self.is_rung = True
            self._ring(self)


class Lookout:
    """The loop, and what others tell and ask of it."""

    def __init__(self, rules: Rules, publish: Publish, save: Callable[[Session], None]) -> None:
        """`save` keeps the record of a session, over the end of this worker too."""
        self._rules = rules
        self._publish = publish
        self._save = save
        self._rung: deque[Watch] = deque()
        self._bell = threading.Event()
        self._heap: list[tuple[float, int, Watch]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def add(self, session: Session, output: OutputLog, *, is_restored: bool) -> None:
        """Watch a session that has a terminal."""
        agent = session.agent = AgentState(session.record.agent)
        agent.begin(output, is_restored=is_restored)
        watch = Watch(session, agent, self._on_ring)
        agent.refresh = lambda: self._refresh(watch)
        agent.look_again = watch.set
        output.watch(watch)
        watch.set()

    def run(self) -> None:
        """Look for ever; with nothing to look at, only wait."""
        while True:
            self._bell.wait(self._until_due())
            self._bell.clear()
            now = steady_now()
            while self._rung:
                self._schedule(self._rung.popleft(), now + PAUSE_SECONDS)
            while self._heap and self._heap[0][0] <= now:
                self._turn(heapq.heappop(self._heap)[2])

    def _on_ring(self, watch: Watch) -> None:
        self._rung.append(watch)
        self._bell.set()

    def _until_due(self) -> float | None:
        return max(0.0, self._heap[0][0] - steady_now()) if self._heap else None

    def _schedule(self, watch: Watch, due: float) -> None:
        heapq.heappush(self._heap, (due, next(self._numbers), watch))

    def _turn(self, watch: Watch) -> None:
        now = steady_now()
        try:
            pause = self._step(watch, now)
        except (OSError, RequestError) as error:
            log.error("session %d: looking at its agent failed: %s", watch.session.id, error)
            pause = ERROR_SECONDS
        except Exception:
            log.exception("session %d: looking at its agent failed", watch.session.id)
            pause = ERROR_SECONDS
        if pause is not None:
            self._schedule(watch, now + pause)
            return
        watch.is_rung = False
        output = watch.session.live_log
        if output is not None and output.end != watch.glanced_end:
            watch.set()

    def _step(self, watch: Watch, now: float) -> float | None:
        """Glance at a session; return when to do so again, None when it has fallen silent."""
        session = watch.session
        output = session.live_log
        if output is None or not session.is_running() or not output.retain():
            watch.glanced_end = output.end if output is not None else watch.glanced_end
            return None
        try:
            end = output.end
            has_grown, watch.glanced_end = end != watch.glanced_end, end
            if has_grown:
                self._note_output(watch, output, now)
            is_flowing = now - watch.grown_at < PAUSE_SECONDS
            if is_flowing and now - watch.looked_at < FLOW_SECONDS:
                return PAUSE_SECONDS
            return self._look(watch, output, now, is_flowing)
        finally:
            output.release()

    def _note_output(self, watch: Watch, output: OutputLog, now: float) -> None:
        if output.grown_steady_ns:
            watch.grown_at = min(now, output.grown_steady_ns / 1e9)
            watch.agent.rhythm.printed(watch.grown_at)

    def _look(self, watch: Watch, output: OutputLog, now: float, is_flowing: bool) -> float | None:
        agent, end = watch.agent, output.end
        printed, watch.looked_at = end - watch.looked_end, now
        is_known = watch.looked_end >= 0
        self._take_in(watch, output, now, PROGRAM_SECONDS)
        self._learn_conversation(watch.session)
        is_flood = is_flowing and is_known and printed > FLOW_BYTES
        if is_flood:
            lines, cursor = agent.evidence.lines if is_known else (), agent.evidence.cursor
        elif printed and end:
            try:
                lines, cursor = self._screen(watch.session, output)
            except ScreenUnknown:
                return FLOW_SECONDS
        else:
            lines, cursor = agent.evidence.lines, agent.evidence.cursor
        watch.looked_end = end
        self._judge(watch, lines, cursor, now, is_flood)
        return _next_look(watch, now, is_flowing)

    def _judge(
        self,
        watch: Watch,
        lines: tuple[str, ...],
        cursor: tuple[int, int],
        now: float,
        is_flood: bool,
    ) -> None:
        agent = watch.agent
        agent.evidence = agent.look(lines, cursor, now)
        # What a flood has on its screen is not known: only that it prints.
        look = agent.evidence._replace(lines=()) if is_flood else agent.evidence
        verdict = agent.judge(look)
        if is_flood and verdict.state == IDLE:
            verdict = Verdict(WORKING, "rhythm", is_guess=True)
        agent.update(now, verdict)
        self.tell(watch.session)

    def _screen(
        self, session: Session, output: OutputLog
    ) -> tuple[tuple[str, ...], tuple[int, int]]:
        scene = session.terminal.display.look(output, view, seconds=DRAW_SECONDS)
        return scene.rows, scene.cursor

    def _refresh(self, watch: Watch) -> None:
        """Bring up to date what is known beside the screen, for who acts on it now."""
        output = watch.session.live_log
        if output is None or not output.retain():
            return
        try:
            self._take_in(watch, output, steady_now(), PAUSE_SECONDS)
        finally:
            output.release()

    def _take_in(self, watch: Watch, output: OutputLog, now: float, age: float) -> None:
        """Read what is reported, and whose terminal it is where that is `age` seconds old."""
        with watch.lock:
            self._find_program(watch, now, age)
            watch.agent.read_signals(output, now, watch.group)

    def _find_program(self, watch: Watch, now: float, age: float) -> None:
        """Find out which program has the terminal, and whether the one that reported still does."""
        if now - watch.program_at < age:
            return
        watch.program_at = now
        leader, agent = watch.session.record.pid, watch.agent
        watch.group = foreground(watch.session)
        if watch.hint is None:
            watch.hint = hint(leader)
        names = foreground_names(watch.group, leader)
        agent.program = self._rules.program_of(names)
        if agent.program is NO_PROGRAM and watch.hint:
            agent.program = self._rules.program_of([watch.hint])
        if agent.reporter and agent.reporter != watch.group and is_gone(agent.reporter):
            agent.reporter_gone()

    # What others say

    def seen(self, session: Session) -> None:
        """Somebody has looked at what a session has done: a result is no news any more."""
        if session.agent is not None:
            session.agent.seen()
            self.tell(session)

    def _learn_conversation(self, session: Session) -> None:
        """Note how the agent says it is resumed. Printed, so it counts for less than a hook's."""
        agent = session.agent
        if agent is None:
            return
        said, rules = agent.signals.resumption, agent.program.resume
        shown = rules is not None and rules.match is not None
        text = "\n".join(agent.evidence.bottom(BOTTOM)) if shown else ""
        named = said.session or (printed_id(text, rules) if rules is not None and text else "")
        found = dict(session.record.resume)
        if found.get("by") != HOOK and is_id(named):
            found.update(id=named, by=PRINTED)
        if printed_command(said.command):
            found["command"] = said.command
        self._keep_conversation(session, found)

    def conversation(self, session: Session, named: str) -> None:
        """A hook of the session's agent says which conversation it has."""
        if is_id(named):
            found = {**session.record.resume, "id": named, "by": HOOK}
            self._keep_conversation(session, found)

    def _keep_conversation(self, session: Session, found: dict[str, Any]) -> None:
        if found != session.record.resume:
            session.record.resume = found
            self._save(session)

    def reported(self, session: Session, state: str, kind: str, message: str) -> None:
        """A hook of the session's agent reports its state."""
        if session.agent is not None:
            # What the program itself says counts more: the newest of it.
            session.agent.refresh()
            session.agent.hook_said(state, kind, message)
            self.tell(session)
            session.agent.look_again()

    def tell(self, session: Session) -> None:
        """Publish a session's state if it is another than the one that was told last."""
        agent = session.agent
        if agent is None:
            return
        with self._lock:
            now, before = shown_state(session), agent.told
            if now.state == "done" and session.attached_count and now.source:
                # Somebody is looking.
                agent.seen()
                now = shown_state(session)
            agent.told = now
            if now.is_same(before):
                return
            if session.is_running():
                session.record.agent = agent.saved()
        self._save(session)
        data = {
            "from": before.state,
            "to": now.state,
            "kind": now.kind,
            "reason": now.reason,
            "source": now.source,
            "preview": preview(agent.evidence.lines),
        }
        self._publish(session, events.STATE, {k: v for k, v in data.items() if v})
        if session.attached_count:
            # For the terminals around those attached.
            session.wake()


def _next_look(watch: Watch, now: float, is_flowing: bool) -> float | None:
    if is_flowing:
        return PAUSE_SECONDS
    held_until = watch.agent.tracker.wants_look_at
    if held_until is not None:
        return max(0.05, held_until - now)
    if now - watch.grown_at < SETTLE_SECONDS:
        return SETTLE_STEP_SECONDS
    return None


def shown_state(session: Session) -> Shown:
    """Return a session's state: exited and stopped before whatever its agent does."""
    if not session.is_running():
        record = session.record
        return Shown(EXITED, reason=record.status_text(), since_ns=record.completed_ns)
    if session.is_halted():
        told = session.agent.told if session.agent is not None else None
        since_ns = told.since_ns if told is not None and told.state == STOPPED else 0
        return Shown(STOPPED, since_ns=since_ns or _now_ns())
    return session.agent.shown() if session.agent is not None else Shown("idle")


def is_starting(session: Session) -> bool:
    """Say whether a session is idle for want of any sign: it has shown nothing, and is new."""
    agent = session.agent
    if agent is None or session.record.boot != CLOCK.boot:
        return False
    if any(line.strip() for line in agent.evidence.lines):
        return False
    age_ns = CLOCK.steady_ns() - session.record.began_steady_ns
    return age_ns < START_SECONDS * 1e9 and agent.shown().state == IDLE


def _now_ns() -> int:
    import time

    return time.time_ns()


def preview(lines: tuple[str, ...]) -> str:
    """Return the last lines that say something, in one line of at most 200 characters."""
    words = " ".join(" ".join(line.split()) for line in lines if any(map(str.isalnum, line)))
    return "".join(c for c in words if c.isprintable())[-200:]


def agents_directory(root: str) -> str:
    """Return where the user's own tables of rules are."""
    return os.path.join(root, "agents")
