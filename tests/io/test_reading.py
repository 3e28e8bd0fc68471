"""Readers of a log, at the moments that matter: the end of a session, and bytes being freed."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.errors import ConnectionLost
from codewire.io.streams import FrameStream
from codewire.io.wait import GEVENT, spawn
from codewire.node.handlers import output
from codewire.node.handlers.attach import FRAME_BYTES, Attachment
from codewire.node.handlers.output import Deadline, TextReader
from codewire.node.handlers.peer import Peer
from codewire.output.cursor import Cursor
from codewire.output.opening import open_log
from codewire.session.life import State
from codewire.session.observer import Observer
from codewire.session.records.record import Record
from codewire.session.session import Session
from codewire.wire.frames import CONTROL, FrameDecoder
from tests.kernel import needs_holes

LAST = b"the last words\r\n"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(
        Record(1, ["x"], "/", 0), str(tmp_path / "output.log"), str(tmp_path / "events.jsonl")
    )
    session.open_log(0)
    yield session
    session.close_log()


class Client:
    """The other end of a stream; everything it was sent, read to the end."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair()
        self.sock.settimeout(20)
        self.stream = FrameStream(ours)

    def frames(self) -> list[tuple[int, bytes]]:
        decoder, found = FrameDecoder(), []
        while data := self.sock.recv(65536):
            decoder.feed(data)
            while (frame := decoder.next_frame()) is not None:
                found.append(frame)
        return found

    def close(self) -> None:
        self.stream.close()
        self.sock.close()


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.close()


class LastMoment:
    """Wraps a read: right after the first that found nothing, the session's end comes."""

    def __init__(self, session: Session, read: Callable[..., Any], nothing: Any) -> None:
        self._session, self._read, self._nothing = session, read, nothing
        self.is_over = False

    def __call__(self, *args: Any) -> Any:
        found = self._read(*args)
        if found == self._nothing and not self.is_over:
            self.is_over = True
            self._session.log.take_bytes(LAST)
            self._session.life.state = State.CLOSED
            self._session.wake()
        return found


def texts(frames: list[tuple[int, bytes]], key: str) -> str:
    found = [json.loads(data) for kind, data in frames if kind == CONTROL]
    return "".join(message.get(key) or "" for message in found)


# Promise 4: whoever looks for the end after it has read the log misses what came in between.


@pytest.mark.timeout(30)
def test_following_ends_with_the_last_byte(session: Session, client: Client) -> None:
    peer = Peer(client.stream)
    cursor = session.cursor(0, peer.waker)
    reader = TextReader(cursor, False)
    reader.read = LastMoment(session, reader.read, ("", 0, False))  # type: ignore[method-assign]
    output._follow(client.stream, session, peer, reader, Deadline(None), None)
    client.stream.shutdown()
    assert texts(client.frames(), "data") == LAST.decode()
    cursor.close()


@pytest.mark.timeout(30)
def test_watching_ends_with_the_last_byte(session: Session, client: Client) -> None:
    peer = Peer(client.stream)
    cursor = session.cursor(0, peer.waker)
    reader = TextReader(cursor, False)
    reader.read = LastMoment(session, reader.read, ("", 0, False))  # type: ignore[method-assign]
    output._watch(client.stream, session, peer, reader)
    client.stream.shutdown()
    assert texts(client.frames(), "output") == LAST.decode()
    cursor.close()


def an_attachment(session: Session, stream: FrameStream) -> tuple[Attachment, Cursor]:
    node = SimpleNamespace(
        client_numbers=iter(range(9)),
        sessions=SimpleNamespace(keyboard=SimpleNamespace(is_typing=lambda: False)),
    )
    attachment = Attachment(node, stream, session)  # type: ignore[arg-type]
    return attachment, session.cursor(0, attachment._peer.waker)


@pytest.mark.timeout(30)
def test_an_attached_terminal_gets_the_last_byte(session: Session, client: Client) -> None:
    attachment, cursor = an_attachment(session, client.stream)
    forward = LastMoment(session, attachment._forward, False)
    attachment._forward = forward  # type: ignore[method-assign]
    attachment._pump(cursor)
    client.stream.shutdown()
    frames = client.frames()
    assert b"".join(data for kind, data in frames if kind != CONTROL) == LAST
    assert json.loads(frames[-1][1])["type"] == "Error"
    cursor.close()


@pytest.mark.timeout(30)
@needs_holes
def test_freed_bytes_are_never_sent(tmp_path: Path, client: Client) -> None:
    """A stalled client's frame is under way when the budget frees its bytes: zeros in the file."""
    log = open_log(str(tmp_path / "output.log"), 4 * FRAME_BYTES)
    session = Session(Record(1, ["x"], "/", 0), str(tmp_path / "output.log"), "")
    session._log = log
    client.stream._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    attachment, cursor = an_attachment(session, client.stream)
    log.take_bytes(b"a" * FRAME_BYTES)
    outcome: list[BaseException | None] = []
    finished = threading.Event()

    def send() -> None:
        try:
            attachment._forward(cursor)
            outcome.append(None)
        except ConnectionLost as error:
            outcome.append(error)
        client.stream.shutdown()
        finished.set()

    spawn(send)
    head = client.sock.recv(1000)
    # Twice what may be kept: the frame's bytes are holes now.
    for _ in range(12):
        log.take_bytes(b"b" * FRAME_BYTES)
    assert log.first > FRAME_BYTES
    got = bytearray(head[5:])
    while data := client.sock.recv(65536):
        got += data
    assert finished.wait(10)
    assert set(got) == {ord("a")}
    if GEVENT:
        assert isinstance(outcome[0], ConnectionLost), "the frame could not be finished"
    else:
        assert len(got) == FRAME_BYTES, "it was read before"
    cursor.close()
    log.release()


def test_a_file_is_not_sent_past_its_hold(tmp_path: Path, client: Client) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(ConnectionLost, match="freed"):
        client.stream.send_file(fd, 0, 100, lambda offset: False)
    client.stream.shutdown()
    assert b"x" not in client.sock.recv(1000)
    os.close(fd)


class Bus:
    """Notes what is published."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.news = threading.Event()

    def publish(self, number: int, tags: object, kind: str, data: Any, path: str) -> None:
        self.totals.append(data["total_bytes"])
        self.news.set()


@pytest.mark.timeout(30)
def test_a_summary_that_is_put_off_comes_all_the_same(session: Session) -> None:
    """At most one a second; the totals of what came right after one need no further output."""
    bus = Bus()
    observer = Observer(lambda: [session], bus)  # type: ignore[arg-type]
    session.log.watch(observer.waker)
    spawn(observer.run)
    session.log.take_bytes(b"one\n")
    assert bus.news.wait(10)
    bus.news.clear()
    session.log.take_bytes(b"two\n")
    observer.catch_up(session)  # as a status request does
    assert bus.news.wait(10), "without a word more"
    assert bus.totals == [4, 8]
    session.life.state = State.CLOSED


@pytest.mark.timeout(30)
def test_one_log_that_cannot_be_counted_costs_no_other(session: Session, tmp_path: Path) -> None:
    class Bad(Session):
        def grow_count(self) -> int:
            raise RuntimeError("broken")

    bad = Bad(Record(2, ["x"], "/", 0), str(tmp_path / "bad.log"), "")
    bus = Bus()
    observer = Observer(lambda: [bad, session], bus)  # type: ignore[arg-type]
    session.log.watch(observer.waker)
    spawn(observer.run)
    session.log.take_bytes(b"one\n")
    assert bus.news.wait(10)
    session.life.state = State.CLOSED
    bad.life.state = State.CLOSED
