"""A node without a thread for one more client says so and goes on."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.errors import OutOfThreads
from codewire.io.streams import FrameStream
from codewire.io.wait import spawn
from codewire.node import server, web
from codewire.node.handlers.peer import Peer
from codewire.node.server import accept_clients
from codewire.node.web import MAX_HANDSHAKES, Web


class NoThreads:
    """Stands for spawn; refuses as often as it was told, then notes and closes."""

    def __init__(self) -> None:
        self.refusals = 2
        self.has_served = threading.Event()

    def __call__(self, *call: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OutOfThreads
        next(part for part in call if isinstance(part, FrameStream | socket.socket)).close()
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

    def shutdown(self, how: int) -> None:
        self._listener.shutdown(how)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


@contextlib.contextmanager
def accepting(loop: Callable[..., None], listener: Any) -> Iterator[None]:
    """Run an accept loop, and see that it ends with its socket."""
    ended = threading.Event()
    numbers: list[int | None] = []

    def run() -> None:
        try:
            loop(listener)
        except OSError as error:
            numbers.append(error.errno)
        ended.set()

    spawn(run)
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        assert ended.wait(10)
    # gevent tells whoever waits for a socket before it shuts it down.
    assert numbers in ([errno.EINVAL], [errno.EBADF])


def accept_local(listener: Any) -> None:
    accept_clients(None, listener)  # type: ignore[arg-type]


def ask(listener: socket.socket, question: bytes) -> bytes:
    """Return everything that is answered."""
    with socket.create_connection(listener.getsockname(), 10) as sock:
        sock.sendall(question)
        with sock.makefile("rb") as file:
            try:
                return file.read()
            except ConnectionResetError:
                # Closed before it was heard.
                return b""


@pytest.mark.timeout(30)
def test_a_local_client_is_told(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = NoThreads()
    monkeypatch.setattr(server, "spawn", threads)
    monkeypatch.setattr(server, "TURN_AWAY_SECONDS", 5)
    with accepting(accept_local, FailingListener(listener)):
        for _ in range(2):
            answer = ask(listener, b"\0\0\0\0\2{}")
            assert json.loads(answer[5:])["type"] == "Error"
            assert "too many clients" in json.loads(answer[5:])["message"]
        with socket.create_connection(listener.getsockname(), 10):
            assert threads.has_served.wait(10), "the next one is served"


@pytest.mark.timeout(30)
def test_one_that_says_nothing_holds_nobody_up(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = NoThreads()
    monkeypatch.setattr(server, "spawn", threads)
    with (
        accepting(accept_local, listener),
        socket.create_connection(listener.getsockname(), 10),
        socket.create_connection(listener.getsockname(), 10),
        socket.create_connection(listener.getsockname(), 10),
    ):
        assert threads.has_served.wait(10)


def a_web() -> Web:
    return Web(SimpleNamespace(paths=SimpleNamespace(token="/none/token")))  # type: ignore[arg-type]


@pytest.mark.timeout(30)
def test_a_remote_client_is_told(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = NoThreads()
    monkeypatch.setattr(web, "spawn", threads)
    monkeypatch.setattr(server, "TURN_AWAY_SECONDS", 5)
    site = a_web()
    with accepting(site._accept, FailingListener(listener)):
        for _ in range(2):
            answer = ask(listener, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 503 "), answer
            assert b"too many clients" in answer
        assert not site._handshakes
        with socket.create_connection(listener.getsockname(), 10):
            assert threads.has_served.wait(10)


class NoMemory:
    """Stands for whatever is called while one is turned away: fails at first, then passes on."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.failures = 2
        self._function = function

    def __call__(self, *args: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise MemoryError
        return self._function(*args)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("scarce", ["turn_away", "log.warning", "FrameStream"])
def test_no_memory_to_turn_one_away_costs_that_one_only(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, scarce: str
) -> None:
    threads = NoThreads()
    monkeypatch.setattr(server, "spawn", threads)
    name, _, attribute = scarce.partition(".")
    owner, what = (server.log, attribute) if attribute else (server, name)
    lack = NoMemory(getattr(owner, what))
    monkeypatch.setattr(owner, what, lack)
    with accepting(accept_local, listener):
        for _ in range(2):
            ask(listener, b"\0\0\0\0\2{}")
        while not threads.has_served.is_set():
            with socket.create_connection(listener.getsockname(), 10):
                threads.has_served.wait(0.3)
    assert not lack.failures


@pytest.mark.timeout(30)
def test_no_memory_to_turn_a_remote_one_away_costs_that_one_only(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = NoThreads()
    lack = NoMemory(web.turn_away)
    monkeypatch.setattr(web, "spawn", threads)
    monkeypatch.setattr(web, "turn_away", lack)
    with accepting(a_web()._accept, listener):
        for _ in range(2):
            assert ask(listener, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        with socket.create_connection(listener.getsockname(), 10):
            assert threads.has_served.wait(10)
    assert not lack.failures


@pytest.mark.timeout(30)
@pytest.mark.parametrize("loop", [accept_local, lambda sock: a_web()._accept(sock)])
def test_what_is_no_listener_any_more_ends_the_loop(loop: Callable[..., None]) -> None:
    """Its process is replaced then, and the next one gets the socket that the keeper holds."""
    closed = socket.socket()
    closed.close()
    with socket.socket() as deaf:
        for sock in (closed, deaf):
            with pytest.raises(OSError, match="Bad file|Invalid"):
                loop(sock)


def test_handshakes_are_bounded() -> None:
    """One more than may be at it, and the oldest is shut out; the others stay."""
    site = a_web()
    pairs = [socket.socketpair() for _ in range(MAX_HANDSHAKES + 2)]
    for ours, _ in pairs:
        site._admit(ours)
    assert len(site._handshakes) == MAX_HANDSHAKES
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
    from codewire.node.handlers import peer

    monkeypatch.setattr(peer, "spawn", NoThreads())
    ours, theirs = socket.socketpair()
    written: list[int] = []
    with pytest.raises(OutOfThreads):
        Peer(FrameStream(ours)).run(lambda: written.append(1))
    assert not written
    ours.close()
    theirs.close()
