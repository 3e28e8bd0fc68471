"""What the node's watchdog does to quiet, dead and lingering connections, at given times."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from codewire.io.watchdog import DEAD_SECONDS, PING_SECONDS, Watchdog
from codewire.io.websockets import CLOSE_SECONDS, WebSocketStream
from codewire.wire.websocket import Ping, Receiver
from tests.processes import wait_until


class Connection:
    """A stream with a reader blocked on it, in a watchdog's care, and its peer's socket."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        self.peer.settimeout(5)
        self.stream = WebSocketStream(ours, is_server=True)
        self.reader = threading.Thread(target=self.stream.receive, daemon=True)
        self.reader.start()
        wait_until(lambda: self.stream.quiet_seconds(time.monotonic() + 1))
        self.watchdog = Watchdog()
        now = time.monotonic()
        self.heard = now - self.stream.quiet_seconds(now)
        self.watchdog.add(self.stream)

    def look(self, seconds: float, since: float | None = None) -> None:
        """Have the watchdog look so long after the peer was heard, or after `since`."""
        self.watchdog.look((self.heard if since is None else since) + seconds)

    def close(self) -> None:
        self.stream.abort()
        self.reader.join(20)
        self.peer.close()
        self.stream.close()


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Connection()
    yield connection
    connection.close()


def test_a_quiet_peer_is_pinged_once_a_period(connection: Connection) -> None:
    connection.look(PING_SECONDS - 1)
    # Well past it: the period begins when the watchdog learns of the connection.
    connection.look(2 * PING_SECONDS)
    connection.look(2 * PING_SECONDS + 1)
    receiver = Receiver(is_server=False)
    receiver.feed(connection.peer.recv(100))
    assert receiver.next_event() == Ping(b"")
    assert receiver.next_event() is None
    assert connection.reader.is_alive()


def test_a_dead_peer_is_dropped(connection: Connection) -> None:
    connection.look(DEAD_SECONDS - 1)
    assert connection.reader.is_alive()
    connection.look(DEAD_SECONDS + 1)
    connection.reader.join(20)
    assert not connection.reader.is_alive()


def test_a_peer_that_does_not_say_goodbye_is_dropped(connection: Connection) -> None:
    connection.stream.shutdown()
    closing = connection.stream.closing_since
    connection.look(CLOSE_SECONDS - 1, closing)
    assert connection.reader.is_alive()
    connection.look(CLOSE_SECONDS + 1, closing)
    connection.reader.join(20)
    assert not connection.reader.is_alive()


def test_nobody_is_looked_after_once_removed(connection: Connection) -> None:
    connection.watchdog.remove(connection.stream)
    connection.look(DEAD_SECONDS + 1)
    assert connection.reader.is_alive()
