"""WebSocketStream over real sockets, in both roles."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from codewire.errors import ConnectionLost, ProtocolError
from codewire.io.websockets import CLOSE_SECONDS, MAX_URGENT, WebSocketStream
from codewire.wire.frames import CONTROL, DATA
from codewire.wire.websocket import (
    PING,
    TEXT,
    Closed,
    Event,
    Message,
    Ping,
    Pong,
    Receiver,
    encode,
    encode_close,
)
from tests.kernel import needs_hangups

MASK = b"abcd"


class Peer:
    """The other end, spoken by hand."""

    def __init__(self, sock: socket.socket, is_server: bool) -> None:
        self.sock = sock
        self.sock.settimeout(10)
        self.mask = None if is_server else MASK
        self._receiver = Receiver(is_server=is_server)

    def send(self, opcode: int, payload: bytes = b"") -> None:
        self.sock.sendall(encode(opcode, payload, self.mask))

    def event(self) -> Event | None:
        """Return the next event, None at the end."""
        while (event := self._receiver.next_event()) is None:
            data = self.sock.recv(65536)
            if not data:
                return None
            self._receiver.feed(data)
        return event


@pytest.fixture(params=["server", "client"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[WebSocketStream, Peer]]:
    """A stream in either role, and its peer."""
    is_server = request.param == "server"
    left, right = socket.socketpair()
    left.settimeout(10)
    stream = WebSocketStream(left, is_server=is_server)
    peer = Peer(right, not is_server)
    yield stream, peer
    right.close()
    stream.close()


Pair = tuple[WebSocketStream, Peer]


def test_messages_are_frames(pair: Pair) -> None:
    stream, peer = pair
    peer.send(TEXT, b'{"type":"X"}')
    peer.send(2, b"\x00\xff")
    assert stream.receive() == (CONTROL, b'{"type":"X"}')
    assert stream.receive() == (DATA, b"\x00\xff")
    stream.send_control({"a": "é", "none": None})
    stream.send_data(b"raw")
    assert peer.event() == Message(TEXT, '{"a":"é"}'.encode())
    assert peer.event() == Message(2, b"raw")


def test_pings_are_answered_between_messages(pair: Pair) -> None:
    stream, peer = pair
    peer.send(PING, b"1")
    peer.send(2, b"x")
    assert stream.receive() == (DATA, b"x")
    assert peer.event() == Pong(b"1")
    stream.ping()
    assert peer.event() == Ping(b"")


def test_pongs_do_not_mix_with_a_large_message(pair: Pair) -> None:
    """The writer is stuck in 8 MiB when pings come: their pongs follow it, whole."""
    stream, peer = pair
    payload = os.urandom(1 << 23)
    writer = threading.Thread(target=stream.send_data, args=(payload,))
    writer.start()
    reader = threading.Thread(target=stream.receive)
    reader.start()
    for number in range(5):
        peer.send(PING, b"%d" % number)
    peer.send(2, b"end")
    reader.join(10)
    assert not reader.is_alive(), "the reader waits for the writer"
    found = [peer.event() for _ in range(6)]
    writer.join(10)
    assert Message(2, payload) in found
    assert [event for event in found if isinstance(event, Pong)] == [
        Pong(b"%d" % number) for number in range(5)
    ]


def test_the_peers_close_is_answered_and_is_the_end(pair: Pair) -> None:
    stream, peer = pair
    peer.sock.sendall(encode_close(1000, "", peer.mask))
    assert stream.receive() is None
    assert peer.event() == Closed(1000, "")
    with pytest.raises(ConnectionLost):
        stream.send_data(b"late")


def test_a_lost_peer_is_the_end(pair: Pair) -> None:
    stream, peer = pair
    peer.sock.sendall(encode(TEXT, b"half", peer.mask)[:-1])
    peer.sock.close()
    assert stream.receive() is None
    assert not stream.is_half_open()


def test_offences_are_named_in_the_close_frame(pair: Pair) -> None:
    stream, peer = pair
    peer.send(TEXT, b"\xff")
    with pytest.raises(ProtocolError, match="UTF-8"):
        stream.receive()
    event = peer.event()
    assert isinstance(event, Closed) and event.code == 1007
    peer.sock.close()


def test_shutdown_says_goodbye_and_waits_for_the_peers(pair: Pair) -> None:
    stream, peer = pair
    stream.send_data(b"last")
    stream.shutdown()
    assert peer.event() == Message(2, b"last")
    assert peer.event() == Closed(1000, "")
    peer.send(2, b"not wanted any more")
    peer.sock.sendall(encode_close(1000, "", peer.mask))
    assert stream.receive() is None


def test_shutdown_frees_a_stuck_writer(pair: Pair) -> None:
    stream, _ = pair
    outcome: list[Exception] = []

    def write() -> None:
        try:
            stream.send_data(bytes(1 << 24))
        except ConnectionLost as error:
            outcome.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.2)
    stream.shutdown()
    writer.join(10)
    assert len(outcome) == 1


def test_a_server_does_not_wait_for_a_goodbye_for_ever() -> None:
    left, right = socket.socketpair()
    stream = WebSocketStream(left, is_server=True)
    started = time.monotonic()
    stream.close()
    assert CLOSE_SECONDS - 0.1 < time.monotonic() - started < CLOSE_SECONDS + 20
    right.close()


def test_large_messages_are_refused_before_they_are_sent() -> None:
    left, right = socket.socketpair()
    stream = WebSocketStream(left, is_server=False, peer_limit=100)
    with pytest.raises(ProtocolError, match="takes 100 bytes"):
        stream.send_data(bytes(101))
    stream.send_data(bytes(100))
    stream.close()
    right.close()


def test_quiet_counts_only_while_somebody_listens() -> None:
    left, right = socket.socketpair()
    left.settimeout(10)
    stream = WebSocketStream(left, is_server=True)
    assert stream.quiet_seconds(time.monotonic() + 100) == 0
    reader = threading.Thread(target=stream.receive)
    reader.start()
    deadline = time.monotonic() + 10
    while not stream.quiet_seconds(time.monotonic() + 100) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stream.quiet_seconds(time.monotonic() + 100) > 90
    stream.abort()
    reader.join(10)
    stream.close()
    right.close()


def test_pongs_that_wait_are_bounded(pair: Pair) -> None:
    """The writer is stuck; a peer that pings on and on gets the newest answered."""
    stream, peer = pair
    with stream._lock:
        pings = [encode(PING, b"%d" % number, peer.mask) for number in range(10 * MAX_URGENT)]
        peer.sock.sendall(b"".join(pings))
        peer.send(TEXT, b"{}")
        assert stream.receive() == (CONTROL, b"{}")
        assert len(stream._urgent) == MAX_URGENT
    stream.send_data(b"x")
    events = [peer.event() for _ in range(MAX_URGENT + 1)]
    assert events[-1] == Pong(b"%d" % (10 * MAX_URGENT - 1))


@needs_hangups
def test_a_peer_that_closed_has_left_although_bytes_are_unread() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    peer = socket.create_connection(listener.getsockname())
    sock, _ = listener.accept()
    listener.close()
    stream = WebSocketStream(sock, is_server=True)
    peer.sendall(encode(TEXT, b"unread", MASK))
    assert not stream.has_left()
    peer.close()
    deadline = time.monotonic() + 10
    while not stream.has_left():
        assert time.monotonic() < deadline
    stream.close()


def test_a_dead_peer_is_found_behind_what_is_not_read() -> None:
    """Its end cannot come through, the buffers are full; a ping is answered with a reset."""
    listener = socket.create_server(("127.0.0.1", 0))
    peer = socket.create_connection(listener.getsockname())
    sock, _ = listener.accept()
    listener.close()
    stream = WebSocketStream(sock, is_server=True)
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            peer.send(b"x" * 65536)
    peer.close()
    assert not stream._is_over()
    deadline = time.monotonic() + 30
    while not stream.has_left():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stream.close()


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_goodbye_comes_only_between_frames_that_are_passed_on(pair: Pair, is_whole: bool) -> None:
    stream, peer = pair
    stream.begin_passing()
    frame = encode(TEXT, b"x" * 300, None if peer.mask else MASK)
    stream.send_bytes(frame if is_whole else frame[:200])
    stream.shutdown(1012)
    data = b"".join(iter(lambda: peer.sock.recv(1000), b""))
    goodbye = data[len(frame) :] if is_whole else data[200:]
    assert len(goodbye) == (4 + (0 if peer.mask else 4) if is_whole else 0)


def test_nothing_follows_a_goodbye_that_was_passed_on(pair: Pair) -> None:
    stream, peer = pair
    stream.begin_passing()
    goodbye = encode_close(1000, "", None if peer.mask else MASK)
    stream.send_bytes(goodbye)
    with pytest.raises(ConnectionLost):
        stream.send_bytes(b"more")
    stream.shutdown(1012)
    assert b"".join(iter(lambda: peer.sock.recv(1000), b"")) == goodbye
