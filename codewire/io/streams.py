"""Frames over a connected socket: the thin driver over wire.frames.

Both ends use it. "The peer went away" is None from `receive`, ConnectionLost from a send.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from codewire.errors import ConnectionLost
from codewire.io.transient import PAUSE_SECONDS, is_transient
from codewire.wire.control import control_frame
from codewire.wire.frames import DATA, FrameDecoder, encode_frame, encode_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Transport(Protocol):
        """What carries frames as a socket does: TLS over one, a WebSocket's binary messages."""

        def recv(self, limit: int, /) -> bytes:
            """Return some bytes, b"" at the end."""

        def sendall(self, data: bytes, /) -> None:
            """Send all of it."""

        def settimeout(self, seconds: float | None, /) -> None:
            """Bound every later read and write."""

        def fileno(self) -> int:
            """Return the descriptor."""

        def shutdown(self, how: int, /) -> None:
            """End it."""

        def close(self) -> None:
            """Close it."""


RECEIVE_BYTES = 65536


class FrameStream:
    """One connection, framed as spec/wire.md 2 says. Any one thread may read, any one may write."""

    # A client may ask again on the same connection if it is this quick; then the node closes,
    # since upstream does and some clients read to the end.
    linger_seconds = 0.005

    def __init__(self, sock: socket.socket | Transport) -> None:
        self._sock = sock
        self._decoder = FrameDecoder()
        self._closed = False

    def fileno(self) -> int:
        """Return the socket's descriptor, for waiting on it."""
        return self._sock.fileno()

    def probe(self) -> bool:
        """Ask for a sign of life where that can be done; False when the last one never came."""
        return True

    def peer_pid(self) -> int:
        """Return the pid of who listens at the other end (io/peers.py); 0 if unknown."""
        from codewire.io.peers import peer_pid

        return peer_pid(self._sock) if isinstance(self._sock, socket.socket) else 0

    def bound_frames(self, max_payload: int) -> None:
        """Take no frame with more than so many bytes from now on (the format has 16 MiB)."""
        self._decoder.max_payload = max_payload

    def set_timeout(self, seconds: float | None) -> None:
        """Bound every later `receive` and send; past it they raise TimeoutError."""
        self._sock.settimeout(seconds)

    def next_frame(self) -> tuple[int, bytes] | None:
        """Return a frame that has arrived whole already, else None; never blocks."""
        return self._decoder.next_frame()

    def receive(self) -> tuple[int, bytes] | None:
        """Return the next (kind, payload); None when the peer has gone. Blocks.

        Raises ProtocolError on a frame the format does not allow; the stream is then unusable.
        """
        while True:
            frame = self.next_frame()
            if frame is not None:
                return frame
            if not self.fill():
                self.finish()
                return None

    def fill(self) -> bool:
        """Read once from the socket, blocking; False when the peer has gone."""
        while True:
            try:
                data = self._sock.recv(RECEIVE_BYTES)
                break
            except TimeoutError:
                raise
            except OSError as error:
                # ECONNRESET: the peer closed with bytes of ours unread (spec/wire.md 2).
                if not _passes(error):
                    return False
            time.sleep(PAUSE_SECONDS)
        self._decoder.feed(data)
        return bool(data)

    def finish(self) -> None:
        """Say, after `fill` was False, that nothing more comes. Raises ProtocolError mid-frame."""
        self._decoder.finish()

    def send_control(self, message: dict[str, Any]) -> None:
        """Send one control frame. Blocks until the kernel has it; raises ConnectionLost."""
        self._send(control_frame(message))

    def send_data(self, data: bytes) -> None:
        """Send one data frame of at most MAX_PAYLOAD bytes. Raises ConnectionLost."""
        self._send(encode_frame(DATA, data))

    def send_frame(self, kind: int, payload: bytes) -> None:
        """Send one frame whose payload is ready. Raises ConnectionLost."""
        self._send(encode_frame(kind, payload))

    def try_send_data(self, data: bytes) -> bool:
        """Send one small data frame if the socket takes it now; False when it has to be polled.

        Without asking the kernel first, which costs a key more than its own way. Never waits: a
        Unix socket takes what fits one buffer whole or not at all; others are left to be polled.
        The sockets of gevent wait whatever the flags say, but their descriptors never do. Raises
        ConnectionLost.
        """
        sock = self._sock
        if not isinstance(sock, socket.socket) or sock.family != socket.AF_UNIX:
            return False
        frame = encode_frame(DATA, data)
        try:
            if type(sock).__module__ == "socket":
                sent = sock.send(frame, socket.MSG_DONTWAIT)
            else:
                sent = os.write(sock.fileno(), frame)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ConnectionLost(f"connection lost: {error.strerror or error}") from error
        if sent < len(frame):
            self._send(frame[sent:])
        return True

    @property
    def sends_files(self) -> bool:
        """Say whether `send_file` works: on a plain socket, where nothing preempts its checks."""
        # Of nodes only: a client starts faster without it.
        from codewire.io.wait import GEVENT

        return GEVENT and hasattr(os, "sendfile") and isinstance(self._sock, socket.socket)

    def send_file(self, file: int, offset: int, count: int, holds: Callable[[int], bool]) -> None:
        """Send one data frame with `count` bytes of a file, without copying them (sendfile(2)).

        `holds(offset)` says whether the bytes from there on are still in the file. When they are
        freed before they are sent, the frame cannot be finished and ConnectionLost is raised: the
        client comes back and is told of the gap.
        """
        from codewire.io.wait import wait_writable

        fd = self._sock.fileno()
        try:
            self._send_header(encode_header(DATA, count))
            end = offset + count
            while offset < end:
                if not holds(offset):
                    raise ConnectionLost("the log was freed while it was being sent")
                try:
                    sent = os.sendfile(fd, file, offset, end - offset)
                except BlockingIOError:
                    wait_writable(fd)
                    continue
                if not sent:
                    raise ConnectionLost("the log is shorter than it was")
                offset += sent
        except OSError as error:
            raise ConnectionLost(f"connection lost: {error.strerror or error}") from error

    def _send_header(self, header: bytes) -> None:
        """Send a frame's first bytes; the kernel may wait for what follows."""
        assert isinstance(self._sock, socket.socket)
        sent = self._sock.send(header, getattr(socket, "MSG_MORE", 0))
        if sent < len(header):
            self._sock.sendall(header[sent:])

    def _send(self, frame: bytes) -> None:
        try:
            # gevent's sendall costs as much as all the rest of a keystroke; most frames fit.
            if isinstance(self._sock, socket.socket):
                sent = self._send_some(frame)
                if sent == len(frame):
                    return
                view = memoryview(frame)[sent:]
                while view:
                    view = view[self._send_some(view) :]
            else:
                self._sock.sendall(frame)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(f"connection lost: {error.strerror or error}") from error

    def _send_some(self, data: bytes | memoryview) -> int:
        assert isinstance(self._sock, socket.socket)
        while True:
            try:
                return self._sock.send(data)
            except OSError as error:
                if not _passes(error):
                    raise
            time.sleep(PAUSE_SECONDS)

    @property
    def was_dismissed(self) -> bool:
        """Say whether the peer said goodbye before we did, meaning it. A Unix socket has no way."""
        return False

    def is_half_open(self) -> bool:
        """Say, after the peer's EOF, whether it only stopped writing and still listens.

        Only a Unix socket tells: both directions shut is POLLHUP.
        """
        import select

        poller = select.poll()
        poller.register(self._sock.fileno(), 0)
        return not poller.poll(0)

    def has_left(self) -> bool:
        """Say whether the peer wants no answer any more. For who reads nothing; never blocks.

        One that only stopped writing, as old clients do after a request, is still there.
        """
        return self._closed or not self.is_half_open()

    def may_receive(self) -> bool:
        """Say whether `fill` would not block."""
        import select

        poller = select.poll()
        poller.register(self._sock.fileno(), select.POLLIN)
        return bool(poller.poll(0))

    def shutdown(self) -> None:
        """End the connection from any thread: a blocked `receive` returns None. Idempotent."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        """Close the socket; only the thread that reads it may. Idempotent."""
        if not self._closed:
            self._closed = True
            self._sock.close()


def _passes(error: OSError) -> bool:
    """Say whether to try again; EAGAIN is for who made the socket non-blocking."""
    return error.errno != errno.EAGAIN and is_transient(error)
