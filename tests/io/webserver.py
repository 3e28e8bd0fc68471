"""An HTTP server of some routes for tests, and clients of it; h11 reads for one of them."""

from __future__ import annotations

import socket
import threading
from typing import Any

import h11

from codewire.io.wait import spawn
from codewire.io.watchdog import Watchdog
from codewire.io.websockets import WebSocketStream
from codewire.web import sse
from codewire.web.connection import Limits
from codewire.web.request import Request, Takeover
from codewire.web.router import Router
from codewire.web.server import Server
from codewire.web.sse import EventStream
from codewire.web.upgrade import upgrade
from codewire.wire.http import Answer, plain

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
EVENTS = b"GET /events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 41\r\n\r\n"


class Site:
    """A server of some routes on a port of this machine."""

    def __init__(
        self, limits: Limits | None = None, tls: Any = None, tls_only: bool = False
    ) -> None:
        self.clients: list[socket.socket] = []
        self.streams: list[EventStream] = []
        self.ended = threading.Semaphore(0)
        self.last_ids: list[str] = []
        self.entered, self.release = threading.Event(), threading.Event()
        self.heartbeat_seconds = sse.HEARTBEAT_SECONDS
        self.watchdog = Watchdog()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = self._listener.getsockname()
        self.server = Server(
            self._listener, self._router(), limits=limits, tls=tls, tls_only=tls_only
        )
        spawn(self.server.run)

    def _router(self) -> Router:
        router = Router()
        router.add("GET", "/hello/{name}", lambda request: plain(200, request.values["name"]))
        router.add("POST", "/echo", lambda request: Answer(200, request.body))
        router.add("POST", "/small", lambda request: Answer(200, request.body), body_limit=4)
        router.add("GET", "/known", _vouch)
        router.add("GET", "/slow", self._slow)
        router.add("GET", "/broken", self._broken)
        router.add("GET", "/tls", lambda request: plain(200, str(request.is_encrypted)))
        router.add("GET", "/events", self._events)
        router.add("GET", "/ws", lambda request: upgrade(request, echo, self.watchdog))
        return router

    def _slow(self, request: Request) -> Answer:
        self.entered.set()
        self.release.wait(20)
        return plain(200, "done")

    def _broken(self, request: Request) -> Answer:
        raise RuntimeError("on purpose")

    def _events(self, request: Request) -> Takeover:
        self.last_ids.append(request.last_event_id)
        stream = EventStream(lambda: self.ended.release(), self.heartbeat_seconds)
        self.streams.append(stream)
        return stream

    def connect(self) -> socket.socket:
        self.clients.append(socket.create_connection(self.address, 20))
        return self.clients[-1]

    def close(self) -> None:
        self.release.set()
        self.server.stop()
        for sock in (*self.clients, self._listener):
            sock.close()


def _vouch(request: Request) -> Answer:
    request.vouch()
    return plain(200, "known")


def echo(stream: WebSocketStream) -> None:
    while (frame := stream.receive()) is not None:
        stream.send_frame(*frame)


def read_all(sock: socket.socket) -> bytes:
    """Return what comes until the server closes, or resets what it was tired of."""
    data = bytearray()
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return bytes(data)


def ask(site: Site, *data: bytes) -> bytes:
    """Return the whole answer to a request, after which the connection ends."""
    with site.connect() as sock:
        for piece in data:
            sock.sendall(piece)
        return read_all(sock)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


class Client:
    """A client that h11 is the judge of: it asks again on one connection."""

    def __init__(self, site: Site) -> None:
        self.sock = site.connect()
        self._judge = h11.Connection(h11.CLIENT)

    def ask(self, method: str, target: str, body: bytes = b"", **fields: str) -> tuple[int, bytes]:
        given = [("Host", "h"), *((k.replace("_", "-"), v) for k, v in fields.items())]
        self._send(h11.Request(method=method, target=target, headers=given))
        if body:
            self._send(h11.Data(body))
        self._send(h11.EndOfMessage())
        return self.answer()

    def _send(self, event: Any) -> None:
        self.sock.sendall(self._judge.send(event) or b"")

    def answer(self) -> tuple[int, bytes]:
        code, body = 0, bytearray()
        while True:
            event = self._judge.next_event()
            if event is h11.NEED_DATA:
                self._judge.receive_data(self.sock.recv(65536))
            elif isinstance(event, h11.Response):
                code = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        if self._judge.their_state is h11.DONE:
            self._judge.start_next_cycle()
        return code, bytes(body)
