"""What one session's agent is doing: signals, rhythm, screen and reports put together.

Who looks when is in lookout.py. Times are seconds of the steady clock (clock.py), which outlives
a worker; what is said of people's time is nanoseconds since the epoch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from codewire.agents.evidence import BLOCKED, DONE, ERROR, Evidence, Rhythm, Verdict
from codewire.agents.generic import BOTTOM, question_in
from codewire.agents.programs import NO_PROGRAM, Program, judge
from codewire.agents.tracker import HOOK, SCREEN, Said, State, Tracker, said_from
from codewire.io.clock import CLOCK
from codewire.output.log import OutputLog
from codewire.term.programstatus import Report
from codewire.term.signals import Signals

READ_BYTES = 1 << 16
# This far behind a flood, only the last stretch is read for signals.
FAR_BYTES, NEAR_BYTES = 1 << 20, 1 << 17

EXITED, STOPPED = "exited", "stopped"
STATES = ("working", BLOCKED, "idle", DONE, ERROR, STOPPED, EXITED)
MAX_REASON = 300
REPORT_RULE = "OSC 7501"


class Shown(NamedTuple):
    """A session's state for everybody. `reason` is untrusted text of at most MAX_REASON."""

    state: str
    kind: str = ""
    reason: str = ""
    source: str = ""
    rule: str = ""
    since_ns: int = 0

    def is_same(self, other: Shown) -> bool:
        """Say whether nothing has changed that is worth telling."""
        if (self.state, self.kind) != (other.state, other.kind):
            return False
        # Titles blink and spinners turn; why it works, where nobody says it, is no news.
        is_guess = self.source == SCREEN and self.state != BLOCKED
        return is_guess or _letters(self.reason) == _letters(other.reason)


def steady_now() -> float:
    """Return this moment in seconds of the steady clock."""
    return CLOCK.steady_ns() / 1e9


class AgentState:
    """One session's. Methods may be called from any thread; `lock` is held only for moments."""

    def __init__(self, saved: Mapping[str, Any] | None = None) -> None:
        """`saved` is what an earlier worker left behind."""
        now = steady_now()
        self.lock = threading.Lock()
        self.signals, self.rhythm, self.tracker = Signals(), Rhythm(), Tracker(now)
        self.program: Program = NO_PROGRAM
        self.evidence = Evidence(())
        self.offset = 0
        # The process group that last reported in-band: its reports end with it.
        self.reporter = 0
        # Brings up to date which program that is and what it reports; the lookout's.
        self.refresh: Callable[[], None] = lambda: None
        # Has it looked at soon, as when something is printed.
        self.look_again: Callable[[], None] = lambda: None
        self._root: Report | None = None
        # Of a session that was there before: what its last stretch says is no news.
        self._is_old = False
        if saved:
            self._restore_report(saved)
            self.tracker.restore(saved, self.report())
        self.told = self.shown()

    def begin(self, output: OutputLog, *, is_restored: bool) -> None:
        """Read signals from here on: of a session that was there before, from its last stretch."""
        self._is_old = is_restored
        self.offset = max(output.first, output.end - NEAR_BYTES) if is_restored else output.end

    def typed(self) -> None:
        """Somebody typed: what is printed right after that is no work."""
        self.rhythm.typed(steady_now())
        self.tracker.typed()

    def read_signals(self, output: OutputLog, now: float, group: int) -> None:
        """Take in what has been printed since the last call. Blocks for the file."""
        if output.end - self.offset > FAR_BYTES:
            self.offset = output.end - NEAR_BYTES
        if self._is_old:
            now, self._is_old = self.signals.status_at or now, False
        end = output.end
        while self.offset < end:
            chunk = output.read(self.offset, min(READ_BYTES, end - self.offset))
            if not chunk.data and not chunk.gap:
                break
            with self.lock:
                self.signals.feed(chunk.data, now)
            self.offset = chunk.end
        root = self.signals.status.root
        if root is not self._root:
            self._root, self.reporter = root, group

    def reporter_gone(self) -> None:
        """The process that reported is no more: what it was doing is over."""
        with self.lock:
            self.signals.status.forget_activity()
            self._root, self.reporter = self.signals.status.root, 0

    def update(self, now: float, verdict: Verdict) -> None:
        """Take one look."""
        with self.lock:
            self.tracker.update(now, verdict, self.report())

    def look(self, lines: tuple[str, ...], cursor: tuple[int, int], now: float) -> Evidence:
        """Return what the rules judge by: a screen, and what is known beside it."""
        signals, rhythm = self.signals, self.rhythm
        quiet, busy = now - rhythm.last_output, rhythm.busy_slots(now)
        return Evidence(lines, cursor, signals.title, signals.progress, quiet, busy)

    def judge(self, look: Evidence) -> Verdict:
        """Return what the rules say, the program's own among them."""
        verdict = judge(look, self.program)
        if verdict.state == BLOCKED and "?" not in verdict.text:
            # Better than the glyph or the words it was known by: what is asked.
            verdict = verdict._replace(text=question_in(look.bottom(BOTTOM)) or verdict.text)
        return verdict

    def said(self) -> State | None:
        """Return what the program, else a hook of it, says that it does; None where none does."""
        report, told = self.report(), self.tracker.state
        if report is not None:
            return State(report.state, report.kind, report.message, rule=REPORT_RULE)
        return told if told.source == HOOK else None

    def report(self) -> Said | None:
        """Return what the program says of itself."""
        root = self.signals.status.root
        if root is None:
            return None
        return Said(root.state, root.kind, root.message or root.title, self.signals.status_at)

    def hook_said(self, state: str, kind: str, message: str) -> None:
        """Take what `cw report` says, which counts at once."""
        now = steady_now()
        with self.lock:
            self.tracker.hook_said(Said(state, kind, message, now))
            self.tracker.update(now, self.tracker.verdict, self.report())

    def seen(self) -> None:
        """Somebody looked at the result."""
        with self.lock:
            self.tracker.seen(steady_now())

    def shown(self) -> Shown:
        """Return the state while the session runs and is not stopped."""
        found = self.tracker.state
        since_ns = CLOCK.wall_ns() - int(max(0.0, steady_now() - found.since) * 1e9)
        reason = reason_of(found)
        return Shown(found.state, found.kind, reason, found.source, found.rule, since_ns)

    def saved(self) -> dict[str, Any]:
        """Return what outlives this worker, ready for JSON."""
        with self.lock:
            value = self.tracker.saved()
            root = self.signals.status.root
            if root is not None:
                app, state, kind = root.app, root.state, root.kind
                value["report"] = [state, kind, app, root.message or root.title]
                value["reported_at"] = self.signals.status_at
                value["reporter"] = self.reporter
        return value

    def _restore_report(self, saved: Mapping[str, Any]) -> None:
        value, at, group = (saved.get(key) for key in ("report", "reported_at", "reporter"))
        if not isinstance(value, list) or len(value) != 4 or not isinstance(group, int):
            return
        said = said_from([*value[:2], value[3], at])
        if said is not None and isinstance(value[2], str):
            status = self.signals.status
            status.restore(Report(said.state, said.kind, value[2], message=said.message))
            self.signals.status_at = said.at
            self._root, self.reporter = status.root, group


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def reason_of(found: State) -> str:
    """Return why a state is what it is, in one line: what is said of it, else the rule."""
    text = " ".join(found.message.split())
    if not any(map(str.isalnum, text)) and found.source:
        text = "" if found.rule == "nothing" else found.rule
    return "".join(c for c in text if c.isprintable())[:MAX_REASON]
