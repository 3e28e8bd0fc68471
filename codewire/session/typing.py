"""Typing into sessions: past the drain, which must know, and told to whoever watches events."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from codewire.output.drain import Drain
from codewire.session.session import Session
from codewire.terminal.input import PATIENCE_SECONDS, InputClosed, never
from codewire.wire import events

log = logging.getLogger(__name__)

# A program that reads its input late must not lose it to a flush at start: wait for its first
# output, at most this long (upstream always waits it out).
STDIN_DELAY_SECONDS = 0.2
# No key that a terminal sends is longer.
KEY_BYTES = 64


class Keyboard:
    """What types into every session of a node. Methods may be called from any thread."""

    def __init__(
        self, drain: Drain, publish: Callable[[Session, str, dict[str, Any]], None]
    ) -> None:
        """`publish` takes a session, a kind of event and its data."""
        self._drain = drain
        self._publish = publish

    def type_in(
        self,
        session: Session,
        data: bytes,
        source: str,
        is_cancelled: Callable[[], bool] = never,
        before: Callable[[], None] | None = None,
        *,
        has_left: Callable[[], bool] = never,
        patience: float | None = None,
    ) -> int:
        """Type into the session; return the byte count. Blocks while the program reads nothing.

        `before` is called right before the first byte is typed. Raises InputClosed when it ends,
        or `is_cancelled` or `has_left` says so, meanwhile, or when the program has read nothing
        for `patience` seconds. What was typed until then is reported as an event all the same.
        """
        count = 0
        try:
            count = self.type_piece(
                session, data, is_cancelled, before, has_left=has_left, patience=patience
            )
        except InputClosed as error:
            count = error.written
            raise
        finally:
            if count or not data:
                self.publish_input(session, source, count)
        return count

    def type_piece(
        self,
        session: Session,
        data: bytes,
        is_cancelled: Callable[[], bool] = never,
        before: Callable[[], None] | None = None,
        *,
        has_left: Callable[[], bool] = never,
        patience: float | None = None,
    ) -> int:
        """As `type_in`; the caller sums up what is typed and publishes it."""
        if session.input is None or not session.is_running():
            raise InputClosed(0)
        self._note(session)
        session.terminal.typed.note(session.grow_count(), data)
        return session.input.write(data, is_cancelled, before, has_left=has_left, patience=patience)

    def key_in(self, session: Session, data: bytes, has_left: Callable[[], bool] = never) -> None:
        """As `type_in` for an attached terminal: keystrokes are summed up by the caller."""
        if session.input is None:
            return
        self._drain.typed(session)
        session.terminal.typed.note(session.grow_count(), data)
        # A key first: what else is to be known of it is noted while its program reads it. What is
        # longer goes in by one turn, so that nobody types into the middle of a paste.
        written = session.input.write_some(data) if len(data) <= KEY_BYTES else 0
        session.terminal.viewers.note(data)
        if session.agent is not None:
            session.agent.typed()
        if written < len(data):
            try:
                session.input.write(data[written:], has_left=has_left)
            except InputClosed as error:
                raise InputClosed(written + error.written) from error

    def _note(self, session: Session) -> None:
        self._drain.typed(session)
        if session.agent is not None:
            session.agent.typed()

    def type_first(self, session: Session, data: bytes) -> None:
        """Type what a launch brought along, once the program has begun. Blocks."""
        waker = threading.Event()
        session.log.watch(waker)
        waker.wait(STDIN_DELAY_SECONDS)
        session.log.unwatch(waker)
        try:
            self.type_in(session, data, "stdin_data", patience=PATIENCE_SECONDS)
        except InputClosed as error:
            left = len(data) - error.written
            log.info("session %d: %d bytes of its first input were not read", session.id, left)

    def is_typing(self) -> bool:
        """Say whether somebody is typing anywhere: then nothing may take long at a time."""
        return self._drain.is_typing()

    def publish_input(self, session: Session, source: str, count: int) -> None:
        """Report bytes typed."""
        self._publish(session, events.INPUT, {"source": source, "bytes_count": count})
