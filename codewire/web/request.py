"""What a handler is given and what it may return.

A handler is `(Request) -> Answer | Takeover`. It may block, for as long as it says itself: the
server bounds what comes before it and what goes out after it. It knows no sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from codewire.wire.http import Answer, Head

if TYPE_CHECKING:
    import socket

    from codewire.io.tls import TlsSocket

    Transport = socket.socket | TlsSocket


def _nobody_counts() -> None:
    pass


class Request(NamedTuple):
    """One request, read whole.

    `values` are the segments its route names, decoded once; `address` is the peer's, as text.
    `vouch` is for a handler that knows who asks: the connection counts no longer among those of
    its address that nobody knows.
    """

    head: Head
    body: bytes = b""
    values: dict[str, str] = {}
    address: str = ""
    is_encrypted: bool = False
    vouch: Callable[[], None] = _nobody_counts

    def field(self, name: str) -> str:
        """Return a field's value, "" when it is not there; `name` in any case."""
        return self.head.fields.get(name.lower(), "")

    @property
    def last_event_id(self) -> str:
        """The last event a returning reader of a stream has, "" for none (SSE, Last-Event-ID)."""
        return self.field("last-event-id")


class Takeover(Protocol):
    """An answer that keeps the connection: a stream of events, another protocol."""

    def run(self, transport: Transport, request: Request, received: bytes) -> None:
        """Use the connection until it ends; the server closes it afterwards.

        `received` came behind the request. Called once, whatever happened since the handler
        returned it. May raise OSError and CodewireError, which end this connection only.
        """

    def end(self) -> None:
        """Have `run` return soon, with a goodbye: the server stops. From any thread; repeatable.

        Soon after, the socket is shut down under a `run` that still blocks on it.
        """


Handler = Callable[[Request], "Answer | Takeover"]
