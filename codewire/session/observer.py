"""Counts what sessions print, off the output path: one more reader of every log.

Emits session.output_summary, at most one a second a session.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from codewire.io.wait import give_way
from codewire.output.log import OutputLog
from codewire.session.events import EventBus
from codewire.session.session import Session
from codewire.wire import events

log = logging.getLogger(__name__)

READ_BYTES = 1 << 18
TURN_BYTES = 4 << 20
SUMMARY_SECONDS = 1.0
# Between two looks; a count asked for is caught up at once, so this only bounds the summaries.
PAUSE_SECONDS = 0.2


class Observer:
    """Line counts and summaries of all running sessions."""

    def __init__(self, sessions: Callable[[], Iterable[Session]], bus: EventBus) -> None:
        self._sessions = sessions
        self._bus = bus
        self.waker = threading.Event()
        self._summaries: dict[int, tuple[float, int, int]] = {}
        self._due: set[int] = set()
        self._unreadable: set[int] = set()

    def run(self) -> None:
        """Follow the logs for ever; costs nothing while nobody prints."""
        while True:
            self.waker.wait()
            time.sleep(PAUSE_SECONDS)
            self.waker.clear()
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Count what is new, and tell the summaries that are due at `now` (monotonic seconds)."""
        for session in self._sessions():
            try:
                if self._has_news(session):
                    self.catch_up(session)
                    self._summarise(session, now)
            except Exception:
                log.exception("session %d: summing up its output failed", session.id)

    def _has_news(self, session: Session) -> bool:
        if not session.is_running():
            return False
        return session.id in self._due or session.grow_count() > session.record.counted

    def catch_up(self, session: Session) -> None:
        """Bring the session's counters to the end of its log. Blocks for what is new.

        Raises nothing: what cannot be read has no lines.
        """
        output = session.live_log
        if output is None or not output.retain():
            # Closed: its last count was made before that.
            return
        try:
            with session.counting:
                before = session.record.counted
                count_lines(session, output)
                if session.record.counted != before:
                    # Whoever asked for the count: the summary has yet to come.
                    self._due.add(session.id)
        except OSError as error:
            if session.id not in self._unreadable:
                self._unreadable.add(session.id)
                log.error("session %d: reading its log failed: %s", session.id, error.strerror)
            session.record.counted = output.end
        finally:
            output.release()

    def _summarise(self, session: Session, now: float) -> None:
        record = session.record
        last, total_bytes, total_lines = self._summaries.get(session.id, (0.0, 0, 0))
        if now - last < SUMMARY_SECONDS:
            self.waker.set()
            return
        self._due.discard(session.id)
        if record.counted == total_bytes:
            return
        self._summaries[session.id] = (now, record.counted, record.lines)
        data = {
            "bytes_delta": record.counted - total_bytes,
            "lines_delta": record.lines - total_lines,
            "total_bytes": record.counted,
            "total_lines": record.lines,
        }
        self._bus.publish(session.id, record.tags, events.OUTPUT_SUMMARY, data, session.events)

    def finish(self, session: Session) -> None:
        """Count and report the rest of an ended session, then forget it."""
        self.catch_up(session)
        self._summarise(session, time.monotonic() + SUMMARY_SECONDS)
        self._summaries.pop(session.id, None)
        self._due.discard(session.id)
        self._unreadable.discard(session.id)


def count_lines(session: Session, output: OutputLog) -> None:
    """Add the newlines between the counted offset and the end of the log."""
    record = session.record
    turn = 0
    while record.counted < output.end:
        chunk = output.read(record.counted, READ_BYTES)
        if not chunk.data and not chunk.gap:
            return
        record.lines += chunk.data.count(b"\n")
        record.counted = chunk.end
        turn += len(chunk.data)
        if turn >= TURN_BYTES:
            turn = 0
            give_way()
