"""The WebSocket upgrade: from an HTTP request to a stream of messages somebody serves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from codewire.io.watchdog import Watchdog
from codewire.io.websockets import WebSocketStream
from codewire.wire.handshake import check_upgrade, is_cross_origin, upgrade_response
from codewire.wire.http import Answer, plain
from codewire.wire.websocket import GOING_AWAY, MAX_MESSAGE

if TYPE_CHECKING:
    from codewire.web.request import Request, Transport

# The answer is smaller than any socket's buffer.
SEND_SECONDS = 10.0


def upgrade(
    request: Request,
    serve: Callable[[WebSocketStream], None],
    watchdog: Watchdog,
    max_message: int = MAX_MESSAGE,
    on_end: Callable[[], None] = lambda: None,
) -> Answer | WebSocketUpgrade:
    """Return what makes a request a WebSocket that `serve` serves, or why it is none.

    A message of more than `max_message` bytes ends it (1009). `on_end` is called when an accepted
    one is over, also one that `serve` never saw. A page from elsewhere in a browser is refused
    (403): it would come with its user's rights.
    """
    refusal = check_upgrade(request.head)
    if refusal is not None:
        return refusal
    if is_cross_origin(request.head):
        return plain(403, "cross-origin requests are refused")
    if request.field("Transfer-Encoding") or request.field("Content-Length").strip("0"):
        return plain(400, "a WebSocket upgrade has no body")
    return WebSocketUpgrade(serve, watchdog, max_message, on_end)


class WebSocketUpgrade:
    """An accepted upgrade. `serve` has the stream until it returns, and should close it."""

    def __init__(
        self,
        serve: Callable[[WebSocketStream], None],
        watchdog: Watchdog,
        max_message: int,
        on_end: Callable[[], None],
    ) -> None:
        self._serve = serve
        self._watchdog = watchdog
        self._max_message = max_message
        self._on_end = on_end
        self._stream: WebSocketStream | None = None
        self._is_ended = False
        self._lock = threading.Lock()

    def run(self, transport: Transport, request: Request, received: bytes) -> None:
        """Answer 101 and serve the stream to its end, in the watchdog's care."""
        try:
            transport.settimeout(SEND_SECONDS)
            transport.sendall(upgrade_response(request.head, self._max_message))
            # Nobody needs it any more, and there may be thousands.
            del request
            transport.settimeout(None)
            self._serve_stream(
                WebSocketStream(
                    transport, is_server=True, received=received, max_message=self._max_message
                )
            )
        finally:
            self._on_end()

    def _serve_stream(self, stream: WebSocketStream) -> None:
        with self._lock:
            self._stream, is_ended = stream, self._is_ended
        self._watchdog.add(stream)
        try:
            if is_ended:
                stream.shutdown(GOING_AWAY)
            self._serve(stream)
        finally:
            self._watchdog.remove(stream)
            stream.close()

    def end(self) -> None:
        """Say goodbye (1001, RFC 6455 7.4.1); the watchdog sees to who does not answer it."""
        with self._lock:
            self._is_ended, stream = True, self._stream
        if stream is not None:
            stream.shutdown(GOING_AWAY)
