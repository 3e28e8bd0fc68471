"""The server: accepts within its limits, gives each connection a greenlet or thread, and ends.

The listening socket is given and stays its giver's; who serves what is the router's.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from codewire.errors import OutOfThreads
from codewire.io.accepting import accept_connections
from codewire.io.wait import spawn
from codewire.web.connection import NO_ROOM, Connection, Limits, Site, shut
from codewire.web.router import Router
from codewire.wire.http import Answer, encode_answer, plain

if TYPE_CHECKING:
    import ssl

# For the last answers and goodbyes, before connections are cut.
STOP_SECONDS = 5.0
# The part of it that is left for those that are cut to notice.
CUT_PART = 0.2

TOO_MANY = plain(503, "too many connections", (("Retry-After", "10"),))
TOO_MANY_FROM_ONE = plain(429, "too many connections from your address", (("Retry-After", "10"),))


class Server:
    """Serves a router's handlers. `run` accepts; `stop` ends it, from any thread."""

    def __init__(
        self,
        listener: socket.socket,
        router: Router,
        *,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        tls_only: bool = False,
        who: str = "a client",
    ) -> None:
        """With `tls`, HTTPS and (not if `tls_only`) HTTP share the port. `who` is for the log."""
        self._listener = listener
        self._site = Site(router, limits or Limits(), tls, tls_only)
        self._who = who
        # Guards everything below; told when a connection is over.
        self._changed = threading.Condition()
        self._connections: dict[Connection, None] = {}
        # Those whose first head is not there yet, oldest first.
        self._crowd: dict[Connection, None] = {}
        # Connections nobody vouched for, and how many each address has of them.
        self._unknown: set[Connection] = set()
        self._addresses: Counter[str] = Counter()
        self._is_stopping = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def run(self) -> None:
        """Serve until `stop`. Raises OSError when the listener is broken for good."""
        # Before TLS no answer could be read.
        refusal = b"" if self._site.tls_only else encode_answer(NO_ROOM)
        try:
            accept_connections(self._listener, self._admit, refusal, self._who)
        except OSError:
            if not self._is_stopping:
                raise

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Stop accepting and end what is served; say whether all of it ended by itself.

        Streams and upgrades are ended at once, answers on their way are finished; what is left
        near the end of `seconds` is cut. The listener is shut for all who share it.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            self._is_stopping = True
            connections = list(self._connections)
        shut(self._listener)
        for connection in connections:
            connection.end()
        if self._await_end(deadline - seconds * CUT_PART):
            return True
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            connection.abort()
        self._await_end(deadline)
        return False

    def _await_end(self, deadline: float) -> bool:
        with self._changed:
            while self._connections and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._connections

    def _admit(self, sock: socket.socket, address: Any) -> None:
        """Serve a new connection. Raises OutOfThreads, MemoryError."""
        host = str(address[0]) if address else ""
        with self._changed:
            if self._is_stopping:
                sock.close()
                return
            connection = Connection(sock, host, self._site, self._refusal(host))
            oldest = self._enter(connection)
        if oldest is not None:
            oldest.abort()
        try:
            spawn(self._serve, connection)
        except (OutOfThreads, MemoryError):
            self._forget(connection)
            raise

    def _refusal(self, host: str) -> Answer | None:
        """Return what a connection too many is told, once it can be heard out."""
        limits = self._site.limits
        if limits.connections and len(self._connections) >= limits.connections:
            return TOO_MANY
        if not limits.per_address or limits.is_exempt(host):
            return None
        return TOO_MANY_FROM_ONE if self._addresses[host] >= limits.per_address else None

    def _enter(self, connection: Connection) -> Connection | None:
        """Note a connection that has yet to say what it wants; return who must make room for it."""
        oldest = None
        if len(self._crowd) >= self._site.limits.heads:
            oldest = next(iter(self._crowd))
            del self._crowd[oldest]
        self._crowd[connection] = self._connections[connection] = None
        self._unknown.add(connection)
        self._addresses[connection.address] += 1
        return oldest

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve(lambda: self._leave_crowd(connection), lambda: self._vouch(connection))
        finally:
            self._forget(connection)

    def _leave_crowd(self, connection: Connection) -> None:
        with self._changed:
            self._crowd.pop(connection, None)

    def _vouch(self, connection: Connection) -> None:
        with self._changed:
            self._count_no_longer(connection)

    def _count_no_longer(self, connection: Connection) -> None:
        if connection in self._unknown:
            self._unknown.remove(connection)
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]

    def _forget(self, connection: Connection) -> None:
        with self._changed:
            self._crowd.pop(connection, None)
            self._connections.pop(connection, None)
            self._count_no_longer(connection)
            self._changed.notify_all()
