"""Puts letters into inboxes and tells listeners. The only place that writes messages.jsonl.

What listeners are told is in the recipient's file already, and in the same order. The disk is
waited for by whoever sends, without a lock that others need.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from codewire.errors import RequestError
from codewire.mail import letters
from codewire.mail.pending import Request
from codewire.session.events import Event
from codewire.session.lifecycle import Lifecycle
from codewire.session.session import Session
from codewire.wire.codes import UNAVAILABLE
from codewire.wire.events import REPLY, REQUEST

log = logging.getLogger(__name__)


class _Letter:
    """One that is being written into inboxes; `left` counts those that it is not yet in."""

    def __init__(self, events: Sequence[Event], is_kept: bool) -> None:
        self.events = events
        self.places = {event.session_id for event in events}
        self.left = len(events)
        self.is_told = is_kept


class Posting:
    """The inboxes of a node's sessions. Methods may be called from any greenlet or thread."""

    def __init__(self, sessions: Lifecycle) -> None:
        self._sessions = sessions
        # Letters stand in one order in all inboxes, and listeners hear of them in that order.
        self._lock = threading.Lock()
        self._untold: list[_Letter] = []

    def post(
        self,
        kind: str,
        data: dict[str, Any],
        sent_ns: int,
        places: Iterable[Session | None],
        *,
        is_synced: bool = False,
        is_kept: bool = False,
    ) -> None:
        """Write one letter into the inboxes of `places`, the first being the one that matters.

        That is on the disk afterwards where it is to be (`is_synced`). Listeners are told, each
        once. Blocks. Raises RequestError when the disk refuses it, unless it `is_kept` elsewhere.
        """
        sessions = list({s.id: s for s in places if s is not None}.values())
        events = [Event(s.id, tuple(s.record.tags), kind, data, sent_ns) for s in sessions]
        if not events:
            return
        first, *others = sessions
        letter = _Letter(events, is_kept)
        with self._lock:
            line = first.messages.add(events[0].envelope(), partial(self._is_in, letter, True))
            for session, event in zip(others, events[1:], strict=True):
                session.messages.add(event.envelope(), partial(self._is_in, letter, False))
            self._untold.append(letter)
        for session in others:
            session.messages.write()
        if is_synced:
            first.messages.commit(line)
        else:
            first.messages.write()
        if not (is_kept or line.is_synced or (line.is_written and not is_synced)):
            raise RequestError(f"the message could not be stored: {line.problem}", UNAVAILABLE)
        log.debug("session %s: %s", first.id, kind)

    def _is_in(self, letter: _Letter, is_first: bool, is_written: bool) -> None:
        """A letter is in one more inbox, or the disk refused it there: tell what may be told.

        That is a letter that is in all of its inboxes, as are those that stand before it in one.
        """
        with self._lock:
            letter.left -= 1
            letter.is_told = letter.is_told or (is_first and is_written)
            held_up: set[int] = set()
            for other in list(self._untold):
                if other.left or other.places & held_up:
                    held_up |= other.places
                    continue
                self._untold.remove(other)
                if other.is_told:
                    self._sessions.bus.tell(other.events)

    def finish(self, requests: Sequence[Request]) -> None:
        """Put what was journalled last into the inboxes that it did not reach. Blocks."""
        wanted: dict[int, dict[letters.Mention, Event]] = {}
        for request in requests:
            answer = request.answer
            kind, sent_ns = (REPLY, answer.sent_ns) if answer else (REQUEST, request.sent_ns)
            data = request.reply_data() if answer else request.data()
            for session_id in {request.to_id, request.from_id}:
                event = Event(session_id, (), kind, data, sent_ns)
                wanted.setdefault(session_id, {})[kind, request.id] = event
        newest = requests[-1].id if requests else ""
        for session_id, events in wanted.items():
            session = self._sessions.registry.find(session_id)
            if session is not None:
                self._catch_up(session, events, newest)

    def _catch_up(
        self, session: Session, events: dict[letters.Mention, Event], newest: str
    ) -> None:
        missing, is_all = letters.not_mentioned(session.messages.path, set(events))
        for mention, event in events.items():
            # So far back that it is not looked for: it has long been read.
            if mention in missing and (is_all or mention[1] == newest):
                session.messages.add(event.envelope())
        session.messages.write()
