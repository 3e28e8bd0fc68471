"""The relay's side of the SSH gateway: answers what its process asks, and joins it with nodes.

asyncssh runs in a process of its own (process.py), which has the listener, the host key and
nothing else. It opens a line for each question; the first frame says which:

    Login {user, password or key, address}   → Admitted {ticket} or Refused {}
    Left {ticket}                              nobody is connected by it any more
    Open {ticket, cols, rows, …}             → Opened {control} and from then on a node's messages,
                                               or Refused {reason}
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.errors import CodewireError, ConfigError, OutOfThreads
from codewire.io.island import Island
from codewire.io.lines import Line, open_line, take_line
from codewire.io.wait import spawn, wait_readable
from codewire.paths import gateway_command
from codewire.relay.http.answers import Refusal
from codewire.relay.ssh.access import by_key, by_password
from codewire.relay.uplinks.hub import MAX_MESSAGE
from codewire.relay.uplinks.streams import Stream
from codewire.term.width import printable
from codewire.wire.control import decode_control, encode_control

if TYPE_CHECKING:
    from codewire.relay.ssh.access import Admitted
    from codewire.relay.ssh.failures import Failures
    from codewire.relay.store.database import Database
    from codewire.relay.uplinks.streams import Streams

log = logging.getLogger(__name__)

# What a node says that serves shells as described in node/shells/shell.py.
BACK_CONTROL = "back-control"
# spec/relay.md 7.
BACK_SECONDS = 10.0
# The process asks at once.
ASK_SECONDS = 10.0
NOT_CONNECTED = "node not connected"
TIMED_OUT = "node connection timed out"
NOT_ADMITTED = "you may not log in to this node any more"
TOO_LONG = f"the command and its environment are too long: a node takes {MAX_MESSAGE} bytes"
# Of what a session asks for, what a node is told.
ASKED = ("cols", "rows", "pty", "term", "command", "subsystem", "env")
SIZE = ("cols", "rows")
MAX_WORDS = 300


def check_asyncssh() -> None:
    """Raise ConfigError where the gateway's process could not run; this one never imports it."""
    if find_spec("asyncssh") is None:
        raise ConfigError("it needs the Python package 'asyncssh': pip install 'codewire[relay]'")


class Login(NamedTuple):
    """Who logged in as what; asked again for each session, for it may have been revoked."""

    again: Callable[[], Admitted | None]
    address: str


class Gateway:
    """Keeps the process running and serves its lines."""

    def __init__(
        self,
        listener: socket.socket,
        host_key: str,
        store: Database,
        streams: Streams,
        failures: Failures,
    ) -> None:
        self._listener = listener
        self._host_key = host_key
        self._store = store
        self._streams = streams
        self._failures = failures
        self._logins: dict[str, Login] = {}
        self._is_over = threading.Event()
        self._island = Island("the SSH gateway", gateway_command(), _log, on_link=self._begin)

    def __len__(self) -> int:
        return len(self._logins)

    def run(self) -> None:
        """Serve until `stop`; the process begins with the first client. Blocks; raises nothing."""
        wait_readable(self._listener.fileno())
        if not self._is_over.is_set():
            self._island.run()

    def stop(self) -> None:
        """End all connections. Blocks for a moment."""
        self._is_over.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._island.stop()

    def _begin(self, link: socket.socket) -> None:
        """Give a new process what it needs, and serve what it asks."""
        try:
            line = Line(open_line(link, self._listener.fileno()))
            line.send_control({"type": "Begin", "host_key": self._host_key})
            line.close()
            spawn(self._take, link)
        except (CodewireError, OSError) as error:
            log.warning("the SSH gateway cannot be told what to do: %s", error)
            link.close()

    def _take(self, link: socket.socket) -> None:
        """Serve its lines until it ends."""
        try:
            while (taken := take_line(link)) is not None:
                for fd in taken[1]:
                    os.close(fd)
                self._start(Line(taken[0]))
        finally:
            link.close()
            self._logins.clear()

    def _start(self, line: Line) -> None:
        try:
            spawn(self._serve, line)
        except OutOfThreads as error:
            log.warning("an SSH client is turned away: %s", error)
            line.close()

    def _serve(self, line: Line) -> None:
        try:
            line.set_timeout(ASK_SECONDS)
            frame = line.receive()
            line.set_timeout(None)
            if frame is None:
                return
            message = decode_control(frame[1])
            if message.get("type") == "Login":
                self._log_in(line, message)
            elif message.get("type") == "Open":
                self._open(line, message)
            elif message.get("type") == "Left":
                self._logins.pop(str(message.get("ticket")), None)
        except (CodewireError, OSError) as error:
            log.debug("an SSH session ends: %s", error)
        finally:
            line.close()

    # Logging in

    def _log_in(self, line: Line, message: dict[str, Any]) -> None:
        """Answer whether somebody may come in, and remember it while they are connected."""
        user, address = str(message.get("user")), str(message.get("address"))
        again = self._question(user, message)
        if again() is None:
            if "password" in message:
                log.info("SSH: wrong password for %.100r from %s", user, address)
                time.sleep(self._failures.delay(address))
            line.send_control({"type": "Refused"})
            return
        log.info("SSH: %.100r may log in from %s", user, address)
        ticket = os.urandom(16).hex()
        self._logins[ticket] = Login(again, address)
        line.send_control({"type": "Admitted", "ticket": ticket})

    def _question(self, user: str, message: dict[str, Any]) -> Callable[[], Admitted | None]:
        if "password" in message:
            password = str(message["password"])
            return lambda: by_password(self._store, user, password)
        key = str(message.get("key"))
        return lambda: by_key(self._store, user, key)

    # Sessions

    def _open(self, line: Line, message: dict[str, Any]) -> None:
        """Have a node run something, and join the two until either ends."""
        login = self._logins.get(str(message.get("ticket")))
        admitted = login.again() if login is not None else None
        if login is None or admitted is None:
            line.send_control({"type": "Refused", "reason": NOT_ADMITTED})
            return
        log.info("SSH: %s on %s/%s from %s", admitted.subject, *admitted[:2], login.address)
        stream = Stream((admitted.network, admitted.node), admitted.subject)
        try:
            self._streams.enter(stream)
            answer = self._ask(stream, message)
            line.send_control(answer)
            if answer["type"] == "Opened":
                stream.serve_client(line)
        except Refusal as error:
            line.send_control({"type": "Refused", "reason": str(error)})
        finally:
            self._streams.forget(stream)

    def _ask(self, stream: Stream, message: dict[str, Any]) -> dict[str, Any]:
        """Ask the node, and return what the gateway is told when it has dialled back, or not."""
        way = self._streams.way(*stream.key)
        if way is None:
            raise Refusal(503, NOT_CONNECTED)
        has_control = BACK_CONTROL in way.features
        request: dict[str, Any] = {"type": "SSHRequest", "session_id": stream.id}
        request |= {name: message.get(name) for name in (ASKED if has_control else SIZE)}
        if has_control:
            request |= {"control": True, "subject": stream.who}
        if len(encode_control(request)) > MAX_MESSAGE:
            raise Refusal(413, TOO_LONG)
        if not way.ask(stream, request):
            raise Refusal(503, NOT_CONNECTED)
        if not stream.wait(BACK_SECONDS):
            raise Refusal(503, stream.reason or TIMED_OUT)
        return {"type": "Opened", "control": has_control}


def _log(line: bytes) -> None:
    log.warning("SSH: %s", printable(line.decode("utf-8", "replace"))[:MAX_WORDS])
