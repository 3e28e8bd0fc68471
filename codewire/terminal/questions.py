"""Who answers a session's terminal queries: decided by offset, so that each is answered once.

Below `Questions.limit` the node answers (answers.py), from there on the terminals of the attached
clients, and again the node past what they were sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from codewire.output.log import OutputLog
from codewire.term.queries import STATUS_BEGINNING, STATUS_QUERY
from codewire.terminal.display import between_sequences
from codewire.terminal.input import Input
from codewire.terminal.state import Terminal


class Asker(Protocol):
    """What answering needs of a session."""

    id: int
    input: Input | None

    @property
    def live_log(self) -> OutputLog | None:
        """The log while there is a terminal."""

    @property
    def terminal(self) -> Terminal:
        """What it shows."""


class Questions:
    """One session's state: where the node has read to, and where it must stop for now.

    As a waker of the log it costs nothing while a client is attached.
    """

    __slots__ = (
        *("session", "offset", "limit", "clients", "is_rung", "is_on", "lock"),
        *("_ring", "_status_end"),
    )

    def __init__(self, session: Asker, ring: Callable[[Questions], None]) -> None:
        self.session = session
        self.offset = 0
        # None: nobody is attached.
        self.limit: int | None = None
        self.clients = 0
        self.is_rung = False
        self.is_on = True
        # Up to where the query for a program's status has been answered while clients are attached.
        self._status_end = 0
        self.lock = threading.Lock()
        self._ring = ring

    def set(self) -> None:
        """Be told that the log has grown."""
        if self.limit is None:
            self.ring()

    def ring(self) -> None:
        """Ask for a turn."""
        if not self.is_rung:
            self.is_rung = True
            self._ring(self)

    def answer_status(self, seen: bytes, end: int) -> None:
        """Answer queries for a program's status in what is about to be sent to a client.

        `seen` ends at the offset `end`. Each is answered once, whoever is attached, and before a
        terminal can answer what was asked after it: programs tell by the order.
        """
        if STATUS_BEGINNING not in seen or not self.is_on:
            return
        for found in STATUS_QUERY.finditer(seen):
            at = end - len(seen) + found.end()
            with self.lock:
                if self.limit is None or at <= max(self.limit, self._status_end):
                    continue
                self._status_end = at
            if self.session.input is not None:
                self.session.input.write_now(found[0])

    def attached(self, output: OutputLog, offset: int | None) -> int:
        """Count a client in; return from where on its terminal answers.

        `offset` is where one that was attached before goes on, None for one that starts afresh.
        """
        with self.lock:
            self.clients += 1
            end = between_sequences(output, output.end) if offset is None else offset
            if self.limit is None:
                self.limit = max(end, self.offset)
                return self.limit
            return max(end, self.offset)

    def detached(self, sent: int) -> None:
        """Count a client out that was sent the log up to `sent`."""
        with self.lock:
            self.clients -= 1
            self.limit = max(self.limit or 0, sent)
            if not self.clients:
                self.offset = max(self.offset, self.limit)
                self.limit = None
        self.set()
