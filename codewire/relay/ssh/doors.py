"""Who gets in: connections are accepted, and of each address a few at a time may log in.

More of them wait their turn: a script that opens fifty at once is served, and whoever opens fifty
and says nothing holds up their own address alone, for as long as a login may take.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import asyncssh

from codewire import __version__
from codewire.io.transient import is_transient
from codewire.relay.ssh.asking import Relay
from codewire.relay.ssh.visitor import SESSIONS_ONLY, Visitor

log = logging.getLogger(__name__)

LOGIN_SECONDS = 20.0
PER_ADDRESS = 10
MAX_WAITING = 128
# Of all addresses together, logging in or waiting for it.
MAX_STRANGERS = 1024
KEEPALIVE_SECONDS, KEEPALIVES = 30, 3
PAUSE_SECONDS = 0.1

# What OpenSSH of today uses by itself. asyncssh's own list has RSA 2048 and group 14 with SHA-1.
KEX = ("mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org",
       "ecdh-sha2-nistp256")  # fmt: skip
CIPHERS = ("chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com",
           "aes256-ctr")  # fmt: skip
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
WINDOW = 2 << 20


def make_options(
    host_key: str, welcome: Callable[[], asyncssh.SSHServer]
) -> asyncssh.SSHServerConnectionOptions:
    """Return what is the same for all connections; none of asyncssh's services is on."""
    return asyncssh.SSHServerConnectionOptions(
        server_factory=welcome,
        server_host_keys=[asyncssh.import_private_key(host_key)],
        server_version=f"Codewire_{__version__}",
        kex_algs=[name for name in KEX if name in _known_kex()],
        encryption_algs=list(CIPHERS),
        mac_algs=list(MACS),
        compression_algs=None,
        login_timeout=LOGIN_SECONDS,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=KEEPALIVES,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        encoding=None,
        line_editor=False,
        allow_scp=False,
        agent_forwarding=False,
        x11_forwarding=False,
        window=WINDOW,
    )


def _known_kex() -> set[str]:
    """Return what this asyncssh has: the post-quantum one depends on the library beneath."""
    from asyncssh.kex import get_kex_algs

    return {name.decode() for name in get_kex_algs()}


class Connection(asyncssh.SSHServerConnection):
    """A connection without the services that asyncssh would begin to offer at this point."""

    async def reload_config(self) -> None:
        """Keep the options: no file has others for some users."""

    async def create_agent_listener(self) -> bool:
        """Refuse -A; the protocol has no words for it but these, which ssh -v shows."""
        self.send_debug(SESSIONS_ONLY, always_display=True)
        return False

    async def attach_x11_listener(self, *_: Any) -> str | None:
        """Refuse -X in the same way."""
        self.send_debug(SESSIONS_ONLY, always_display=True)
        return None


class Doors:
    """The listener and who has come by it. Of one event loop."""

    def __init__(self, listener: socket.socket, host_key: str, relay: Relay) -> None:
        self._listener = listener
        self._options = make_options(host_key, self._welcome)
        self._relay = relay
        self._logging_in: Counter[str] = Counter()
        self._waiting: dict[str, deque[socket.socket]] = {}
        self._connections: set[asyncssh.SSHServerConnection] = set()
        # The loop keeps no task alive by itself.
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Accept until the relay shuts the listener. Raises OSError when it is broken for good."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(self._listener)
            except OSError as error:
                if error.errno == errno.EINVAL:
                    return
                if not is_transient(error):
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._admit(sock, str(address[0]))

    def close(self) -> None:
        """Say goodbye to everybody."""
        for connection in list(self._connections):
            connection.disconnect(asyncssh.DISC_BY_APPLICATION, "the relay is going away")

    def _admit(self, sock: socket.socket, address: str) -> None:
        waiting = self._waiting.get(address, ())
        strangers = self._logging_in.total() + sum(map(len, self._waiting.values()))
        if strangers >= MAX_STRANGERS or len(waiting) >= MAX_WAITING:
            sock.close()
        elif self._logging_in[address] < PER_ADDRESS:
            self._serve(sock, address)
        else:
            self._waiting.setdefault(address, deque()).append(sock)
            asyncio.get_running_loop().call_later(LOGIN_SECONDS, self._turn_away, sock, address)

    def _turn_away(self, sock: socket.socket, address: str) -> None:
        """Close one whose turn has not come in time."""
        waiting = self._waiting.get(address)
        if waiting and sock in waiting:
            waiting.remove(sock)
            sock.close()
            if not waiting:
                del self._waiting[address]

    def _serve(self, sock: socket.socket, address: str) -> None:
        self._logging_in[address] += 1
        task = asyncio.get_running_loop().create_task(self._connect(sock, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, sock: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: Connection(loop, self._options), sock)
        except OSError:
            sock.close()
            self._settle(address)

    def _welcome(self) -> Visitor:
        return Visitor(self._relay, self._connections, self._settle)

    def _settle(self, address: str) -> None:
        """One of an address is in, or gone: the next may try."""
        self._logging_in[address] -= 1
        if not self._logging_in[address]:
            del self._logging_in[address]
        waiting = self._waiting.get(address)
        if waiting:
            sock = waiting.popleft()
            if not waiting:
                del self._waiting[address]
            self._serve(sock, address)
