"""One HTTP exchange with a relay: a request, its answer within a limit and a deadline.

A connection for each: a command asks once or twice, a node every few minutes. Bytes and statuses;
what they mean is relay.py's business.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from codewire.errors import (
    ConnectionLost,
    NodeRefused,
    NodeUnreachable,
    ProtocolError,
    RelayError,
    RelayUnreachable,
)
from codewire.io.outbound import Address, connect, parse_address, secure
from codewire.io.proxies import proxy_for
from codewire.io.tcp import read_head, receive_before
from codewire.wire import handshake, http

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from types import TracebackType

    from codewire.io.tls import TlsSocket

PORTS = {"http": 80, "https": 443}
# More than any list of a relay has, KV values apart.
MAX_BODY = 16 << 20
# Informational answers (RFC 9110 15.2) before the real one.
MAX_INFORMATIONAL = 10


class Server(NamedTuple):
    """Where a relay is, and how its certificate is checked (io/tls.py)."""

    url: str
    ca: str = ""
    insecure: bool = False


class Request(NamedTuple):
    """What is asked. `path` begins with a slash and is encoded already; fields beside Host."""

    method: str
    path: str
    body: bytes | None = None
    fields: http.Fields = ()


def parse_base(url: str) -> Address:
    """Take a relay's base URL apart; a path prefix is kept. Raises RelayError."""
    try:
        return parse_address(
            url.strip().rstrip("/"), PORTS, f"{url!r} is not a URL of a relay, such as https://host"
        )
    except NodeRefused as error:
        raise RelayError(str(error)) from error


class Exchange:
    """A request on its way and its answer; a context manager, which closes the connection.

    `status` and `fields` are there at once, the body as it is read.
    """

    def __init__(self, server: Server, request: Request, seconds: float) -> None:
        """Ask. Blocks for `seconds` at most. Raises RelayUnreachable, RelayError."""
        self._server = server
        self._address = parse_base(server.url)
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._transport: socket.socket | TlsSocket | None = None
        with _Words(self):
            self._transport = self._dial()
            self._transport.sendall(self._encode(request))
            head, self._received = self._read_head()
        self.status = handshake.status_of(head)
        self.fields = head.fields

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._transport is not None:
            self._transport.close()

    def _dial(self) -> socket.socket | TlsSocket:
        address = self._address
        proxy = proxy_for(address.host, address.port, address.is_secure, os.environ)
        sock = connect(address, proxy, self._deadline)
        try:
            return secure(sock, address, self._deadline, self._server.ca, self._server.insecure)
        except BaseException:
            sock.close()
            raise

    def _encode(self, request: Request) -> bytes:
        fields = (("Host", self._address.authority), *request.fields, ("Connection", "close"))
        if request.body is not None:
            fields = (*fields, ("Content-Length", str(len(request.body))))
        target = f"{self._address.path}{request.path}"
        return http.encode_head(f"{request.method} {target} HTTP/1.1", fields) + (
            request.body or b""
        )

    def _read_head(self) -> tuple[http.Head, bytearray]:
        received = b""
        for _ in range(MAX_INFORMATIONAL):
            data, received = read_head(_Ahead(self._open, received), self._deadline)
            head = http.parse_head(data)
            if handshake.status_of(head) >= 200:
                return head, bytearray(received)
        raise ProtocolError("the answer does not begin")

    @property
    def _open(self) -> socket.socket | TlsSocket:
        assert self._transport is not None
        return self._transport

    def read(self, limit: int = MAX_BODY) -> bytes:
        """Return the whole body. Raises RelayError beyond `limit` bytes."""
        body = bytearray()
        for piece in self.pieces(limit=limit):
            body += piece
            if len(body) > limit:
                raise RelayError(f"{self.name}: the answer is too large")
        return bytes(body)

    def beginning(self, limit: int) -> bytes:
        """Return some of the body, about `limit` bytes; less where the connection fails."""
        body = bytearray()
        try:
            for piece in self.pieces():
                body += piece
                if len(body) >= limit:
                    break
        except RelayError:
            pass
        return bytes(body[:limit])

    def pieces(self, *, limit: int = MAX_BODY, silence: float | None = None) -> Iterator[bytes]:
        """Yield the body as it comes, each piece within the deadline, or within `silence` seconds.

        Raises RelayUnreachable when the connection ends before the body does.
        """
        with _Words(self):
            framing = _framing(self.status, self.fields, limit)
            while True:
                is_whole = framing.take(self._received)
                if framing.data:
                    yield bytes(framing.data)
                    framing.data.clear()
                if is_whole:
                    return
                if silence is not None:
                    self._deadline, self._seconds = time.monotonic() + silence, silence
                data = receive_before(self._open, self._deadline)
                if not data:
                    if framing.ends_with_connection:
                        return
                    raise ConnectionLost("the connection ended in the middle of the answer")
                self._received += data

    @property
    def name(self) -> str:
        """Return what the relay is called in messages."""
        return f"relay {self._server.url}"

    def too_late(self) -> str:
        """Return the words for a deadline that passed."""
        return f"no answer within {self._seconds:.3g}s"


class _Ahead:
    """A transport that begins with bytes that were received already."""

    def __init__(self, transport: socket.socket | TlsSocket, received: bytes) -> None:
        self._transport = transport
        self._received = received

    def settimeout(self, seconds: float | None) -> None:
        self._transport.settimeout(seconds)

    def recv(self, limit: int) -> bytes:
        data, self._received = self._received, b""
        return data or self._transport.recv(limit)


class _Words:
    """Turns what fails on the way into one line with the relay's URL."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, (GeneratorExit, RelayError)):
            return
        self._exchange.close()
        name = self._exchange.name
        if isinstance(error, TimeoutError):
            raise RelayUnreachable(f"{name}: {self._exchange.too_late()}") from error
        if isinstance(error, NodeRefused):
            raise RelayError(f"{name}: {error}") from error
        if isinstance(error, (NodeUnreachable, ConnectionLost)):
            raise RelayUnreachable(f"{name} cannot be reached: {error}") from error
        if isinstance(error, OSError):
            cause = (error.strerror or str(error)).lower()
            raise RelayUnreachable(f"{name} cannot be reached: {cause}") from error
        if isinstance(error, http.BadRequest) and error.status == 413:
            raise RelayError(f"{name}: the answer is too large") from error
        if isinstance(error, ProtocolError):
            raise RelayError(f"{name} does not speak HTTP as it should: {error}") from error


class _Framing:
    """A body of a known length, or in chunks."""

    ends_with_connection = False

    def __init__(self, length: int, limit: int) -> None:
        self._body = http.Body(length, limit)
        self.data = self._body.data

    def take(self, received: bytearray) -> bool:
        return self._body.take(received)


class _Rest:
    """A body that ends with its connection."""

    ends_with_connection = True

    def __init__(self) -> None:
        self.data = bytearray()

    def take(self, received: bytearray) -> bool:
        self.data += received
        received.clear()
        return False


def _framing(status: int, fields: dict[str, str], limit: int) -> _Framing | _Rest:
    """Return how an answer's body ends (RFC 9112 6.3)."""
    if status in (204, 304):
        return _Framing(0, limit)
    coding, length = fields.get("transfer-encoding"), fields.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked":
            raise ProtocolError(f"transfer coding {coding}")
        return _Framing(http.CHUNKED, limit)
    if length is None:
        return _Rest()
    if not (length.isascii() and length.isdigit() and len(length) <= http.MAX_DIGITS):
        raise ProtocolError("malformed Content-Length")
    return _Framing(int(length), limit)
