"""Keeps WebSockets honest: pings the quiet ones, ends the dead and those that will not."""

from __future__ import annotations

import logging
import threading
import time

from codewire.io.websockets import CLOSE_SECONDS, WebSocketStream

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
# Often enough for the proxies and NATs on the way, which forget a quiet connection after a minute.
PING_SECONDS = 30.0
DEAD_SECONDS = 75.0


class Watchdog:
    """Looks after every WebSocket of a server; asleep while there is none."""

    def __init__(
        self, ping_seconds: float = PING_SECONDS, dead_seconds: float = DEAD_SECONDS
    ) -> None:
        """A peer quiet for `ping_seconds` is pinged, one for `dead_seconds` is ended."""
        self._ping_seconds, self._dead_seconds = ping_seconds, dead_seconds
        self._pinged: dict[WebSocketStream, float] = {}
        self._has_any = threading.Event()

    def add(self, stream: WebSocketStream) -> None:
        """Look after a connection."""
        self._pinged[stream] = time.monotonic()
        self._has_any.set()

    def remove(self, stream: WebSocketStream) -> None:
        """Forget a connection; before it is closed."""
        self._pinged.pop(stream, None)

    def run(self) -> None:
        """Do so for ever."""
        while True:
            if not self._pinged:
                self._has_any.clear()
                # One that came in between has set it again, or is seen here.
                if not self._pinged:
                    self._has_any.wait()
            time.sleep(TICK_SECONDS)
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Look at every connection once; `now` is a time.monotonic()."""
        for stream, pinged in list(self._pinged.items()):
            try:
                self._check(stream, pinged, now)
            except Exception:
                # Costs this connection at most, never the look after the others.
                log.exception("looking after a connection failed")

    def _check(self, stream: WebSocketStream, pinged: float, now: float) -> None:
        quiet = stream.quiet_seconds(now)
        closing = stream.closing_since
        if quiet > self._dead_seconds or (closing is not None and now - closing > CLOSE_SECONDS):
            stream.abort()
        elif quiet > self._ping_seconds and now - pinged > self._ping_seconds:
            self._ping(stream, now)

    def _ping(self, stream: WebSocketStream, now: float) -> None:
        if stream in self._pinged:
            self._pinged[stream] = now
            stream.ping()
