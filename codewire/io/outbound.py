"""Connections to other machines by URL: through a proxy where there is one, and TLS.

Whose protocol follows is not its business: client/reach/remote.py opens WebSockets, network/ asks
a relay.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from codewire.errors import NodeRefused, NodeUnreachable, ProtocolError
from codewire.io.tcp import dial_tcp, join_address, read_head
from codewire.wire import handshake, http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codewire.io.proxies import Proxy
    from codewire.io.tls import TlsSocket

# A proxy or load balancer whose server is just not there: worth trying again.
TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))
# The schemes that mean TLS.
SECURE = frozenset(("wss", "https"))


class Address(NamedTuple):
    """A URL taken apart. `authority` is what the Host field says."""

    is_secure: bool
    host: str
    port: int
    authority: str
    path: str


def parse_address(url: str, ports: Mapping[str, int], problem: str) -> Address:
    """Take a URL apart whose scheme is one of `ports`, each with its default port.

    Raises NodeRefused, with the words `problem` for what is no such URL.
    """
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    # A second scheme: one we do not know, behind the one that was put before it.
    is_odd = "@" in authority or "?" in authority or "://" in rest
    if scheme not in ports or not authority or is_odd:
        raise NodeRefused(problem)
    host, port = authority, ""
    if not authority.endswith("]"):
        before, colon, after = authority.rpartition(":")
        if colon:
            host, port = before, after
    host = host.removeprefix("[").removesuffix("]")
    if not host or (port and not (port.isascii() and port.isdigit() and int(port) <= 0xFFFF)):
        raise NodeRefused(f"bad host or port in {authority!r}")
    number = int(port) if port else ports[scheme]
    return Address(scheme in SECURE, host, number, authority, slash + path)


def connect(address: Address, proxy: Proxy | None, deadline: float) -> socket.socket:
    """Return a socket to the server, or through a proxy's tunnel to it. The caller closes it.

    `deadline` is a time.monotonic(). Raises NodeUnreachable, NodeRefused, ConnectionLost,
    ProtocolError, TimeoutError.
    """
    timeout = max(0.1, deadline - time.monotonic())
    if proxy is None:
        return dial_tcp(address.host, address.port, timeout)
    try:
        sock = dial_tcp(proxy.host, proxy.port, timeout)
    except NodeUnreachable as error:
        raise NodeUnreachable(f"proxy {proxy.host}:{proxy.port}: {error}") from error
    try:
        _open_tunnel(sock, proxy, join_address((address.host, address.port)), deadline)
    except BaseException:
        sock.close()
        raise
    return sock


def _open_tunnel(sock: socket.socket, proxy: Proxy, authority: str, deadline: float) -> None:
    fields = (("Proxy-Authorization", proxy.authorization),) if proxy.authorization else ()
    sock.sendall(handshake.connect_request(authority, fields))
    data, rest = read_head(sock, deadline)
    status = handshake.status_of(http.parse_head(data))
    if status != 200:
        kind = NodeUnreachable if status in TRANSIENT else NodeRefused
        raise kind(f"proxy {proxy.host}:{proxy.port} answered {status}")
    if rest:
        raise ProtocolError("the proxy spoke before the server")


def secure(
    sock: socket.socket, address: Address, deadline: float, ca: str = "", insecure: bool = False
) -> socket.socket | TlsSocket:
    """Return the socket, or TLS over it where the address asks for that.

    Raises NodeRefused with what is wrong with the peer, ConfigError for a bad `ca`.
    """
    if not address.is_secure:
        return sock
    from codewire.io.tls import TlsSocket, client_context

    tls = TlsSocket(sock, client_context(ca, insecure), hostname=address.host)
    tls.handshake(deadline)
    return tls
