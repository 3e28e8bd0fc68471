"""Dials a node over TCP: proxy, TLS, WebSocket handshake, and plain words for what fails.

Imported for remote targets only. Which URL and token is target.py's business.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from codewire import __version__
from codewire.errors import ConnectionLost, NodeRefused, NodeUnreachable, ProtocolError
from codewire.io.deadline import NEVER, Deadline
from codewire.io.outbound import TRANSIENT, Address, connect, parse_address, secure
from codewire.io.proxies import proxy_for
from codewire.io.tcp import read_head
from codewire.io.websockets import WebSocketStream
from codewire.wire import handshake, http

if TYPE_CHECKING:
    from codewire.client.reach.target import Target
    from codewire.io.tls import TlsSocket

# All of it: name look-up, connect, proxy, TLS, handshake.
DIAL_SECONDS = 10.0

# What a node of another make takes in one message (spec/wire.md 1); ours names its own limit.
OTHER_NODES_LIMIT = 32768

# A poll(2) that promises room promises a third of this (tcp_sendmsg); the kernel allows as much
# without being asked. An attachment's 16 KiB frames then never block it.
SEND_BUFFER_BYTES = 212992

DEFAULT_PORTS = {"ws": 80, "wss": 443}
MAX_REASON = 400


def dial(target: Target, deadline: Deadline = NEVER) -> WebSocketStream:
    """Return a connection to a remote node, ready for its first request. The caller closes it.

    Blocks until the deadline, DIAL_SECONDS at most. Raises NodeUnreachable, and NodeRefused where
    trying again is of no use.
    """
    where = f"connecting to remote server: {target.url}"
    timeout = deadline.within(DIAL_SECONDS).left() or 0.0
    try:
        return _dial(target, parse_url(target.url), time.monotonic() + timeout)
    except NodeRefused as error:
        raise NodeRefused(f"{where}: {error}") from error
    except (NodeUnreachable, ConnectionLost) as error:
        raise NodeUnreachable(f"{where}: {error}") from error
    except ProtocolError as error:
        raise NodeRefused(f"{where}: {error}") from error
    except TimeoutError as error:
        raise NodeUnreachable(f"{where}: no answer within {timeout:.3g}s") from error


def parse_url(url: str) -> Address:
    """Take a ws:// or wss:// URL apart. Raises NodeRefused for one that cannot be dialled."""
    return parse_address(url, DEFAULT_PORTS, "not a URL of a node, such as wss://host:9100")


def _dial(target: Target, address: Address, deadline: float) -> WebSocketStream:
    proxy = proxy_for(address.host, address.port, address.is_secure, os.environ)
    sock = connect(address, proxy, deadline)
    transport: socket.socket | TlsSocket = sock
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        transport = secure(sock, address, deadline, target.ca, target.insecure)
        limit, rest = _shake_hands(transport, target, address, deadline)
    except BaseException:
        sock.close()
        raise
    transport.settimeout(None)
    return WebSocketStream(transport, is_server=False, peer_limit=limit, received=rest)


def _shake_hands(
    transport: socket.socket | TlsSocket, target: Target, address: Address, deadline: float
) -> tuple[int, bytes]:
    """Turn the connection into a WebSocket; return the node's message limit and early bytes."""
    key = handshake.new_key(os.urandom(handshake.KEY_BYTES))
    fields: tuple[tuple[str, str], ...] = (("User-Agent", f"codewire/{__version__}"),)
    if target.token:
        fields = (*fields, ("Authorization", f"Bearer {target.token}"))
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
        raise _refusal(status, bool(target.token), rest)
    return handshake.check_response(head, key) or OTHER_NODES_LIMIT, rest


def _refusal(status: int, has_token: bool, body: bytes) -> NodeUnreachable:
    """Return the error that says what an answer other than the upgrade means."""
    if status == 401 or (status == 429 and has_token):
        if has_token:
            return NodeRefused("the node does not accept this token")
        return NodeRefused("the node asks for a token: use --token, or save it with the server")
    if status == 403:
        return NodeRefused("the node, or a proxy in front of it, refuses this client (403)")
    if status == 404:
        return NodeRefused("there is no node at this URL (404)")
    if 300 <= status < 400:
        return NodeRefused(f"the URL redirects elsewhere ({status}); use the final one")
    if status in TRANSIENT:
        # A node without a worker says why; a proxy's page of HTML is of no use to anyone.
        line = body[:MAX_REASON].decode("utf-8", "replace").partition("\n")[0].strip()
        reason = f": {line}" if line.isprintable() and line and "<" not in line else ""
        return NodeUnreachable(f"the server answered {status}{reason}")
    return NodeRefused(f"the server answered {status} instead of opening a WebSocket")
