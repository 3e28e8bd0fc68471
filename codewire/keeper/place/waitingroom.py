"""Answers clients while no worker can: one error each, so that nobody waits for nothing.

Never blocks: a client is given its answer, read out for a moment (so that closing does not reset
the connection under the answer) and let go.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import time

from codewire.wire.frames import CONTROL, encode_frame

# Clients in here at once; more wait in the listener's backlog until one has gone.
MAX_GUESTS = 32
# From its arrival to its end, whatever a client does.
GUEST_SECONDS = 2.0
# Of what a client sends, so much is read and thrown away.
MAX_READ = 1 << 20
# accept(2) may block where the client has gone meanwhile and the worker shares the listener.
ACCEPT_SECONDS = 0.05

# After an accept that failed; clients wait in the backlog meanwhile.
REST_SECONDS = 0.2

TLS_HANDSHAKE = 0x16


class _Guest:
    __slots__ = ("deadline", "is_answered", "is_http", "read", "sock")

    def __init__(self, sock: socket.socket, is_http: bool) -> None:
        self.sock = sock
        self.is_http = is_http
        self.deadline = time.monotonic() + GUEST_SECONDS
        self.is_answered = False
        self.read = 0


class WaitingRoom:
    """Those who came while nobody serves. `poller` is the keeper's."""

    def __init__(self, poller: select.poll) -> None:
        self._poller = poller
        # Listeners that are watched, and whether HTTP is spoken there.
        self._doors: dict[int, bool] = {}
        self._guests: dict[int, _Guest] = {}
        # Accepting failed (no descriptor left): the listeners are left alone until then.
        self._rests_until = 0.0

    def open(self, doors: dict[int, bool]) -> None:
        """Let clients in from these listeners only; {} lets in nobody any more."""
        if len(self._guests) >= MAX_GUESTS or time.monotonic() < self._rests_until:
            doors = {}
        for fd in self._doors.keys() - doors.keys():
            self._poller.unregister(fd)
        for fd in doors:
            self._poller.register(fd, select.POLLIN)
        self._doors = dict(doors)

    def serve(self, fd: int, message: str) -> bool:
        """Do what a ready descriptor asks for; False when it is none of ours."""
        if fd in self._doors:
            self._let_in(fd, message)
        elif fd in self._guests:
            self._listen(self._guests[fd], message)
        else:
            return False
        return True

    def next_moment(self) -> float | None:
        """Return when (monotonic) the next guest must go, or the next may come."""
        moments = [guest.deadline for guest in self._guests.values()]
        if self._rests_until:
            moments.append(self._rests_until)
        return min(moments, default=None)

    def expire(self, now: float) -> None:
        """Let go those whose time is over."""
        for guest in [g for g in self._guests.values() if g.deadline <= now]:
            self._let_go(guest)
        if self._rests_until <= now:
            self._rests_until = 0.0

    def close(self) -> None:
        """Let everybody go. Idempotent."""
        self.open({})
        for guest in list(self._guests.values()):
            self._let_go(guest)

    def _let_in(self, fd: int, message: str) -> None:
        sock = _accept(fd)
        if sock is None:
            self._rests_until = time.monotonic() + REST_SECONDS
            self.open({})
            return
        guest = _Guest(sock, self._doors[fd])
        self._guests[sock.fileno()] = guest
        self._poller.register(sock.fileno(), select.POLLIN)
        if not guest.is_http:
            self._answer(guest, _frame(message))

    def _listen(self, guest: _Guest, message: str) -> None:
        try:
            data = guest.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        guest.read += len(data)
        if not data or guest.read > MAX_READ or data[0] == TLS_HANDSHAKE and not guest.is_answered:
            self._let_go(guest)
        elif not guest.is_answered:
            self._answer(guest, _http(message))

    def _answer(self, guest: _Guest, data: bytes) -> None:
        guest.is_answered = True
        try:
            # A new socket's buffer holds it; who is too slow for that does not get it.
            guest.sock.send(data)
            guest.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._let_go(guest)

    def _let_go(self, guest: _Guest) -> None:
        if self._guests.pop(guest.sock.fileno(), None) is not None:
            self._poller.unregister(guest.sock.fileno())
            guest.sock.close()


class _TooLong(Exception):
    """accept(2) did not return at once."""


def _accept(fd: int) -> socket.socket | None:
    """Accept one client without blocking, and without touching flags that a worker shares."""
    try:
        listener = socket.socket(fileno=fd)
    except (OSError, MemoryError):
        return None
    before = signal.signal(signal.SIGALRM, _give_up)
    try:
        signal.setitimer(signal.ITIMER_REAL, ACCEPT_SECONDS)
        sock, _ = listener.accept()
        signal.setitimer(signal.ITIMER_REAL, 0)
        sock.setblocking(False)
        return sock
    except (OSError, _TooLong, MemoryError):
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        listener.detach()


def _give_up(number: int, frame: object) -> None:
    raise _TooLong


def _frame(message: str) -> bytes:
    error = {"type": "Error", "message": message, "code": "no_worker"}
    return encode_frame(CONTROL, json.dumps(error).encode())


def _http(message: str) -> bytes:
    body = message.encode("utf-8", "replace") + b"\n"
    head = (
        "HTTP/1.1 503 Service Unavailable\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Retry-After: 5\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
