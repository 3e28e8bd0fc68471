"""TLS over a connected socket, the same under gevent and threads.

The ssl module only transforms bytes here (MemoryBIO); the socket beneath, which cw.py may have
made cooperative, does all waiting. So ssl itself needs no patch.
"""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING

from codewire.errors import ConfigError, ConnectionLost, NodeRefused
from codewire.io.tcp import receive_before

if TYPE_CHECKING:
    from typing import Any

# Sealed in pieces, so that a large message is not held twice.
SEND_BYTES = 256 * 1024
RAW_BYTES = 65536


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return what a node with this certificate chain and key (PEM files) needs.

    Raises ConfigError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ValueError) as error:
        raise ConfigError(f"loading tls_cert {certificate}: {_cause(error)}") from error
    return context


def client_context(ca: str = "", insecure: bool = False) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, or only those in the file `ca`.

    `insecure` checks nothing: whoever answers gets the token. Raises ConfigError.
    """
    context = ssl.create_default_context()
    try:
        if ca:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(ca)
    except (OSError, ValueError) as error:
        raise ConfigError(f"loading CA file {ca}: {_cause(error)}") from error
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class TlsSocket:
    """What io/websockets.py needs of a socket, encrypted. One thread may read, one may write."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, *, hostname: str | None = None
    ) -> None:
        """Wrap a socket: as a client if `hostname` (what to verify) is given, else as a server."""
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=hostname is None, server_hostname=hostname
        )
        # An SSLObject must not be read and written at once; never held while the socket blocks.
        self._lock = threading.Lock()
        self._may_have_more = True

    def handshake(self, deadline: float) -> None:
        """Shake hands before `deadline` (time.monotonic()).

        Raises TimeoutError, ConnectionLost, NodeRefused with what is wrong with the peer.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                data = receive_before(self._sock, deadline)
                if not data:
                    raise ConnectionLost("connection closed in the TLS handshake") from None
                self._incoming.write(data)
            except ssl.SSLError as error:
                # The alert tells the peer why.
                self._flush()
                raise NodeRefused(f"tls: {_cause(error)}") from error
            else:
                self._flush()
                return

    def _flush(self) -> None:
        try:
            self._sock.sendall(self._outgoing.read())
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost((error.strerror or str(error)).lower()) from error

    def recv(self, limit: int) -> bytes:
        """Return decrypted bytes (may exceed `limit`), b"" at the end. Blocks for one read.

        Raises BlockingIOError when that read completed no record, else as a socket does.
        """
        if not self._may_have_more:
            data = self._sock.recv(max(limit, RAW_BYTES))
            if not data:
                return b""
            self._incoming.write(data)
        self._may_have_more = False
        plain = bytearray()
        try:
            with self._lock:
                while piece := self._tls.read(RAW_BYTES):
                    plain += piece
        except ssl.SSLWantReadError:
            if not plain:
                raise BlockingIOError("no whole record yet") from None
        except ssl.SSLZeroReturnError:
            pass
        return bytes(plain)

    def sendall(self, data: bytes) -> None:
        """Send all of it. Blocks; raises as a socket does."""
        for start in range(0, len(data), SEND_BYTES):
            with self._lock:
                self._tls.write(data[start : start + SEND_BYTES])
                sealed = self._outgoing.read()
            self._sock.sendall(sealed)

    def settimeout(self, seconds: float | None) -> None:
        """Bound every later read and write of the socket beneath."""
        self._sock.settimeout(seconds)

    def fileno(self) -> int:
        """Return the descriptor, for waiting; after a `recv` no decrypted bytes are left behind."""
        return self._sock.fileno()

    def shutdown(self, how: int) -> None:
        """Shut the socket beneath, after a word of goodbye when only writing ends."""
        if how == socket.SHUT_WR:
            with self._lock:
                self._say_goodbye()
                sealed = self._outgoing.read()
            self._sock.sendall(sealed)
        self._sock.shutdown(how)

    def _say_goodbye(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # It wants the peer's goodbye, for which nobody waits.
            pass

    def close(self) -> None:
        """Close the socket beneath."""
        self._sock.close()


def _cause(error: Any) -> str:
    """Return OpenSSL's reason in words: `self-signed certificate`, `wrong version number`."""
    verify = getattr(error, "verify_message", None)
    if verify:
        return f"certificate not trusted: {verify}"
    reason = getattr(error, "reason", None)
    if isinstance(reason, str):
        return reason.lower().replace("_", " ")
    return str(getattr(error, "strerror", None) or error).lower()
