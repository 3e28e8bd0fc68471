"""The part of Client that waits: for sessions to end or fall silent, for text they print.

A time-out is kept by the node, which words it, and here as well: a node that is stopped, silent or
older than the option makes nobody wait for longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.client.numbers import (
    MAX_U64,
    checked_id,
    milliseconds,
    seconds,
    whole_number,
)
from codewire.client.reach.asking import Asker, deadline_behind
from codewire.client.reach.connection import field, timeout_fields
from codewire.errors import OutOfTime, RequestError, UsageError, WaitTimedOut
from codewire.io.deadline import Deadline
from codewire.wire.answers.reading import read_each

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

    from codewire.client.expect import Match
    from codewire.wire.answers.sessions import SessionInfo


class Waiting(Asker):
    """What Client waits with."""

    def wait(
        self,
        session_id: int | None = None,
        tags: Iterable[str] = (),
        condition: str = "all",
        timeout_seconds: float | None = None,
        *,
        idle_seconds: float | None = None,
        states: Iterable[str] = (),
    ) -> list[SessionInfo]:
        """Block until a session, or all or any of those with a tag, have ended; return them.

        With `idle_seconds` (one session only) also when it has printed nothing for that long;
        with `states` (such as blocked, done) when they are in one of those, or have ended.
        Raises RequestError "wait timed out" after `timeout_seconds` (None or 0: never), whatever
        the node does.
        """
        wanted = list(tags)
        if session_id is None and not wanted:
            raise UsageError("wait needs a session or a tag")
        if condition not in ("all", "any"):
            raise UsageError(f"condition must be all or any, got {condition!r}")
        request = {
            "type": "Wait",
            "id": None if session_id is None else checked_id(session_id),
            "tags": wanted or None,
            "condition": condition,
            "idle_ms": milliseconds("idle_seconds", idle_seconds),
            "states": list(states) or None,
            **timeout_fields(seconds("timeout_seconds", timeout_seconds)),
        }
        try:
            return session_list(self._patient(timeout_seconds).ask(request))
        except OutOfTime as error:
            raise _timed_out(error) from error

    def wait_for_text(
        self,
        session_id: int,
        text: str | None = None,
        *,
        regex: str | None = None,
        from_offset: int | None = 0,
        include_echo: bool = False,
        timeout_seconds: float | None = None,
        on: str | None = None,
    ) -> Match:
        """Block until a session prints `text`, or what matches `regex`; return the line and offset.

        `on` is "output", "screen" or "both": what a full-screen program shows need not have been
        printed in that order. None is both when output is looked at from its start, else "output":
        a screen shows what was there before.

        Looks at output from `from_offset` on: 0 is the session's start, None is now; a Match's
        offset continues behind it. The echo of what was typed does not count unless asked for.
        Raises RequestError "wait timed out", or when the session ends first; UsageError for a bad
        expression.
        """
        from codewire.client.expect import text_request, wait_for_text

        pattern = _pattern(text, regex)
        on = on or ("both" if from_offset == 0 else "output")
        if on not in ("output", "screen", "both"):
            raise UsageError(f"on must be output, screen or both, got {on!r}")
        if on == "screen":
            from codewire.client.onscreen import wait_until_shown

            ends = Deadline.after(timeout_seconds or None)
            return wait_until_shown(lambda: self._screen(session_id), pattern, ends)
        client = self._patient(seconds("timeout_seconds", timeout_seconds))
        try:
            if from_offset is None:
                status = client.ask({"type": "GetStatus", "id": checked_id(session_id)})
                from_offset = field(status, "output_size", 0)
            where = (checked_id(session_id), whole_number("from_offset", from_offset, MAX_U64) or 0)
            request = text_request(*where, timeout_fields(timeout_seconds))
            client.require(request)
            look = (lambda: client._known_screen(session_id)) if on == "both" else None
            redial = client.redial()
            return wait_for_text(client.connect, redial, request, pattern, include_echo, look)
        except OutOfTime as error:
            raise _timed_out(error) from error

    def wait_for_screen(
        self,
        session_id: int,
        gone_text: str | None = None,
        *,
        gone_regex: str | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        """Block until a session's screen changes, or no longer shows a text or what matches.

        Raises RequestError "wait timed out", or when the session ends first.
        """
        from codewire.client.onscreen import wait_until_changed, wait_until_gone

        ends = Deadline.after(timeout_seconds or None)
        if gone_text is None and gone_regex is None:
            wait_until_changed(lambda: self._screen(session_id), ends)
        else:
            pattern = _pattern(gone_text, gone_regex)
            wait_until_gone(lambda: self._screen(session_id), pattern, ends)

    def _screen(self, session_id: int) -> dict[str, Any]:
        # Whoever waits has not looked at a result yet.
        return self.ask({"type": "GetScreen", "id": checked_id(session_id), "peek": True})

    def _known_screen(self, session_id: int) -> dict[str, Any] | None:
        """Return the screen; None from a node that knows none, or while it cannot be drawn."""
        try:
            return self._screen(session_id)
        except RequestError:
            return None

    def _patient(self, timeout_seconds: float | None) -> Waiting:
        """Return this client with a deadline a little behind the node's own time-out."""
        if not timeout_seconds:
            return self
        return self.until(deadline_behind(timeout_seconds))


def _pattern(text: str | None, regex: str | None) -> re.Pattern[str]:
    import re

    if (text or regex) in (None, "") or (text and regex):
        raise UsageError("wait for either a text or a regular expression")
    try:
        return re.compile(re.escape(text) if text else str(regex), re.MULTILINE)
    except re.error as error:
        raise UsageError(f"bad regular expression: {error}") from error


def session_list(answer: dict[str, Any]) -> list[SessionInfo]:
    """Return the sessions in an answer. Raises ProtocolError."""
    from codewire.wire.answers.sessions import SessionInfo

    empty: list[Any] = []
    return read_each(SessionInfo, field(answer, "sessions", empty))


def _timed_out(error: OutOfTime) -> WaitTimedOut:
    """Return the error for a wait whose time is up, with what is known of a node that is stuck."""
    return WaitTimedOut(f"wait timed out: {error}" if error.is_stopped else "wait timed out")
