"""Messages on their way to a peer whose connection must hold nobody up.

A bounded queue and, only while something is in it, a greenlet or thread that sends: a thousand idle
connections cost a reader each and nothing else.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, OutOfThreads
from codewire.io.wait import spawn

if TYPE_CHECKING:
    from codewire.io.websockets import WebSocketStream

log = logging.getLogger(__name__)


class Outbox:
    """One peer's queue. Messages wait until the connection is there (`open`)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Short, and mostly empty: a deque would take half a kilobyte.
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._stream: WebSocketStream | None = None
        self._is_sending = False
        self._goodbye: tuple[int, str] | None = None

    def open(self, stream: WebSocketStream) -> None:
        """Send over this connection from now on; one that was closed before is closed."""
        with self._lock:
            self._stream, goodbye = stream, self._goodbye
        if goodbye is not None:
            stream.shutdown(*goodbye)
        self._start()

    def send(self, message: dict[str, Any]) -> bool:
        """Queue a message; False when the queue is full. Never blocks."""
        with self._lock:
            if len(self._waiting) >= self._limit or self._goodbye is not None:
                return False
            self._waiting.append(message)
        self._start()
        return True

    def close(self, code: int, reason: str) -> None:
        """End the connection, or have it ended as soon as it is there. From any thread."""
        with self._lock:
            self._goodbye = (code, reason)
            stream = self._stream
        if stream is not None:
            stream.shutdown(code, reason)

    def quiet_seconds(self, now: float) -> float:
        """Return for how long nothing was heard from the peer; `now` is a time.monotonic()."""
        return self._stream.quiet_seconds(now) if self._stream is not None else 0.0

    def _start(self) -> None:
        with self._lock:
            if self._is_sending or self._stream is None or not self._waiting:
                return
            self._is_sending = True
        try:
            spawn(self._run, self._stream)
        except OutOfThreads as error:
            with self._lock:
                self._is_sending = False
                self._waiting.clear()
            log.warning("messages to a peer are dropped: %s", error)

    def _run(self, stream: WebSocketStream) -> None:
        while (message := self._next()) is not None:
            try:
                stream.send_control(message)
            except (CodewireError, OSError) as error:
                log.debug("a peer is gone: %s", error)
                with self._lock:
                    self._waiting.clear()

    def _next(self) -> dict[str, Any] | None:
        with self._lock:
            if not self._waiting:
                self._is_sending = False
                return None
            return self._waiting.pop(0)
