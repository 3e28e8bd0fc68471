"""One connection of a server, from accept to close: TLS, requests one after the other, answers.

Every wait has its deadline (Limits); what a client does wrong is answered once and ends the
connection. Two requests of one connection are never at work at once.
"""

from __future__ import annotations

import enum
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from codewire.errors import CodewireError, ConnectionLost, OutOfThreads
from codewire.io.tcp import receive_before, tune
from codewire.io.wait import give_way
from codewire.web.request import Handler, Request, Takeover
from codewire.web.router import Match, Router
from codewire.wire.http import (
    CONTINUE,
    Answer,
    BadRequest,
    Body,
    Head,
    RequestReader,
    check_request,
    encode_answer,
    plain,
)

if TYPE_CHECKING:
    import ssl

    from codewire.web.request import Transport

log = logging.getLogger(__name__)

# A TLS record that begins a handshake (RFC 8446 5.1); no method of HTTP begins so.
TLS_HANDSHAKE = b"\x16"
# What a client that is closed on may take to stop sending and read the answer.
LINGER_SECONDS = 2.0
LINGER_BYTES = 65536

TIMED_OUT = plain(408, "request timeout")
FAILED = plain(500, "internal error; the log has the details")
NO_ROOM = plain(503, str(OutOfThreads()), (("Retry-After", "1"),))


class Limits(NamedTuple):
    """Seconds, and numbers of connections; 0 connections: any number."""

    # From accept, or a request's first byte, to the end of its head, TLS included.
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    # Between two requests; 0: a connection carries one.
    idle_seconds: float = 75.0
    # For one answer, however large.
    send_seconds: float = 30.0
    # Before their first head is there; one more, and the oldest is dropped. Whoever holds them
    # open (slow loris) loses them first.
    heads: int = 128
    connections: int = 4096
    # Of one address, those that no handler vouched for (Request.vouch).
    per_address: int = 256
    # Addresses without that bound: those behind one proxy share its address.
    is_exempt: Callable[[str], bool] = lambda address: False


class Site(NamedTuple):
    """What a server's connections share. With `tls_only`, nobody is served in the clear."""

    router: Router
    limits: Limits = Limits()
    tls: ssl.SSLContext | None = None
    tls_only: bool = False


class Phase(enum.Enum):
    """What a connection is at."""

    # For a request's head: nobody misses it.
    WAITING = 1
    ANSWERING = 2
    TAKEN_OVER = 3


class Connection:
    """One client's connection. `serve` runs once; `end` and `abort` come from any thread."""

    def __init__(
        self, sock: socket.socket, address: str, site: Site, refusal: Answer | None = None
    ) -> None:
        """`refusal`, if given, is what its first request is answered, whatever it asks."""
        self.address = address
        self._sock = sock
        self._transport: Transport = sock
        self._site, self._limits = site, site.limits
        self._refusal = refusal
        self._reader = RequestReader()
        self._deadline = time.monotonic() + self._limits.head_seconds
        self._is_first = True
        self._lock = threading.Lock()
        self._phase = Phase.WAITING
        self._takeover: Takeover | None = None
        # The request of what takes over.
        self._requests: list[Request] = []
        self._is_ended = False

    def serve(self, after_head: Callable[[], None], vouch: Callable[[], None]) -> None:
        """Serve the connection until it ends, and close it; what goes wrong harms only itself.

        `after_head` is called when a request's head is there, `vouch` when a handler says so.
        """
        self._vouch = vouch
        try:
            self._open()
            while self._serve_one(after_head):
                pass
            self._serve_takeover()
        except (CodewireError, OSError) as error:
            log.debug("client %s dropped: %s", self.address, error)
        finally:
            self._sock.close()

    def end(self) -> None:
        """End the connection: at once between requests, else with what is being answered."""
        with self._lock:
            self._is_ended = True
            phase, takeover = self._phase, self._takeover
        if takeover is not None:
            takeover.end()
        elif phase is Phase.WAITING:
            shut(self._sock)

    def abort(self) -> None:
        """End the connection now: whoever is blocked on it wakes."""
        self.end()
        shut(self._sock)

    def _enter(self, phase: Phase, takeover: Takeover | None = None) -> bool:
        """Note what the connection is at from now on; say whether it may go on."""
        with self._lock:
            self._phase, self._takeover = phase, takeover
            return not self._is_ended

    # Receiving

    def _open(self) -> None:
        """Find out whether the client speaks TLS, and if so shake hands."""
        tune(self._sock)
        tls = self._site.tls
        if tls is None or not (self._site.tls_only or self._begins_with_tls()):
            return
        from codewire.io.tls import TlsSocket

        self._transport = transport = TlsSocket(self._sock, tls)
        transport.handshake(self._deadline)

    def _begins_with_tls(self) -> bool:
        self._sock.settimeout(self._limits.head_seconds)
        return self._sock.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE

    def _serve_one(self, after_head: Callable[[], None]) -> bool:
        """Answer one request; return whether another may follow."""
        if not self._await_request():
            return False
        head: Head | None = None
        may_follow = False
        try:
            head = self._read_head()
            after_head()
            length = check_request(head)
            found = self._refusal or self._site.router.find(head)
            # Bytes of a body that nobody reads would be taken for the next request.
            is_read = not length or (isinstance(found, Match) and found.route.body_limit > 0)
            may_follow = is_read and head.keeps_alive and self._limits.idle_seconds > 0
            result = self._handle(head, length, found)
        except TimeoutError:
            result, may_follow = TIMED_OUT, False
        except BadRequest as error:
            result, may_follow = plain(error.status, str(error)), False
        if isinstance(result, Answer):
            return self._answer(result, head, may_follow and not self._refusal)
        assert head is not None
        self._hand_over(result, head)
        return False

    def _await_request(self) -> bool:
        """Wait for a request's first byte; False when none comes, or the server stops."""
        if self._is_first:
            self._is_first = False
            return not self._is_ended
        if not self._enter(Phase.WAITING):
            return False
        if not self._reader.has_bytes:
            idle = time.monotonic() + self._limits.idle_seconds
            try:
                data = receive_before(self._transport, idle)
            except TimeoutError:
                return False
            if not data:
                return False
            self._reader.feed(data)
        self._deadline = time.monotonic() + self._limits.head_seconds
        return True

    def _read_head(self) -> Head:
        while (head := self._reader.next_head()) is None:
            self._fill()
        if not self._enter(Phase.ANSWERING):
            raise ConnectionLost("the server stops")
        return head

    def _fill(self) -> None:
        data = receive_before(self._transport, self._deadline)
        if not data:
            raise ConnectionLost("connection closed within a request")
        self._reader.feed(data)

    def _read_body(self, head: Head, length: int, limit: int) -> bytes:
        body = Body(length, limit)
        self._deadline = time.monotonic() + self._limits.body_seconds
        is_whole = self._reader.take(body)
        if not is_whole and head.has_token("expect", "100-continue"):
            self._send(CONTINUE)
        while not is_whole:
            self._fill()
            is_whole = self._reader.take(body)
        return bytes(body.data)

    # Answering

    def _handle(self, head: Head, length: int, found: Match | Answer) -> Answer | Takeover:
        if isinstance(found, Answer):
            return found
        limit = found.route.body_limit
        body = self._read_body(head, length, limit) if length and limit else b""
        is_encrypted = self._transport is not self._sock
        request = Request(head, body, found.values, self.address, is_encrypted, self._vouch)
        return _call(found.route.handler, request)

    def _answer(self, answer: Answer, head: Head | None, may_follow: bool) -> bool:
        """Send an answer; return whether another request may follow."""
        may_follow = may_follow and not self._is_ended
        is_head = head is not None and head.method == "HEAD"
        self._send(encode_answer(answer, close=not may_follow, is_head=is_head))
        if not may_follow:
            linger(self._transport)
        return may_follow

    def _send(self, data: bytes) -> None:
        self._transport.settimeout(self._limits.send_seconds)
        self._transport.sendall(data)

    def _hand_over(self, takeover: Takeover, head: Head) -> None:
        self._requests.append(Request(head, address=self.address))
        if not self._enter(Phase.TAKEN_OVER, takeover):
            takeover.end()

    def _serve_takeover(self) -> None:
        """Have what took over serve the connection, with nothing left of the way there.

        There may be thousands, and they stay.
        """
        if self._takeover is not None:
            received = self._reader.rest()
            self._takeover.run(self._transport, self._requests.pop(), received)


def _call(handler: Handler, request: Request) -> Answer | Takeover:
    """Return what a handler says; its failures are answers, too."""
    try:
        return handler(request)
    except BadRequest as error:
        return plain(error.status, str(error))
    except (OutOfThreads, MemoryError):
        return NO_ROOM
    except Exception:
        log.exception("%s %s failed", request.head.method, request.head.path)
        return FAILED


def shut(sock: socket.socket) -> None:
    """Wake whoever is blocked on a socket; only that one closes it."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def linger(transport: Transport) -> None:
    """Let an answer arrive: closing with bytes unread would reset the connection under it."""
    deadline = time.monotonic() + LINGER_SECONDS
    try:
        transport.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            transport.settimeout(left)
            if not _discard(transport):
                return
            # Bytes that keep coming must not hold up the others.
            give_way()
    except OSError:
        return


def _discard(transport: Transport) -> bool:
    try:
        return bool(transport.recv(LINGER_BYTES))
    except BlockingIOError:
        # Part of a TLS record.
        return True
