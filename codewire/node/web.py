"""The node's door for other machines: HTTP/1.1 on TCP, of which only the WebSocket at /ws is used.

Everything before the upgrade is bounded: time, size, and how many may be at it at once. After it
a connection is served like a local one. What stands here never ends the node: an address that
cannot be bound is logged, and local clients are served all the same.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, ConfigError, ConnectionLost, OutOfThreads, ProtocolError
from codewire.io.tcp import join_address, listen_tcp, read_head, resolve_listen, tune
from codewire.io.wait import spawn, spawn_essential
from codewire.io.websockets import WebSocketStream
from codewire.node.caller import token_caller
from codewire.node.context import Node
from codewire.node.logins import MAX_FAILURES, Logins
from codewire.node.server import accept_all, serve, turn_away
from codewire.node.watchdog import Watchdog
from codewire.wire.handshake import (
    Head,
    Refusal,
    check_upgrade,
    is_cross_origin,
    parse_head,
    plain_response,
    upgrade_response,
)
from codewire.wire.websocket import MAX_MESSAGE

if TYPE_CHECKING:
    import ssl

    from codewire.io.tls import TlsSocket

log = logging.getLogger(__name__)

# The name under which the keeper holds the listening socket for the next worker.
KEPT_NAME = "tcp"

# From accept to the end of the request's head, TLS included.
HANDSHAKE_SECONDS = 10.0
# Connections before their upgrade; one more, and the oldest is dropped. Whoever holds them open
# (slow loris) loses them first.
MAX_HANDSHAKES = 128

UNAUTHORIZED = Refusal(401, "unauthorized", (("WWW-Authenticate", "Bearer"),))
SLOW_DOWN = Refusal(429, "too many failed logins", (("Retry-After", "60"),))
NO_ROOM = Refusal(503, str(OutOfThreads()), (("Retry-After", "1"),))
# Made while there is memory for it.
NO_ROOM_RESPONSE = plain_response(NO_ROOM)


class Web:
    """Listens on the configured address and serves whoever has the token."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._logins = Logins(node.paths.token)
        self._watchdog = Watchdog()
        self._tls: ssl.SSLContext | None = None
        # Sockets before their upgrade, oldest first.
        self._handshakes: dict[socket.socket, None] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to listen if the configuration says so. Never raises CodewireError."""
        settings = self._node.settings
        if not settings.listen:
            self._drop_kept()
            return
        try:
            self._tls = self._tls_context()
            listener = self._listen(settings.listen)
        except CodewireError as error:
            log.error("not reachable from other machines: %s", error)
            self._drop_kept()
            return
        address = _address(listener)
        self._node.listening.append(join_address(address))
        scheme = "wss" if self._tls else "ws"
        log.info("listening url=%s://%s/ws", scheme, join_address(address))
        if not self._tls and not _is_loopback(address[0]):
            log.warning(
                "%s is not encrypted: the token and everything typed can be read on the way; "
                "set node.tls_cert and node.tls_key, or put a TLS proxy in front",
                join_address(address),
            )
        spawn_essential(self._watchdog.run)
        spawn_essential(self._accept, listener)

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

    def _accept(self, listener: socket.socket) -> None:
        accept_all(listener, "a remote client", self._take)

    def _take(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        """Serve one connection in a greenlet or thread of its own, or turn it away."""
        try:
            self._admit(sock)
            spawn(self._serve, sock, str(address[0]))
        except (OutOfThreads, MemoryError):
            self._leave(sock)
            # Before TLS no answer could be read.
            turn_away(sock, b"" if self._tls else NO_ROOM_RESPONSE)
            log.warning("remote client %s was turned away: %s", address[0], NO_ROOM.text)

    # Before the upgrade

    def _admit(self, sock: socket.socket) -> None:
        """Note a connection that has yet to say who it is; make room for it."""
        with self._lock:
            crowd = len(self._handshakes) >= MAX_HANDSHAKES
            oldest = next(iter(self._handshakes)) if crowd else None
            if oldest is not None:
                del self._handshakes[oldest]
            self._handshakes[sock] = None
        if oldest is not None:
            _shut(oldest)

    def _leave(self, sock: socket.socket) -> None:
        with self._lock:
            self._handshakes.pop(sock, None)

    def _serve(self, sock: socket.socket, address: str) -> None:
        """Serve one connection from accept to close; what goes wrong harms only itself."""
        try:
            stream = self._upgrade(sock, address)
        except (CodewireError, OSError) as error:
            log.debug("remote client %s dropped: %s", address, error)
            stream = None
        finally:
            self._leave(sock)
        if stream is None:
            sock.close()
            return
        self._watchdog.add(stream)
        try:
            serve(self._node, stream, token_caller(stream, address))
        finally:
            self._watchdog.remove(stream)

    def _upgrade(self, sock: socket.socket, address: str) -> WebSocketStream | None:
        """Return the stream of an accepted WebSocket; None after another answer."""
        deadline = time.monotonic() + HANDSHAKE_SECONDS
        tune(sock)
        transport: socket.socket | TlsSocket = sock
        if self._tls is not None:
            from codewire.io.tls import TlsSocket

            transport = tls = TlsSocket(sock, self._tls)
            tls.handshake(deadline)
        head = None
        try:
            data, rest = read_head(transport, deadline)
            head = parse_head(data)
            refusal = self._judge(head, address)
        except TimeoutError:
            refusal = Refusal(408, "request timeout")
        except ConnectionLost:
            return None
        except ProtocolError as error:
            refusal = Refusal(431 if "larger than" in str(error) else 400, str(error))
        if refusal is not None or head is None:
            assert refusal is not None
            transport.sendall(plain_response(refusal))
            _linger(transport)
            return None
        transport.sendall(upgrade_response(head, MAX_MESSAGE))
        sock.settimeout(None)
        return WebSocketStream(transport, is_server=True, received=rest)

    def _judge(self, head: Head, address: str) -> Refusal | None:
        """Return what to answer instead of the upgrade, None to go through with it.

        In upstream's order: path, token, upgrade fields, origin (spec/wire.md 1).
        """
        method, path = head.start[0], head.path
        if path == "/healthz":
            return Refusal(200, "ok") if method in ("GET", "HEAD") else Refusal(405, "use GET")
        if path != "/ws":
            return Refusal(404, "404 page not found")
        if not self._logins.accepts(head.fields.get("authorization", "")):
            failures = self._logins.note_failure(address)
            if failures <= MAX_FAILURES:
                log.warning("remote client %s refused: wrong or missing token", address)
                return UNAUTHORIZED
            return SLOW_DOWN
        refusal = check_upgrade(head)
        if refusal is None and is_cross_origin(head):
            return Refusal(403, "cross-origin requests are refused")
        return refusal


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


def _shut(sock: socket.socket) -> None:
    """Wake whoever is blocked on a socket; only that one closes it."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _linger(transport: socket.socket | TlsSocket) -> None:
    """Let an answer arrive: closing with bytes unread would reset the connection under it."""
    try:
        transport.shutdown(socket.SHUT_WR)
        transport.settimeout(1.0)
        for _ in range(16):
            if not transport.recv(65536):
                return
    except OSError:
        return
