"""Frames over a WebSocket: a text message is a control frame, a binary one is data (wire.md 1).

The driver of wire/websocket.py on both ends, with the interface of FrameStream, so that handlers
and clients need not know which they have. Also keeps the connection's liveness in view; what is
done about a dead peer is its owner's decision.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from codewire.errors import ConnectionLost, ProtocolError
from codewire.io.peers import has_hung_up
from codewire.io.states import StateMachine
from codewire.io.streams import RECEIVE_BYTES, FrameStream
from codewire.wire import closing, websocket
from codewire.wire.closing import Event
from codewire.wire.control import encode_control
from codewire.wire.frames import CONTROL, DATA

if TYPE_CHECKING:
    from codewire.io.tls import TlsSocket
    from codewire.wire.framebounds import FrameBounds

# How long a server waits for the peer's half of the closing handshake.
CLOSE_SECONDS = 2.0
# How often a peer is pinged that is not read from, because a session does not take its input.
PROBE_SECONDS = 2.0
# Going away, restarting, try again later (RFC 6455 7.4.1, IANA's registry): ask again.
COMING_BACK = frozenset((websocket.GOING_AWAY, 1012, 1013))
# Answers to pings that wait for a blocked writer; a peer that asks for more gets the newest.
MAX_URGENT = 32


class WebSocketStream(FrameStream):
    """One connection after its handshake. Any one thread may read, any one may write.

    `peer_limit` is the largest message the peer takes (bytes, 0: any), `max_message` the largest
    we take. `received` is what came with the handshake's last bytes.
    """

    # A remote client may need a round trip to ask again, say attach after resolving a name.
    linger_seconds = 2.0

    def __init__(
        self,
        sock: socket.socket | TlsSocket,
        *,
        is_server: bool,
        peer_limit: int = 0,
        received: bytes = b"",
        max_message: int = websocket.MAX_MESSAGE,
        awaits_close: bool = False,
    ) -> None:
        super().__init__(sock)
        self._is_server = is_server
        # Whoever speaks last waits for the peer's goodbye: a server, and a node that dialled back.
        self._awaits_close = is_server or awaits_close
        # What the peer's close frame said, 0 and "" without one.
        self.close_code, self.close_reason = 0, ""
        self.peer_limit = peer_limit
        self._receiver = websocket.Receiver(is_server=is_server, max_message=max_message)
        self._receiver.feed(received)
        # Held across a send: the bytes of two frames must not mix. Only a writer waits for it;
        # a reader leaves its pong in `_urgent`, and whoever holds the lock sends that too.
        self._lock = threading.Lock()
        # A list, being mostly empty: there may be thousands.
        self._urgent: list[bytes] = []
        self._end = StateMachine(closing.State.OPEN, closing.TRANSITIONS)
        self._was_dismissed = False
        self._is_reading = False
        self._heard = time.monotonic()
        self.closing_since: float | None = None
        # Whether the peer is known to answer pings whatever it is busy with, and whether it has
        # been silent since the last one. Those of another make need not read all the time.
        self.answers_pings = False
        self._is_asked = False
        self._probed = time.monotonic()
        # What was passed on to the peer, once bytes are instead of frames.
        self._passed: FrameBounds | None = None

    # Receiving

    def next_frame(self) -> tuple[int, bytes] | None:
        """Return a frame that has arrived whole already, else None; answers pings on the way.

        Raises ProtocolError after telling the peer what it did wrong.
        """
        while True:
            try:
                event = self._receiver.next_event()
            except websocket.Violation as violation:
                self._end.happens(Event.VIOLATED)
                self._say_close(violation.close_code, str(violation))
                raise
            if event is None:
                return None
            if isinstance(event, websocket.Message):
                # After our goodbye the rest is no longer wanted.
                if not self._said_close():
                    kind = CONTROL if event.opcode == websocket.TEXT else DATA
                    return kind, event.data
            elif isinstance(event, websocket.Ping):
                self._send_urgent(websocket.encode(websocket.PONG, event.data, self._mask()))
            elif isinstance(event, websocket.Closed):
                self.close_code, self.close_reason = event.code, event.reason
                self._was_dismissed = not self._said_close() and event.code not in COMING_BACK
                self._end.happens(Event.PEER_ENDED)
                self._say_close(event.code)

    def fill(self) -> bool:
        """Read once from the socket, blocking; False when the peer has closed or gone.

        Over TLS one read may complete no record: then it is True, and there is no new frame.
        """
        if self._is_over():
            return False
        self._heard = time.monotonic()
        self._is_reading = True
        try:
            data = self._sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except TimeoutError:
            raise
        except OSError:
            data = b""
        finally:
            self._is_reading = False
        if not data:
            self._end.happens(Event.PEER_ENDED)
            return False
        self._is_asked = False
        self._receiver.feed(data)
        return True

    @property
    def was_dismissed(self) -> bool:
        """Say whether the peer said goodbye before we did, and not because it goes away for now."""
        return self._was_dismissed

    def finish(self) -> None:
        """Nothing to check: an end without a close frame is an end all the same."""

    def is_half_open(self) -> bool:
        """Return False: a peer that has closed wants nothing more."""
        return False

    def has_left(self) -> bool:
        """Say whether the peer has closed or gone. Never blocks; asks for a sign now and then.

        The end of one that is gone may be stuck behind bytes not taken off the socket; its kernel
        answers a ping with a reset.
        """
        if self._is_over() or self._closed:
            return True
        now = time.monotonic()
        if now - self._probed > PROBE_SECONDS:
            self._probed = now
            self.ping()
        return has_hung_up(self._sock.fileno())

    # Sending

    def send_control(self, message: dict[str, Any]) -> None:
        """Send one control frame. Raises ConnectionLost, and ProtocolError for one too large."""
        self.send_frame(CONTROL, encode_control(message))

    def send_data(self, data: bytes) -> None:
        """Send one data frame. Raises ConnectionLost, and ProtocolError for one too large."""
        self.send_frame(DATA, data)

    def send_frame(self, kind: int, payload: bytes) -> None:
        """Send one message whose payload is ready. Blocks until the kernel has it."""
        if 0 < self.peer_limit < len(payload):
            raise ProtocolError(
                f"request of {len(payload)} bytes is too large: "
                f"this node takes {self.peer_limit} bytes in one message"
            )
        opcode = websocket.TEXT if kind == CONTROL else websocket.BINARY
        frame = websocket.encode(opcode, payload, self._mask())
        with self._lock:
            if self._said_close():
                raise ConnectionLost("connection closed")
            self._send(frame)
        self._flush_urgent()

    @property
    def sends_files(self) -> bool:
        """Return False: a message goes out under this class's lock, in its own framing."""
        return False

    def ping(self) -> None:
        """Ask for a sign of life. Never blocks: a peer that reads nothing is not asked."""
        if not self._said_close() and self._is_writable():
            self._send_urgent(websocket.encode(websocket.PING, b"", self._mask()))

    def probe(self) -> bool:
        """Ask for a sign of life; False when nothing at all has come since it was last asked for.

        Never blocks. True for a peer that is not known to give one.
        """
        if self._is_asked and self.answers_pings:
            return False
        self._is_asked = True
        self.ping()
        return True

    def quiet_seconds(self, now: float) -> float:
        """Return for how long a reader has waited in vain while nothing was being sent.

        Bytes that are not taken off the socket, because a session does not read its input, do not
        count against the peer; nor does a blocked send, whose peer the kernel watches.
        """
        return now - self._heard if self._is_reading and not self._lock.locked() else 0.0

    def _mask(self) -> bytes | None:
        return None if self._is_server else os.urandom(4)

    def _send_urgent(self, frame: bytes) -> None:
        self._urgent.append(frame)
        del self._urgent[:-MAX_URGENT]
        self._flush_urgent()

    def _flush_urgent(self) -> None:
        """Send what is urgent unless a writer is at it: that one looks again when it is done."""
        while self._urgent and self._lock.acquire(blocking=False):
            try:
                while self._urgent and not self._said_close():
                    self._send(self._urgent.pop(0))
            except (ConnectionLost, TimeoutError):
                self._urgent.clear()
            finally:
                self._lock.release()
            if self._said_close():
                return

    def _is_writable(self) -> bool:
        poller = select.poll()
        try:
            poller.register(self._sock.fileno(), select.POLLOUT)
        except (ValueError, OSError):
            return False
        return any(events & select.POLLOUT for _, events in poller.poll(0))

    # Bytes that are passed on, frames and all

    def begin_passing(self) -> None:
        """Have bytes passed on from now on (`pass_on`) instead of frames, with all pings."""
        from codewire.wire.framebounds import FrameBounds

        self._passed = FrameBounds()

    def pass_on(self, sink: WebSocketStream) -> None:
        """Pass on to another what comes, until either has gone. Blocks; raises ConnectionLost."""
        data = self._receiver.take_rest()
        while data or (data := self._next_bytes(sink)):
            sink.send_bytes(data)
            data = b""
        self._end.happens(Event.PEER_ENDED)

    def _next_bytes(self, sink: WebSocketStream) -> bytes:
        """Return what the sink does not take just now, b"" at the end."""
        from codewire.io.wait import pump

        if isinstance(self._sock, socket.socket) and isinstance(sink._sock, socket.socket):
            return pump(self._sock.fileno(), sink._take_bytes, RECEIVE_BYTES)
        while True:
            try:
                return self._sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    def _take_bytes(self, data: bytes) -> int:
        """Send what the socket takes now; return how much, 0 where it is full or gone."""
        if self._end.state is not closing.State.OPEN or not self._lock.acquire(blocking=False):
            return 0
        try:
            sent = os.write(self._sock.fileno(), data)
            self._note_passed(data if sent == len(data) else data[:sent])
            return sent
        except OSError:
            return 0
        finally:
            self._lock.release()

    def send_bytes(self, data: bytes) -> None:
        """Send what somebody else has framed. Blocks; raises ConnectionLost."""
        with self._lock:
            if self._said_close():
                raise ConnectionLost("connection closed")
            self._note_passed(data)
            self._send(data)

    def _note_passed(self, data: bytes) -> None:
        assert self._passed is not None
        self._passed.feed(data)
        if self._passed.has_closed:
            self._end.happens(Event.SAID_CLOSE)

    # The end

    def _is_over(self) -> bool:
        """Say whether nothing more comes: the peer has closed, is gone, or broke the protocol."""
        return self._end.state not in closing.LISTENING

    def _said_close(self) -> bool:
        return self._end.state in closing.SAID_ALL

    def _say_close(self, code: int, reason: str = "") -> bool:
        """Send a close frame if that does not block; say whether one has been sent by now."""
        if self._said_close():
            return True
        if not self._lock.acquire(blocking=False):
            return False
        try:
            # In the middle of a frame that is passed on there is no way to say it.
            if (self._passed is None or self._passed.is_between) and self._is_writable():
                frame = websocket.encode_close(code, reason, self._mask())
                self._end.happens(Event.SAID_CLOSE)
                self._send(frame)
        except (ConnectionLost, TimeoutError):
            pass
        finally:
            self._lock.release()
        return self._said_close()

    def shutdown(self, code: int = websocket.NORMAL, reason: str = "") -> None:
        """End the connection from any thread; a blocked `receive` returns None. Idempotent.

        With a goodbye where one gets through: the reader then waits for the peer's, and the
        node's watchdog for no longer than CLOSE_SECONDS.
        """
        if self._is_over() or not self._say_close(code, reason):
            super().shutdown()
        elif self.closing_since is None:
            self.closing_since = time.monotonic()
            if self._passed is not None:
                self._end_writing()

    def _end_writing(self) -> None:
        """Show the peer the end: its goodbye goes by unread here, and cannot be waited for."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def abort(self) -> None:
        """End the connection at once: a blocked `receive` returns None, a blocked send raises."""
        super().shutdown()

    def close(self) -> None:
        """Close with a goodbye; whoever `awaits_close` waits shortly for the peer's. Idempotent."""
        if self._closed:
            return
        said_close = self._say_close(websocket.NORMAL)
        if self._awaits_close and said_close and self._end.state is not closing.State.CLOSED:
            self._await_close()
        super().close()

    def _await_close(self) -> None:
        """Read until the peer has closed, for at most CLOSE_SECONDS.

        To close with bytes unread would reset the connection, and what was sent last could be lost
        on its way. A peer that broke the rules is past understanding: it is shown the end at once.
        """
        deadline = time.monotonic() + CLOSE_SECONDS
        try:
            is_unread = self._end.state in closing.VIOLATED or self._passed is not None
            if is_unread:
                self._end_writing()
            while (left := deadline - time.monotonic()) > 0:
                self._sock.settimeout(left)
                if is_unread or self._end.state in closing.VIOLATED:
                    if not self._discard():
                        return
                    continue
                while self.next_frame() is not None:
                    pass
                if not self.fill():
                    return
        except (OSError, ProtocolError):
            return

    def _discard(self) -> bool:
        """Read what is not wanted; False at its end."""
        try:
            return bool(self._sock.recv(RECEIVE_BYTES))
        except BlockingIOError:
            return True
