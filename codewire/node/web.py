"""The node's door for other machines: what is served at which path, and who gets in.

web/ serves it and bounds everything before the WebSocket at /ws; after it a connection is served
like a local one. An address that cannot be bound is logged, and local clients are served all the
same.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from codewire.errors import CodewireError, ConfigError
from codewire.io.tcp import join_address, listen_tcp, resolve_listen
from codewire.io.watchdog import Watchdog
from codewire.io.websockets import WebSocketStream
from codewire.node.caller import token_caller
from codewire.node.context import Node
from codewire.node.logins import MAX_FAILURES, Logins
from codewire.node.server import serve
from codewire.web.connection import Limits
from codewire.web.request import Request, Takeover
from codewire.web.router import ANY, Router
from codewire.web.server import Server
from codewire.web.upgrade import upgrade
from codewire.wire.http import Answer, plain

if TYPE_CHECKING:
    import ssl

    from codewire.node.peers.serving import Peers

log = logging.getLogger(__name__)

# The name under which the keeper holds the listening socket for the next worker.
KEPT_NAME = "tcp"

# One request a connection, and no bound on those who have the token: they may all come through one
# proxy's address.
LIMITS = Limits(idle_seconds=0, connections=0, per_address=0)

# Whoever comes to /peer has shown nothing yet; no request of the RPC is longer.
MAX_PEER_MESSAGE = 1 << 20

UNAUTHORIZED = plain(401, "unauthorized", (("WWW-Authenticate", "Bearer"),))
SLOW_DOWN = plain(429, "too many failed logins", (("Retry-After", "60"),))


class Web:
    """Listens on the configured address and serves whoever has the token."""

    def __init__(self, node: Node, peers: Callable[[], Peers] | None = None) -> None:
        """`peers` returns what serves the peer RPC, made when somebody comes for it."""
        self._node = node
        self._peers = peers
        self._logins = Logins(node.paths.token)
        self._watchdog = Watchdog()

    def start(self, run: Callable[..., None]) -> None:
        """Begin to listen if the configuration says so; `run` starts a loop with its arguments.

        Raises OutOfThreads and no other CodewireError.
        """
        settings = self._node.settings
        if not settings.listen:
            self._drop_kept()
            return
        try:
            tls = self._tls_context()
            listener = self._listen(settings.listen)
        except CodewireError as error:
            log.error("not reachable from other machines: %s", error)
            self._drop_kept()
            return
        address = _address(listener)
        self._node.listening.append(join_address(address))
        scheme = "wss" if tls else "ws"
        log.info("listening url=%s://%s/ws", scheme, join_address(address))
        if not tls and not _is_loopback(address[0]):
            log.warning(
                "%s is not encrypted: the token and everything typed can be read on the way; "
                "set node.tls_cert and node.tls_key, or put a TLS proxy in front",
                join_address(address),
            )
        run(self._watchdog.run)
        run(self.server(listener, tls).run)

    def server(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> Server:
        """Return what serves a listener; with TLS, nobody in the clear."""
        router = self._router()
        return Server(
            listener, router, limits=LIMITS, tls=tls, tls_only=bool(tls), who="a remote client"
        )

    def _tls_context(self) -> ssl.SSLContext | None:
        """Return what TLS needs, None without a certificate. Raises ConfigError."""
        certificate, key = self._node.settings.tls_cert, self._node.settings.tls_key
        if not certificate:
            if key:
                # Whoever set it counts on encryption.
                raise ConfigError("node.tls_key is set, but node.tls_cert is not")
            return None
        from codewire.io.tls import server_context

        return server_context(self._path(certificate), self._path(key))

    def _path(self, path: str) -> str:
        """Return where a file of the configuration is: relative to the data directory."""
        return path and os.path.join(self._node.paths.root, os.path.expanduser(path))

    # The listening socket

    def _listen(self, listen: str) -> socket.socket:
        """Return the socket an earlier worker listened on, or a new one. Raises CodewireError."""
        family, wanted = resolve_listen(listen)
        kept = self._node.custody.hello.listeners.get(KEPT_NAME, -1)
        if kept >= 0:
            sock = socket.socket(fileno=os.dup(kept))
            if sock.family == family and _fits(sock, wanted):
                sock.setblocking(True)
                return sock
            sock.close()
            self._drop_kept()
        sock = listen_tcp(family, wanted)
        self._node.custody.keep(KEPT_NAME, os.dup(sock.fileno()))
        return sock

    def _drop_kept(self) -> None:
        """Stop listening where the configuration no longer says so."""
        kept = self._node.custody.hello.listeners.get(KEPT_NAME, -1)
        if kept >= 0:
            with socket.socket(fileno=os.dup(kept)) as sock:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    # Requests

    def _router(self) -> Router:
        """Return what is served. Bodies are nobody's here, and left unread."""
        router = Router()
        router.add(ANY, "/ws", self._open_socket, body_limit=0)
        if self._node.settings.has_nats:
            # What clients of a fleet ask for where external_url ends in /ws (spec/fleet.md 4.1).
            router.add(ANY, "/ws/ws", self._open_socket, body_limit=0)
        router.add(ANY, "/healthz", _say_healthy, body_limit=0)
        if self._peers is not None:
            router.add(ANY, "/peer", self._open_peer, body_limit=0)
        return router

    def _login(self, request: Request) -> str:
        """Return what a client says to be let in: a bearer, or of a fleet's old clients the query.

        The query is looked at where there is no field and a fleet is configured, and never logged.
        """
        field = request.field("Authorization")
        if field or not self._node.settings.has_nats:
            return field
        token = parse_qs(request.head.query).get("token", [""])[0]
        return f"Bearer {token}" if token else ""

    def _open_socket(self, request: Request) -> Answer | Takeover:
        """Serve whoever has the token: it comes first, then what an upgrade needs (wire.md 1)."""
        if not self._logins.accepts(self._login(request)):
            return self._refuse(request.address)

        def serve_stream(stream: WebSocketStream) -> None:
            serve(self._node, stream, token_caller(stream, request.address))

        return upgrade(request, serve_stream, self._watchdog)

    def _open_peer(self, request: Request) -> Answer | Takeover:
        """Serve the peer RPC, in which a visitor says who it is (spec/peer.md 2)."""
        assert self._peers is not None
        serve_messages = self._peers().serve_messages

        def serve_stream(stream: WebSocketStream) -> None:
            serve_messages(stream, request.address)

        return upgrade(request, serve_stream, self._watchdog, MAX_PEER_MESSAGE)

    def _refuse(self, address: str) -> Answer:
        if self._logins.note_failure(address) > MAX_FAILURES:
            return SLOW_DOWN
        log.warning("remote client %s refused: wrong or missing token", address)
        return UNAUTHORIZED


def _say_healthy(request: Request) -> Answer:
    return plain(200, "ok") if request.head.method in ("GET", "HEAD") else plain(405, "use GET")


def _address(sock: socket.socket) -> tuple[str, int]:
    host, port = sock.getsockname()[:2]
    return str(host), int(port)


def _fits(sock: socket.socket, wanted: tuple[str, int]) -> bool:
    """Say whether a socket listens at an address; port 0 stands for any."""
    host, port = _address(sock)
    is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return bool(is_listening) and host == wanted[0] and wanted[1] in (0, port)


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"
