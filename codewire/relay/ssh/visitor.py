"""One SSH connection: logging in, within its limits, and the sessions that may be opened on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncssh

from codewire.relay.ssh.session import Session

if TYPE_CHECKING:
    from codewire.relay.ssh.asking import Relay

# The last wrong one ends the connection.
MAX_PASSWORDS = 6
# An agent offers all it has, one after the other.
MAX_KEYS = 20
MAX_SESSIONS = 64
SESSIONS_ONLY = "only session channels supported"
TOO_MANY_TRIES = "too many attempts to log in"


class Visitor(asyncssh.SSHServer):
    """Whoever has connected; all of them are in `connections`.

    `settle` is called once, with the address: they are in, or gone.
    """

    def __init__(
        self,
        relay: Relay,
        connections: set[asyncssh.SSHServerConnection],
        settle: Callable[[str], None],
    ) -> None:
        self._relay = relay
        self._connections = connections
        self._settle = settle
        self._address = ""
        self._is_settled = False
        self._connection: asyncssh.SSHServerConnection | None = None
        self._passwords = self._keys = 0
        # The relay's word that they may come in, by what they showed.
        self._tickets: dict[str, str] = {}
        self._ticket = ""
        self._sessions: set[Session] = set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Begin."""
        self._connection = conn
        self._connections.add(conn)
        peer = conn.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._end_login()
        if self._connection is not None:
            self._connections.discard(self._connection)
        self._connection = None
        for ticket in self._tickets.values():
            self._relay.tell({"type": "Left", "ticket": ticket})
        self._tickets.clear()

    # Logging in

    def begin_auth(self, username: str) -> bool:
        """Nobody comes in without."""
        return True

    def auth_completed(self) -> None:
        """Note that they are in."""
        self._end_login()

    def _end_login(self) -> None:
        if not self._is_settled:
            self._is_settled = True
            self._settle(self._address)

    def password_auth_supported(self) -> bool:
        """Say yes."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Say yes."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Ask the relay; a client that has tried too often is cut off."""
        # Counted first: who sends the next before the answer has tried all the same.
        self._passwords += 1
        if self._passwords > MAX_PASSWORDS:
            self._cut()
            return False
        is_in = await self._ask(username, "password", password)
        if not is_in and self._passwords == MAX_PASSWORDS:
            self._cut()
        return is_in

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Ask the relay; that the client has the other half is asyncssh's to find out."""
        line = " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
        known = f"{username} {line}"
        if known in self._tickets:
            self._ticket = self._tickets[known]
            return True
        self._keys += 1
        if self._keys > MAX_KEYS:
            self._cut()
            return False
        return await self._ask(username, "key", line)

    async def _ask(self, user: str, kind: str, shown: str) -> bool:
        question = {"type": "Login", "user": user, kind: shown, "address": self._address}
        answer = await self._relay.ask(question)
        ticket = answer.get("ticket")
        if not isinstance(ticket, str):
            return False
        if self._connection is None:
            self._relay.tell({"type": "Left", "ticket": ticket})
            return False
        self._ticket = self._tickets[f"{user} {shown}"] = ticket
        return True

    def _cut(self) -> None:
        if self._connection is not None:
            code = asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE
            self._connection.disconnect(code, TOO_MANY_TRIES)

    # What may be opened

    def session_requested(self) -> Any:
        """Serve a session; that is all there is. Raises ChannelOpenError."""
        self._sessions = {session for session in self._sessions if not session.is_over}
        if len(self._sessions) >= MAX_SESSIONS:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, f"at most {MAX_SESSIONS} sessions a connection"
            )
        session = Session(self._relay, self._ticket)
        self._sessions.add(session)
        return session

    def connection_requested(self, *_: Any) -> Any:
        """Refuse -L, -D and -W. Raises ChannelOpenError."""
        raise _sessions_only()

    def unix_connection_requested(self, *_: Any) -> Any:
        """Refuse -L to a socket. Raises ChannelOpenError."""
        raise _sessions_only()

    def tun_requested(self, *_: Any) -> Any:
        """Refuse -w. Raises ChannelOpenError."""
        raise _sessions_only()

    def tap_requested(self, *_: Any) -> Any:
        """Refuse -w. Raises ChannelOpenError."""
        raise _sessions_only()

    def server_requested(self, *_: Any) -> Any:
        """Refuse -R; the protocol has no words for it but these, which ssh -v shows."""
        self._explain()
        return False

    def unix_server_requested(self, *_: Any) -> Any:
        """Refuse -R of a socket."""
        self._explain()
        return False

    def _explain(self) -> None:
        if self._connection is not None:
            self._connection.send_debug(SESSIONS_ONLY, always_display=True)


def _sessions_only() -> asyncssh.ChannelOpenError:
    return asyncssh.ChannelOpenError(asyncssh.OPEN_UNKNOWN_CHANNEL_TYPE, SESSIONS_ONLY)
