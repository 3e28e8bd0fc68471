"""One agent's state over time: whose word counts, what is held for a moment, what nobody has seen.

Order (spec/agents.md 5): the program's own report, else what a hook reported, else the rules. A
hook fires at the beginning of things and not always at their end: a later look at the screen
overrules it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.agents.evidence import BLOCKED, DONE, ERROR, IDLE, WORKING, Verdict

# Between a tool and the answer the screen looks idle for a moment.
HOLD_SECONDS = 1.0
# A screen follows what a hook says within so long; what it shows later is news.
HOOK_SECONDS = 2.0

REPORTED, HOOK, SCREEN = "report", "hook", "screen"


class Said(NamedTuple):
    """What a program or its hook said of itself, and when (any clock that never goes back)."""

    state: str
    kind: str
    message: str
    at: float


class State(NamedTuple):
    """What is shown. `source` is report, hook or screen, `since` when the state began."""

    state: str
    kind: str = ""
    message: str = ""
    source: str = ""
    rule: str = ""
    since: float = 0.0


class Tracker:
    """Follows one session. Not thread-safe: its owner sees to it that calls do not overlap."""

    def __init__(self, now: float) -> None:
        self._shown = State(IDLE, since=now)
        self._verdict = Verdict(IDLE, "nothing")
        self._verdict_since = now
        self._idle_since: float | None = None
        self._hook: Said | None = None
        self._is_unseen = False
        # Something was typed, or it has worked for sure: until then it only starts.
        self._has_begun = False
        self._last_report: Said | None = None

    def typed(self) -> None:
        """Somebody typed: what it does from now on may have a result."""
        self._has_begun = True

    @property
    def state(self) -> State:
        """The state as it is to be shown: an idle one nobody has seen since it worked is done."""
        return self._shown

    def hook_said(self, said: Said) -> None:
        """Take what a hook, or `cw report`, says."""
        self._hook = said

    @property
    def verdict(self) -> Verdict:
        """What the last look found."""
        return self._verdict

    @property
    def wants_look_at(self) -> float | None:
        """When the next look may change the state though nothing is printed; None for never."""
        if self._hook is not None and self._misses_dialog(self._hook):
            return self._hook.at + HOOK_SECONDS
        return None if self._idle_since is None else self._idle_since + HOLD_SECONDS

    def saved(self) -> dict[str, Any]:
        """Return what outlives a worker, ready for JSON."""
        value: dict[str, Any] = dict(self._shown._asdict())
        value["verdict"] = [self._verdict.state, self._verdict_since]
        if self._is_unseen:
            value["unseen"] = True
        if not self._has_begun:
            value["begun"] = False
        if self._hook is not None:
            value["hook"] = list(self._hook)
        return value

    def restore(self, saved: Mapping[str, Any], report: Said | None = None) -> None:
        """Go on where `saved` was made, the program's own `report` known; damage is left out."""
        self._last_report = report
        self._has_begun = saved.get("begun") is not False
        found = _state_from(saved)
        if found is not None:
            self._shown = found
            self._is_unseen = saved.get("unseen") is True
        self._hook = said_from(saved.get("hook"))
        # What the screen showed then is no news that overrules a hook.
        verdict = saved.get("verdict")
        state, since = verdict if isinstance(verdict, list) and len(verdict) == 2 else (IDLE, 0.0)
        if isinstance(state, str) and _number(since) is not None:
            self._verdict, self._verdict_since = Verdict(state, "nothing"), float(since)

    def seen(self, now: float) -> bool:
        """Somebody looked at the result; return whether that changed the state."""
        self._is_unseen = False
        if self._shown.state in (DONE, ERROR):
            self._shown = self._shown._replace(state=IDLE, kind="", since=now)
            return True
        return False

    def update(self, now: float, verdict: Verdict, report: Said | None = None) -> bool:
        """Take one look, and the program's own report where there is one; True when news."""
        if verdict.state != self._verdict.state:
            self._verdict_since = now
        self._verdict = verdict
        found = self._decide(report, now)
        if found.state == WORKING and not (found.source == SCREEN and verdict.is_guess):
            self._has_begun = True
        if found.source == SCREEN and self._is_held(found, now):
            return False
        self._idle_since = None
        return self._show(found, now, report)

    def _decide(self, report: Said | None, now: float) -> State:
        if report is not None:
            return State(report.state, report.kind, report.message, REPORTED, "OSC 7501")
        hook, verdict = self._hook, self._verdict
        if hook is not None:
            until = hook.at + HOOK_SECONDS
            is_news = self._verdict_since > until and verdict.state != hook.state
            if not is_news and not (now >= until and self._misses_dialog(hook)):
                return State(hook.state, hook.kind, hook.message, HOOK, "cw report")
            self._hook = None
        return State(verdict.state, verdict.kind, verdict.text, SCREEN, verdict.rule)

    def _misses_dialog(self, hook: Said) -> bool:
        """Say whether a dialog is shown of which a hook knows nothing.

        Hooks may overtake each other; a dialog that still stands there was not the last one.
        """
        return self._verdict.state == BLOCKED != hook.state

    def _is_held(self, found: State, now: float) -> bool:
        """Say whether idle, after working, has not lasted long enough to be said."""
        if found.state != IDLE or self._shown.state != WORKING:
            return False
        if self._idle_since is None:
            self._idle_since = now
        return now - self._idle_since < HOLD_SECONDS

    def _show(self, found: State, now: float, report: Said | None) -> bool:
        before = self._shown
        is_new_report = report is not None and report != self._last_report
        self._last_report = report
        if found.state in (WORKING, BLOCKED):
            self._is_unseen = False
        elif before.state in (WORKING, BLOCKED) or (is_new_report and found.state != IDLE):
            has_worked = before.state == WORKING and self._has_begun
            self._is_unseen = found.state != IDLE or has_worked
        found = self._with_unseen(found)
        same = (found.state, found.kind, found.message) == (
            before.state,
            before.kind,
            before.message,
        )
        since = before.since if found.state == before.state else now
        self._shown = found._replace(since=since)
        return not same

    def _with_unseen(self, found: State) -> State:
        if found.state == IDLE and self._is_unseen:
            return found._replace(state=DONE)
        if found.state in (DONE, ERROR) and not self._is_unseen:
            return found._replace(state=IDLE, kind="")
        return found


def _state_from(saved: Mapping[str, Any]) -> State | None:
    texts = [saved.get(key, "") for key in State._fields[:-1]]
    since = _number(saved.get("since"))
    if since is None or not all(isinstance(text, str) for text in texts):
        return None
    state, kind, message, source, rule = texts
    known = (WORKING, BLOCKED, IDLE, DONE, ERROR)
    return State(state, kind, message, source, rule, since) if state in known else None


def said_from(value: Any) -> Said | None:
    """Return what was saved of a report, None where it is none."""
    if not isinstance(value, list) or len(value) != len(Said._fields):
        return None
    state, kind, message, at = value
    moment = _number(at)
    if moment is None or not all(isinstance(text, str) for text in (state, kind, message)):
        return None
    return Said(state, kind, message, moment)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else None
