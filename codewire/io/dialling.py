"""Opening a WebSocket at a URL: through a proxy where there is one, TLS, the handshake.

What an answer other than the upgrade means is its caller's business (Declined).
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from codewire import __version__
from codewire.errors import CodewireError, NodeUnreachable
from codewire.io.outbound import connect, secure
from codewire.io.proxies import proxy_for
from codewire.io.tcp import read_head
from codewire.io.websockets import WebSocketStream
from codewire.wire import handshake, http

if TYPE_CHECKING:
    from codewire.io.outbound import Address
    from codewire.io.tls import TlsSocket
    from codewire.wire.http import Fields

# What a server takes in one message that does not say so (spec/wire.md 1).
UNKNOWN_LIMIT = 32768

# A poll(2) that promises room promises a third of this (tcp_sendmsg); the kernel allows as much
# without being asked. An attachment's 16 KiB frames then never block it.
SEND_BUFFER_BYTES = 212992


class Declined(CodewireError):
    """The server answered with something else than an upgrade; `body` is what came with it."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"the server answered {status}")
        self.status = status
        self.body = body


class Trust(NamedTuple):
    """How a server's certificate is checked: by these authorities ("": the system's), or not."""

    ca: str = ""
    insecure: bool = False


def dial_websocket(
    address: Address, fields: Fields, deadline: float, trust: Trust, *, awaits_close: bool = False
) -> WebSocketStream:
    """Return an open WebSocket; the caller closes it. `deadline` is a time.monotonic().

    Raises Declined, NodeUnreachable, NodeRefused, ConnectionLost, ProtocolError, TimeoutError.
    """
    proxy = proxy_for(address.host, address.port, address.is_secure, os.environ)
    sock = connect(address, proxy, deadline)
    transport: socket.socket | TlsSocket = sock
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        transport = secure(sock, address, deadline, trust.ca, trust.insecure)
        limit, rest = _shake_hands(transport, address, fields, deadline)
    except BaseException:
        sock.close()
        raise
    transport.settimeout(None)
    peer_limit = limit or UNKNOWN_LIMIT
    stream = WebSocketStream(
        transport, is_server=False, peer_limit=peer_limit, received=rest, awaits_close=awaits_close
    )
    # One of ours does, and has said that it is one.
    stream.answers_pings = bool(limit)
    return stream


def _shake_hands(
    transport: socket.socket | TlsSocket, address: Address, fields: Fields, deadline: float
) -> tuple[int, bytes]:
    """Turn the connection into a WebSocket; return the server's limit and early bytes.

    The limit is 0 where it names none.
    """
    key = handshake.new_key(os.urandom(handshake.KEY_BYTES))
    fields = (("User-Agent", f"codewire/{__version__}"), *fields)
    request = handshake.upgrade_request(address.authority, address.path, key, fields)
    try:
        transport.sendall(request)
    except TimeoutError:
        raise
    except OSError as error:
        raise NodeUnreachable((error.strerror or str(error)).lower()) from error
    data, rest = read_head(transport, deadline)
    head = http.parse_head(data)
    status = handshake.status_of(head)
    if status != 101:
        raise Declined(status, rest)
    return handshake.check_response(head, key), rest
