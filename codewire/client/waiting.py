"""The part of Client that waits: for sessions to end or fall silent, for text they print.

A time-out is kept by the node, which words it, and here as well: a node that is stopped, silent or
older than the option makes nobody wait for longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.client.numbers import MAX_U64, checked_id, milliseconds, seconds, whole_number
from codewire.client.reach.asking import Asker, deadline_behind
from codewire.client.reach.connection import field, timeout_fields
from codewire.errors import OutOfTime, RequestError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codewire.client.expect import Match


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
    ) -> list[dict[str, Any]]:
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
    ) -> Match:
        """Block until a session prints `text`, or what matches `regex`; return the line and offset.

        Looks at output from `from_offset` on: 0 is the session's start, None is now; a Match's
        offset continues behind it. The echo of what was typed does not count unless asked for.
        Raises RequestError "wait timed out", or when the session ends first; UsageError for a bad
        expression.
        """
        import re

        from codewire.client.expect import text_request, wait_for_text

        if (text or regex) in (None, "") or (text and regex):
            raise UsageError("wait for either a text or a regular expression")
        try:
            pattern = re.compile(re.escape(text) if text else str(regex), re.MULTILINE)
        except re.error as error:
            raise UsageError(f"bad regular expression: {error}") from error
        client = self._patient(seconds("timeout_seconds", timeout_seconds))
        try:
            if from_offset is None:
                status = client.ask({"type": "GetStatus", "id": checked_id(session_id)})
                from_offset = field(status, "output_size", 0)
            where = (checked_id(session_id), whole_number("from_offset", from_offset, MAX_U64) or 0)
            request = text_request(*where, timeout_fields(timeout_seconds))
            client.require(request)
            return wait_for_text(client.connect, client.redial(), request, pattern, include_echo)
        except OutOfTime as error:
            raise _timed_out(error) from error

    def _patient(self, timeout_seconds: float | None) -> Waiting:
        """Return this client with a deadline a little behind the node's own time-out."""
        if not timeout_seconds:
            return self
        return self.until(deadline_behind(timeout_seconds))


def session_list(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the sessions in an answer. Raises ProtocolError."""
    empty: list[Any] = []
    return [session for session in field(answer, "sessions", empty) if isinstance(session, dict)]


def _timed_out(error: OutOfTime) -> RequestError:
    """Return the error for a wait whose time is up, with what is known of a node that is stuck."""
    return RequestError(f"wait timed out: {error}" if error.is_stopped else "wait timed out")
