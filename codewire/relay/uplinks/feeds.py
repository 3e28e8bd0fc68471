"""Readers of the store's events: each gets what it has not seen, then what comes (SSE).

One pump for all: whoever commits an event wakes it, another relay's commits are found by looking
every POLL_SECONDS. A reader that falls behind is cut off and comes back with its last id.
"""

from __future__ import annotations

import json
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from codewire.errors import CodewireError
from codewire.io.wait import give_way
from codewire.relay.store import events
from codewire.web.sse import EventStream, encode_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.relay.store.database import Database, Tx
    from codewire.relay.store.events import Event

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
# When readers that have much to catch up with are looked at again.
LAG_SECONDS = 0.05
KEEPALIVE_SECONDS = 20.0
# Events read at a time: what a reader with room takes in any case.
BATCH = 64
# What a reader without an id is sent of what has been (spec/network-auth.md 8).
REPLAYED = 256

Feed = tuple[str, str]
# Stands for every network.
ANY = ""


class Reader:
    """One reader: who it is, up to which event it has been served, and which it wants."""

    __slots__ = ("seq", "stream", "wants", "who")

    def __init__(
        self, stream: EventStream, wants: Callable[[str], bool], seq: int, who: str
    ) -> None:
        self.who = who
        self.stream = stream
        self.wants = wants
        self.seq = seq


class EventFeeds:
    """All readers, by network and stream."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._readers: dict[Feed, set[Reader]] = {}
        self._woken: set[str] = set()
        self._is_over = False
        self.sent = 0

    @property
    def readers(self) -> int:
        """How many read."""
        return sum(map(len, self._readers.values()))

    def wake(self, network: str) -> None:
        """Have the pump look at a network's events, at all for "". Never blocks."""
        with self._changed:
            self._woken.add(network)
            self._changed.notify_all()

    def open(
        self,
        network: str,
        stream: str,
        last: int | None,
        wants: Callable[[str], bool],
        who: str = "",
    ) -> EventStream:
        """Return a reader's stream: what came after `last` (None: the newest), then what comes.

        `wants` is asked with each event's data; `who` reads.
        """
        feed = (network, stream)
        out = EventStream(lambda: self._leave(feed, reader), KEEPALIVE_SECONDS)
        newest, floor = self._store.read(
            lambda tx: (events.newest(tx, network), events.floor(tx, network, stream))
        )
        seq = max(floor, newest - REPLAYED) if last is None else last
        reader = Reader(out, wants, seq, who)
        if last is not None and not floor <= last <= newest:
            # Something is gone that the reader has not seen, or its id is none of ours: it has to
            # look for itself how things are now.
            reader.seq = newest
            self._send_reset(reader, network, newest)
        with self._changed:
            self._readers.setdefault(feed, set()).add(reader)
        self.wake(network)
        return out

    def drop(self, network: str, who: str) -> None:
        """End the streams of somebody who belongs to the network no more."""
        with self._changed:
            ended = [
                reader
                for (of, _), readers in self._readers.items()
                for reader in readers
                if (of, reader.who) == (network, who)
            ]
        for reader in ended:
            reader.stream.end()

    def _send_reset(self, reader: Reader, network: str, seq: int) -> None:
        data = json.dumps({"seq": seq, "type": "stream.reset", "network_id": network})
        reader.stream.send(data, "stream.reset", str(seq))

    def _leave(self, feed: Feed, reader: Reader) -> None:
        with self._changed:
            readers = self._readers.get(feed)
            if readers is not None:
                readers.discard(reader)
                if not readers:
                    del self._readers[feed]

    def run(self) -> None:
        """Serve the readers until `end`."""
        is_lagging = False
        while not self._is_over:
            feeds = self._await(LAG_SECONDS if is_lagging else POLL_SECONDS)
            is_lagging = any([self._serve_safely(feed) for feed in feeds])

    def _await(self, seconds: float) -> list[Feed]:
        """Return which feeds to look at: those that were woken, or all when time is up."""
        with self._changed:
            if not self._woken:
                self._changed.wait(seconds)
            woken, self._woken = self._woken, set()
            is_any = not woken or ANY in woken
            return [feed for feed in self._readers if is_any or feed[0] in woken]

    def _serve_safely(self, feed: Feed) -> bool:
        try:
            return self._serve(feed)
        except CodewireError as error:
            # The next look finds it again.
            log.warning("reading events of %s: %s", feed[0], error)
            return False

    def _serve(self, feed: Feed) -> bool:
        """Send a feed's readers what they have not had; say whether one lags behind."""
        while True:
            with self._changed:
                readers = list(self._readers.get(feed, ()))
            keeping_up = [reader for reader in readers if reader.stream.has_room]
            if not keeping_up:
                return bool(readers)
            least = min(reader.seq for reader in keeping_up)
            found = self._store.read(partial(self._after, feed=feed, seq=least))
            if not found:
                return len(keeping_up) < len(readers)
            for event in found:
                self._send(event, keeping_up)
            # Let them take it.
            give_way()

    def _after(self, tx: Tx, *, feed: Feed, seq: int) -> list[Event]:
        if events.newest(tx, feed[0]) <= seq:
            return []
        return events.after(tx, *feed, seq, BATCH)

    def _send(self, event: Event, readers: list[Reader]) -> None:
        encoded = encode_event(event.data, event.type, str(event.seq))
        for reader in readers:
            if reader.seq < event.seq:
                reader.seq = event.seq
                if reader.wants(event.data) and reader.stream.send_encoded(encoded):
                    self.sent += 1

    def end(self) -> None:
        """End the pump."""
        self._is_over = True
        self.wake(ANY)
