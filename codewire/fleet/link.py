"""One connection to NATS, by nats-py: made within a time, its failures in plain words.

Runs in an asyncio loop of its own process (the bridge) or of one command.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from codewire.fleet.settings import Nats

# TCP, TLS, INFO and the first PONG together.
CONNECT_SECONDS = 5.0
# One whose certificate was refused never says that it has closed.
CLOSE_SECONDS = 1.0
PING_SECONDS = 30
NEEDS_NATS = "the fleet needs nats-py: pip install 'codewire[fleet]'"
# So much of what is published may wait to be sent.
PENDING_BYTES = 16 << 20


class NatsError(CodewireError):
    """NATS cannot be reached or refuses; the message is one line without secrets."""


class Denied(NatsError):
    """The server does not permit a subject."""


class Refused(NatsError):
    """What trying again soon does not change: a login, a credentials file, a missing package."""


class Link:
    """A connection. `on_error` is told what the server refuses, `closed` is set when it is lost."""

    def __init__(self, connection: Any, url: str, closed: asyncio.Event) -> None:
        self._connection = connection
        self.url = url
        self.closed = closed

    @property
    def max_payload(self) -> int:
        """Return the most bytes a message may have."""
        return int(self._connection.max_payload)

    @property
    def has_tls(self) -> bool:
        """Say whether the connection is encrypted."""
        info = getattr(self._connection, "_server_info", None) or {}
        return bool(info.get("tls_required")) or self.url.startswith("wss")

    async def publish(self, subject: str, data: bytes, reply: str = "", **options: Any) -> None:
        """Send one message on its way. Raises NatsError."""
        try:
            await self._connection.publish(subject, data, reply=reply, **options)
        except Exception as error:
            raise NatsError(words_of(error)) from error

    async def subscribe(self, subject: str, callback: Callable[[Any], Awaitable[None]]) -> Any:
        """Hand every message of a subject to a coroutine, one after the other."""
        return await self._connection.subscribe(subject, cb=callback)

    async def unsubscribe(self, subscription: Any) -> None:
        """Hear a subject no more; None is none. Raises NatsError."""
        if subscription is None:
            return
        try:
            await subscription.unsubscribe()
        except Exception as error:
            raise NatsError(words_of(error)) from error

    def new_inbox(self) -> str:
        """Return a subject for replies to one question."""
        return str(self._connection.new_inbox())

    async def flush(self) -> None:
        """Return when the server has taken all that was sent. Raises NatsError."""
        flushed = asyncio.ensure_future(self._connection.flush(CONNECT_SECONDS))
        # The library's own wait does not notice that the connection is lost.
        lost = asyncio.ensure_future(self.closed.wait())
        await asyncio.wait({flushed, lost}, return_when=asyncio.FIRST_COMPLETED)
        lost.cancel()
        if not flushed.done():
            flushed.cancel()
            raise NatsError("the connection to NATS was lost")
        try:
            flushed.result()
        except Exception as error:
            raise NatsError(words_of(error)) from error

    async def close(self) -> None:
        """End the connection. Idempotent."""
        try:
            await asyncio.wait_for(self._connection.close(), CLOSE_SECONDS)
        except Exception:  # noqa: BLE001 - it is over either way
            pass


async def connect(nats: Nats, on_error: Callable[[str], None], name: str = "cw") -> Link:
    """Return a connection to the first server that takes us. Raises NatsError.

    It is a Refused if each of them refuses.
    """
    # Of connections that are refused it warns on stderr; we say so ourselves.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    failures = []
    kind: type[NatsError] = Refused
    for url in nats.urls:
        try:
            return await _connect_to(url, nats, on_error, name)
        except NatsError as error:
            if str(error) == NEEDS_NATS:
                raise
            failures.append(f"{url}: {error}")
            kind = kind if isinstance(error, Refused) else NatsError
    raise kind("connecting to NATS: " + "; ".join(failures))


async def _connect_to(url: str, nats: Nats, on_error: Callable[[str], None], name: str) -> Link:
    make = _client_class(bool(nats.ca) or url.startswith("tls:"))
    connection, closed, is_connected = make(), asyncio.Event(), False

    async def tell(error: Exception) -> None:
        if not is_connected:
            # Raised through the library's own trying again, which knows no end: we try ourselves.
            raise error
        on_error(words_of(error))

    async def lost() -> None:
        closed.set()

    options: dict[str, Any] = {
        "servers": [url],
        "allow_reconnect": False,
        "connect_timeout": CONNECT_SECONDS,
        "ping_interval": PING_SECONDS,
        "max_outstanding_pings": 2,
        "pending_size": PENDING_BYTES,
        "error_cb": tell,
        "closed_cb": lost,
        "disconnected_cb": lost,
        "name": name,
        **_login(nats),
    }
    context = _tls(nats, url)
    if context is not None:
        options["tls"] = context
    try:
        await asyncio.wait_for(connection.connect(**options), CONNECT_SECONDS)
    except Exception as error:
        await Link(connection, url, closed).close()
        words = words_of(error)
        kind = (
            Refused
            if re.search("authori[sz]ation|authentication", words, re.IGNORECASE)
            else NatsError
        )
        raise kind(words) from error
    is_connected = True
    return Link(connection, url, closed)


def _client_class(needs_tls: bool) -> Any:
    try:
        from nats.aio.client import Client
        from nats.errors import Error
    except ImportError:
        raise Refused(NEEDS_NATS) from None
    if not needs_tls:
        return Client

    class TlsClient(Client):  # type: ignore[misc, unused-ignore]
        """Sends no login to a server that offers no TLS: who asked for it counts on it."""

        async def _process_info(self, info: dict[str, Any], *args: Any, **options: Any) -> None:
            if not info.get("tls_required") and not info.get("tls_available"):
                raise Error("the server does not offer TLS")
            await super()._process_info(info, *args, **options)

    return TlsClient


def _login(nats: Nats) -> dict[str, Any]:
    login: dict[str, Any] = {}
    if nats.creds_file:
        login["user_credentials"] = _readable(nats.creds_file)
    if nats.token:
        login["token"] = nats.token
    if nats.user:
        login.update(user=nats.user, password=nats.password)
    return login


def _readable(path: str) -> str:
    """Return the path of a credentials file. Raises NatsError where it is of no use."""
    try:
        with open(path, "rb") as file:
            text = file.read(1 << 16)
    except OSError as error:
        raise Refused(f"loading creds file {path!r}: {error.strerror}") from None
    if b"NATS USER JWT" not in text:
        raise Refused(f"cannot parse user JWT from the credentials file {path!r}")
    return path


def is_exposed(path: str) -> bool:
    """Say whether others may read a file."""
    try:
        return bool(os.stat(path).st_mode & 0o077)
    except OSError:
        return False


def _tls(nats: Nats, url: str) -> ssl.SSLContext | None:
    if not nats.ca and not url.startswith(("tls:", "wss:")):
        return None
    try:
        return ssl.create_default_context(cafile=nats.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"loading nats.ca {nats.ca!r}: {error.strerror or error}") from None


def words_of(error: BaseException) -> str:
    """Return an error of the library in one line."""
    if isinstance(error, NatsError):
        return str(error)
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return f"no answer within {CONNECT_SECONDS:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ImportError):
        return f"nats-py needs another package: {error}"
    text = str(error).strip() or type(error).__name__
    text = text.removeprefix("nats: ").strip("'\" ")
    return " ".join(text.split())[:300]
