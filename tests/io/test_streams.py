"""Frames over real socket pairs: whole, in order, with the ways a peer can go."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from codewire.errors import ConnectionLost, ProtocolError
from codewire.io.streams import FrameStream
from codewire.wire.frames import CONTROL, DATA, MAX_PAYLOAD

Pair = tuple[FrameStream, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    stream = FrameStream(ours)
    theirs.settimeout(10)
    yield stream, theirs
    stream.close()
    theirs.close()


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BI", kind, len(payload)) + payload


def send_in_pieces(peer: socket.socket, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        peer.sendall(data[start : start + size])


def test_frames_arrive_whole_however_they_are_cut(pair: Pair) -> None:
    stream, peer = pair
    data = frame(CONTROL, b'{"a":1}') + frame(DATA, b"") + frame(DATA, b"x" * 1000)
    for size in (1, 2, 5, 6, 7, 500, len(data)):
        # On a thread: a socket holds only some hundred tiny writes.
        sender = threading.Thread(target=send_in_pieces, args=(peer, data, size))
        sender.start()
        received = [stream.receive() for _ in range(3)]
        sender.join(10)
        assert received == [(CONTROL, b'{"a":1}'), (DATA, b""), (DATA, b"x" * 1000)]
    assert stream.next_frame() is None


def test_what_is_sent_is_framed(pair: Pair) -> None:
    stream, peer = pair
    stream.send_control({"type": "X", "none": None, "text": "é"})
    stream.send_data(b"\0\xff")
    wanted = frame(CONTROL, '{"type":"X","text":"é"}'.encode()) + frame(DATA, b"\0\xff")
    assert peer.recv(1000) == wanted


@pytest.mark.parametrize("rest", [b"", b"\0", b"\0\0\0\0"])
def test_an_end_between_frames_is_clean(pair: Pair, rest: bytes) -> None:
    stream, peer = pair
    peer.sendall(frame(DATA, b"last") + rest)
    peer.close()
    assert stream.receive() == (DATA, b"last")
    assert stream.receive() is None


def test_an_end_inside_a_payload_is_not(pair: Pair) -> None:
    stream, peer = pair
    peer.sendall(frame(DATA, b"lost")[:-1])
    peer.close()
    with pytest.raises(ProtocolError):
        stream.receive()


@pytest.mark.parametrize(
    "data", [struct.pack(">BI", 0, MAX_PAYLOAD + 1), b"\0\xff\xff\xff\xff", frame(9, b"x")]
)
def test_bad_frames_are_refused(pair: Pair, data: bytes) -> None:
    stream, peer = pair
    peer.sendall(data)
    with pytest.raises(ProtocolError):
        stream.receive()


def test_a_peer_that_closed_with_our_bytes_unread_is_gone(pair: Pair) -> None:
    """ECONNRESET is an end, after what it had sent: spec/wire.md 2."""
    stream, peer = pair
    stream.send_data(b"never read")
    peer.sendall(frame(DATA, b"answer"))
    peer.close()
    assert stream.receive() == (DATA, b"answer")
    assert stream.receive() is None


def test_sending_to_nobody(pair: Pair) -> None:
    stream, peer = pair
    peer.close()
    with pytest.raises(ConnectionLost):
        for _ in range(3):
            stream.send_data(b"x")


def test_shutdown_wakes_a_blocked_reader(pair: Pair) -> None:
    stream, _ = pair
    received: list[object] = []
    reader = threading.Thread(target=lambda: received.append(stream.receive()))
    reader.start()
    time.sleep(0.05)
    assert reader.is_alive()
    stream.shutdown()
    reader.join(10)
    assert received == [None]


def test_shutdown_wakes_a_blocked_writer(pair: Pair) -> None:
    stream, _ = pair
    failed = threading.Event()

    def write() -> None:
        with pytest.raises(ConnectionLost):
            while True:
                stream.send_data(b"x" * 65536)
        failed.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert not failed.wait(0.05)
    stream.shutdown()
    assert failed.wait(10)
    writer.join(10)


def test_a_slow_peer_gets_everything(pair: Pair) -> None:
    stream, peer = pair
    payload = bytes(range(256)) * 8192  # 2 MiB: far more than a socket holds

    writer = threading.Thread(target=stream.send_data, args=(payload,))
    writer.start()
    received = b""
    while len(received) < len(payload) + 5:
        received += peer.recv(5000)
    writer.join(10)
    assert received == frame(DATA, payload)


def test_waiting_is_bounded_when_asked(pair: Pair) -> None:
    stream, peer = pair
    stream.set_timeout(0.05)
    with pytest.raises(TimeoutError):
        stream.receive()
    stream.set_timeout(None)
    peer.sendall(frame(DATA, b"late"))
    assert stream.receive() == (DATA, b"late")


def test_half_open_and_gone(pair: Pair) -> None:
    stream, peer = pair
    peer.shutdown(socket.SHUT_WR)
    assert stream.receive() is None
    assert stream.is_half_open()
    stream.send_data(b"still")
    assert peer.recv(100) == frame(DATA, b"still")
    peer.close()
    assert not stream.is_half_open()


def test_closing_twice(pair: Pair) -> None:
    stream, _ = pair
    stream.close()
    stream.close()
    stream.shutdown()


def test_who_closed_has_left_and_who_only_stopped_writing_has_not(pair: Pair) -> None:
    stream, peer = pair
    assert not stream.has_left()
    assert not stream.may_receive()
    peer.sendall(frame(DATA, b"unread"))
    assert stream.may_receive()
    peer.shutdown(socket.SHUT_WR)
    assert not stream.has_left()
    peer.close()
    assert stream.has_left()
    assert stream.receive() == (DATA, b"unread")
    stream.close()
    assert stream.has_left()


class ShortOfMemory(socket.socket):
    """Fails every call twice before it succeeds, and sends little at a time."""

    failures = 2

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self.failures = 2

    def recv(self, size: int, flags: int = 0) -> bytes:  # type: ignore[override]
        self._fail()
        return super().recv(size, flags)

    def send(self, data: Any, flags: int = 0) -> int:  # type: ignore[override]
        self._fail()
        return super().send(data[:40], flags)


def test_a_shortage_is_no_lost_peer() -> None:
    ours, theirs = socket.socketpair()
    stream = FrameStream(ShortOfMemory(fileno=ours.detach()))
    peer = FrameStream(theirs)
    stream.send_data(b"x" * 100)
    assert peer.receive() == (DATA, b"x" * 100)
    peer.send_data(b"y")
    assert stream.receive() == (DATA, b"y")
    peer.close()
    assert stream.receive() is None
    stream.close()


def test_a_key_is_sent_at_once_and_never_waits() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = FrameStream(ours)
        assert stream.try_send_data(b"k")
        assert FrameStream(theirs).receive() == (1, b"k")
        # Nobody reads any more: sooner or later it is refused whole, in no time.
        sent = 0
        while stream.try_send_data(b"x" * 1024):
            sent += 1
            assert sent < 100_000
        frames = FrameStream(theirs)
        assert [frames.receive() for _ in range(sent)] == [(1, b"x" * 1024)] * sent
        assert stream.try_send_data(b"k")
    with pytest.raises(ConnectionLost):
        stream.try_send_data(b"k")
