"""A node without a thread for one more client says so and goes on."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.errors import OutOfThreads
from codewire.io import accepting
from codewire.io.wait import spawn
from codewire.node import server
from codewire.node.handlers.peer import Peer
from codewire.node.server import accept_clients
from codewire.node.web import LIMITS, Web
from codewire.web import server as web_server
from codewire.web.server import Server


class NoThreads:
    """Stands for spawn; refuses as often as it was told, then only notes."""

    def __init__(self) -> None:
        self.refusals = 2
        self.served: list[Any] = []
        self.has_served = threading.Event()

    def __call__(self, *call: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OutOfThreads
        self.served.append(call)
        self.has_served.set()


class FailingListener:
    """A listening socket whose accept fails at first, for want of this and that."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.errors: list[BaseException] = [MemoryError(), OSError(24, "x"), OSError(12, "x")]

    def accept(self) -> Any:
        if self.errors:
            raise self.errors.pop()
        return self._listener.accept()


@pytest.fixture
def listener(tmp_path: Any) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def ask(listener: socket.socket, question: bytes) -> bytes:
    """Return everything that is answered."""
    with socket.create_connection(listener.getsockname(), 10) as sock:
        sock.sendall(question)
        with sock.makefile("rb") as file:
            return file.read()


@pytest.mark.timeout(30)
def test_a_local_client_is_told(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = NoThreads()
    monkeypatch.setattr(server, "spawn", threads)
    monkeypatch.setattr(accepting, "TURN_AWAY_SECONDS", 5)
    spawn(accept_clients, None, FailingListener(listener))
    for _ in range(2):
        answer = ask(listener, b"\0\0\0\0\2{}")
        assert json.loads(answer[5:])["type"] == "Error"
        assert "too many clients" in json.loads(answer[5:])["message"]
    with socket.create_connection(listener.getsockname(), 10):
        assert threads.has_served.wait(10), "the next one is served"
    threads.served[0][-2].close()


def test_a_listener_that_is_broken_for_good_ends_the_loop() -> None:
    """Whoever must have it learns of it: a worker without clients would never be replaced."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    with pytest.raises(OSError):
        accept_clients(None, listener)  # type: ignore[arg-type]
    listener.close()
    with pytest.raises(OSError):
        accept_clients(None, listener)  # type: ignore[arg-type]


@pytest.mark.timeout(30)
def test_one_that_says_nothing_holds_nobody_up(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = NoThreads()
    monkeypatch.setattr(server, "spawn", threads)
    spawn(accept_clients, None, listener)
    with (
        socket.create_connection(listener.getsockname(), 10),
        socket.create_connection(listener.getsockname(), 10),
        socket.create_connection(listener.getsockname(), 10),
    ):
        assert threads.has_served.wait(10)
    threads.served[0][-2].close()


def a_server(listener: Any) -> Server:
    node: Any = SimpleNamespace(
        paths=SimpleNamespace(token="/none/token"), settings=SimpleNamespace(has_nats=False)
    )
    return Web(node).server(listener)


@pytest.mark.timeout(30)
def test_a_remote_client_is_told(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = NoThreads()
    monkeypatch.setattr(web_server, "spawn", threads)
    monkeypatch.setattr(accepting, "TURN_AWAY_SECONDS", 5)
    site = a_server(FailingListener(listener))
    spawn(site.run)
    for _ in range(2):
        answer = ask(listener, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 "), answer
        assert b"too many clients" in answer
    assert not site._crowd and not site._connections
    with socket.create_connection(listener.getsockname(), 10):
        assert threads.has_served.wait(10)
    threads.served[0][-1]._sock.close()


def test_handshakes_are_bounded(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may be at it, and the oldest is shut out; the others stay."""
    threads = NoThreads()
    threads.refusals = 0
    monkeypatch.setattr(web_server, "spawn", threads)
    site = a_server(listener)
    pairs = [socket.socketpair() for _ in range(LIMITS.heads + 2)]
    for ours, _ in pairs:
        site._admit(ours, ("192.0.2.1", 1))
    assert len(site._crowd) == LIMITS.heads
    for _, theirs in pairs:
        theirs.setblocking(False)
    for _, theirs in pairs[:2]:
        assert theirs.recv(1) == b""
    for _, theirs in pairs[2:]:
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_a_stream_without_its_second_thread_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from codewire.io.streams import FrameStream
    from codewire.node.handlers import peer

    monkeypatch.setattr(peer, "spawn", NoThreads())
    ours, theirs = socket.socketpair()
    written: list[int] = []
    with pytest.raises(OutOfThreads):
        Peer(FrameStream(ours)).run(lambda: written.append(1))
    assert not written
    ours.close()
    theirs.close()
