"""Events: what happens to sessions, told to subscribers and kept in each session's events.jsonl.

Types and data keys: spec/wire.md 13.1. A subscriber that is too slow loses the oldest events and
is told how many; nobody waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from codewire.disk.lines import Lines
from codewire.disk.scribe import Scribe
from codewire.wire.timestamps import format_nanos

# About a minute of 50 busy sessions; some 3 MB for a subscriber that reads nothing at all.
QUEUE_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `timestamp_ns` is nanoseconds since the epoch; `data` is JSON-ready."""

    session_id: int
    tags: tuple[str, ...]
    type: str
    data: dict[str, Any]
    timestamp_ns: int

    def envelope(self) -> dict[str, Any]:
        """Return the object that files and the wire carry."""
        return {
            "timestamp": format_nanos(self.timestamp_ns),
            "type": self.type,
            "data": self.data,
        }


class Subscription:
    """One subscriber's filter and queue. `waker` is set when something arrives."""

    def __init__(
        self,
        number: int,
        session_id: int | None,
        tags: Iterable[str],
        types: Iterable[str],
        waker: threading.Event,
    ) -> None:
        self.number = number
        self.waker = waker
        self._session_id = session_id
        self._tags = frozenset(tags)
        self._types = frozenset(types)
        self._queue: deque[Event] = deque()
        self._lost = 0

    def wants(self, event: Event) -> bool:
        """Say whether the event passes: session, any tag, any type; an empty filter passes all."""
        return (
            (self._session_id is None or event.session_id == self._session_id)
            and (not self._tags or not self._tags.isdisjoint(event.tags))
            and (not self._types or event.type in self._types)
        )

    def offer(self, event: Event) -> None:
        """Queue an event, dropping the oldest when the queue is full."""
        if len(self._queue) >= QUEUE_EVENTS:
            self._queue.popleft()
            self._lost += 1
        self._queue.append(event)
        self.waker.set()

    def take(self) -> tuple[int, list[Event]]:
        """Return (events lost since the last call, the events that waited)."""
        lost, self._lost = self._lost, 0
        events = []
        while self._queue:
            events.append(self._queue.popleft())
        return lost, events


class EventBus:
    """Publishes events. Nobody waits until they are in a file, and a full disk is only logged."""

    def __init__(self, scribe: Scribe | None = None) -> None:
        """`scribe` writes them down."""
        self._scribe = scribe or Scribe()
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._next_number = 0

    def subscribe(
        self,
        session_id: int | None = None,
        tags: Iterable[str] = (),
        types: Iterable[str] = (),
        waker: threading.Event | None = None,
    ) -> Subscription:
        """Start a subscription; end it with `unsubscribe`."""
        with self._lock:
            number, self._next_number = self._next_number, self._next_number + 1
            waker = waker or threading.Event()
            subscription = Subscription(number, session_id, tags, types, waker)
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription. Idempotent."""
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)

    def publish(
        self,
        session_id: int,
        tags: Iterable[str],
        kind: str,
        data: dict[str, Any],
        file: Lines | None = None,
    ) -> Event:
        """Tell subscribers, and have it written to the end of `file` soon."""
        event = Event(session_id, tuple(tags), kind, data, time.time_ns())
        if file is not None:
            self._scribe.add(file, event.envelope())
        self.tell([event])
        return event

    def tell(self, events: Sequence[Event]) -> None:
        """Tell subscribers one piece of news that concerns several sessions, to each only once.

        The events are the same but for their session; a subscriber gets the first it wants.
        """
        for subscription in self._subscriptions:
            wanted = next((event for event in events if subscription.wants(event)), None)
            if wanted is not None:
                subscription.offer(wanted)
