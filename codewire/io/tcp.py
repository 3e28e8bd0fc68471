"""TCP: dial and listen, notice dead peers, read the head of an HTTP message within its limits."""

from __future__ import annotations

import socket
import time
from typing import Any, Protocol

from codewire.errors import CodewireError, ConnectionLost, NodeUnreachable
from codewire.io.deadline import Deadline
from codewire.wire.http import HEAD_END, HeadEnd

BACKLOG = 1024

# A peer that is gone without a word is noticed after about 75 s: of silence by probes of the
# kernel's, of unacknowledged data by its user timeout (tcp(7)).
KEEPALIVE_IDLE_SECONDS = 30
KEEPALIVE_INTERVAL_SECONDS = 15
KEEPALIVE_PROBES = 3
USER_TIMEOUT_MS = 75_000


class Receiver(Protocol):
    """What bytes come in by: a socket, or TLS over one."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound every later read."""

    def recv(self, limit: int, /) -> bytes:
        """Return what is there, b"" at the end."""


def dial_tcp(host: str, port: int, timeout: float) -> socket.socket:
    """Return a socket connected within `timeout` seconds. Raises NodeUnreachable with the cause.

    The look-up of the name is part of that, and all of the addresses it may have.
    """
    deadline = Deadline.after(timeout)
    try:
        sock = _connect_any(_look_up(host, port, deadline), deadline)
    except TimeoutError as error:
        raise NodeUnreachable("timed out") from error
    except (OSError, UnicodeError) as error:
        raise NodeUnreachable((getattr(error, "strerror", None) or str(error)).lower()) from error
    tune(sock)
    return sock


def _look_up(host: str, port: int, deadline: Deadline) -> list[Any]:
    """Return what getaddrinfo(3) finds. It knows no time-out: a thread of its own waits for it."""
    import threading

    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            found.append(error)

    try:
        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(deadline.left())
    except RuntimeError:
        # No room for a thread: better unbounded than not at all.
        look_up()
    if not found:
        raise TimeoutError("timed out")
    if isinstance(found[0], Exception):
        raise found[0]
    addresses: list[Any] = found[0]
    return addresses


def _connect_any(addresses: list[Any], deadline: Deadline) -> socket.socket:
    """Return a socket to the first address that answers; each gets its part of what is left."""
    failure: OSError = OSError("no address found")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        left = deadline.left() or 0.0
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        try:
            sock.settimeout(max(0.01, left / (len(addresses) - number)))
            sock.connect(address)
            sock.settimeout(max(0.01, deadline.left() or 0.0))
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure


def tune(sock: socket.socket) -> None:
    """Send keystrokes at once, and have the kernel notice a dead peer."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        # The same on macOS.
        ("TCP_KEEPALIVE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
    ):
        # Not every system has all of them.
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def resolve_listen(listen: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return family and address of `host:port`; no host means every address of this machine.

    Raises CodewireError.
    """
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not (port.isascii() and port.isdigit() and int(port) <= 0xFFFF):
        raise CodewireError(f"listen {listen!r}: must be host:port")
    if not host:
        if socket.has_ipv6:
            return socket.AF_INET6, ("::", int(port))
        return socket.AF_INET, ("0.0.0.0", int(port))
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CodewireError(f"listen {listen!r}: {error}") from error
    # localhost means 127.0.0.1 to those who will dial it.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, address = found[0][0], found[0][4]
    return family, (str(address[0]), int(address[1]))


def listen_tcp(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    """Return a listening socket. Raises CodewireError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        cause = (error.strerror or str(error)).lower()
        raise CodewireError(f"listen tcp {join_address(address)}: bind: {cause}") from error
    return sock


def join_address(address: tuple[str, int]) -> str:
    """Return `host:port`, an IPv6 host in brackets.

    >>> join_address(("::1", 80))
    '[::1]:80'
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_head(sock: Receiver, deadline: float) -> tuple[bytes, bytes]:
    """Return the head of an HTTP message, without its empty line, and what came behind it.

    `deadline` is a time.monotonic(), so that one byte a second gains a peer nothing. Raises
    TimeoutError, ConnectionLost when the peer has gone, ProtocolError for what is no head.
    """
    buffer, head_end = bytearray(), HeadEnd()
    while (end := head_end.find(buffer)) < 0:
        data = receive_before(sock, deadline)
        if not data:
            raise ConnectionLost("connection closed before response")
        buffer += data
    return bytes(buffer[:end]), bytes(buffer[end + len(HEAD_END) :])


def receive_before(sock: Receiver, deadline: float) -> bytes:
    """Return the next bytes, b"" at the end. Raises TimeoutError, ConnectionLost."""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        sock.settimeout(left)
        try:
            return sock.recv(4096)
        except BlockingIOError:
            continue
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost((error.strerror or str(error)).lower()) from error
