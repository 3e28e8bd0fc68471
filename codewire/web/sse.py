"""A stream of events to a browser or a script (text/event-stream, WHATWG HTML 9.2).

Whoever makes events never waits for a reader: each has a bounded queue, and one that falls behind
is cut off. It comes back by itself and says what it has (Last-Event-ID).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from codewire.io.peers import has_hung_up
from codewire.wire.http import encode_head

if TYPE_CHECKING:
    from codewire.web.request import Request, Transport

# Below what proxies wait for; it is also when a reader that has left is noticed.
HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": keepalive\n\n"
# At once, so that nobody waits for the first event to see the head (proxies hold back a lone one).
GREETING = b": connected\n\n"
# What one reader may lag behind.
MAX_EVENTS = 1024
MAX_BYTES = 1 << 20
# A reader that takes no byte for so long is cut off.
SEND_SECONDS = 30.0

FIELDS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache, no-store"),
    ("X-Accel-Buffering", "no"),
    ("X-Content-Type-Options", "nosniff"),
    # Its end is the connection's.
    ("Connection", "close"),
)
HEAD = encode_head("HTTP/1.1 200 OK", FIELDS)


def encode_event(data: str, event: str = "", identity: str = "") -> bytes:
    """Return one event. Raises ValueError for a line break in its kind or identity.

    >>> encode_event("a\\nb", "note", "7")
    b'id: 7\\nevent: note\\ndata: a\\ndata: b\\n\\n'
    """
    lines = []
    for name, value in (("id", identity), ("event", event)):
        if any(character in value for character in "\r\n\0"):
            raise ValueError(f"line break in an event's {name}")
        if value:
            lines.append(f"{name}: {value}")
    lines += [
        f"data: {line}" for line in data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    ]
    return ("\n".join(lines) + "\n\n").encode()


class EventStream:
    """One reader's events: returned by a handler, fed from anywhere until `is_over`."""

    def __init__(
        self,
        on_end: Callable[[], None] = lambda: None,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`on_end` is called once when nobody reads any more; it must not block."""
        self._on_end = on_end
        self._heartbeat_seconds = heartbeat_seconds
        # Lists and bare locks: there may be thousands of readers, and most have nothing to read.
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._lock = threading.Lock()
        # Held but when there is something for the reader to look at.
        self._news = threading.Lock()
        self._news.acquire()
        self.is_over = False

    def send(self, data: str, event: str = "", identity: str = "") -> bool:
        """Queue an event; False when the reader has gone or is too far behind. Never blocks.

        Raises ValueError for a line break in `event` or `identity`.
        """
        return self.send_encoded(encode_event(data, event, identity))

    def send_encoded(self, encoded: bytes) -> bool:
        """Queue what `encode_event` returned, which many readers may share. As `send`."""
        with self._lock:
            if self.is_over:
                return False
            if len(self._waiting) >= MAX_EVENTS or self._bytes + len(encoded) > MAX_BYTES:
                # What it has been sent stays whole; the rest it asks for again.
                self._waiting.clear()
                self.is_over = True
            else:
                self._waiting.append(encoded)
                self._bytes += len(encoded)
            self._tell()
            return not self.is_over

    def _tell(self) -> None:
        """Wake the reader; under the lock. Only it takes the news."""
        if self._news.locked():
            self._news.release()

    @property
    def has_room(self) -> bool:
        """Say whether a reader keeps up: half of what may wait for it is free."""
        return len(self._waiting) < MAX_EVENTS // 2 and self._bytes < MAX_BYTES // 2

    def end(self) -> None:
        """End the stream once what is queued has been sent. Idempotent."""
        with self._lock:
            self.is_over = True
            self._tell()

    def run(self, transport: Transport, request: Request, received: bytes) -> None:
        """Send events until the stream ends or the reader has gone."""
        try:
            transport.settimeout(SEND_SECONDS)
            is_head = request.head.method == "HEAD"
            # Nobody needs it any more.
            del request
            transport.sendall(HEAD if is_head else HEAD + GREETING)
            while not is_head and (data := self._next()):
                if data == HEARTBEAT and has_hung_up(transport.fileno()):
                    return
                transport.sendall(data)
        finally:
            self.end()
            self._on_end()

    def _next(self) -> bytes:
        """Return all that is queued, a heartbeat when that is long nothing, b"" at the end."""
        if not self.is_over:
            self._news.acquire(timeout=self._heartbeat_seconds)
        with self._lock:
            # The news may have come as the time was up.
            self._news.acquire(blocking=False)
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            return data or (b"" if self.is_over else HEARTBEAT)
