"""Our two ends as the Autobahn suite wants them: a server that echoes, a client that echoes."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

from codewire.client.reach.remote import WebRoute
from codewire.errors import CodewireError
from codewire.io.tcp import read_head, tune
from codewire.io.websockets import WebSocketStream
from codewire.wire.handshake import check_upgrade, upgrade_response
from codewire.wire.http import parse_head
from codewire.wire.websocket import MAX_MESSAGE

# The suite's slowest case sends 16 MiB in pieces of 64 bytes.
CASE_SECONDS = 120.0


class EchoServer:
    """Listens on a free port of this machine until it is closed."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(sock,), daemon=True).start()


def _serve(sock: socket.socket) -> None:
    tune(sock)
    data, rest = read_head(sock, time.monotonic() + 10)
    head = parse_head(data)
    refusal = check_upgrade(head)
    assert refusal is None, refusal
    sock.sendall(upgrade_response(head, MAX_MESSAGE))
    sock.settimeout(CASE_SECONDS)
    echo(WebSocketStream(sock, is_server=True, received=rest))


def echo(stream: WebSocketStream) -> None:
    """Send back every message until the peer closes or breaks the rules; close."""
    try:
        for kind, payload in frames(stream):
            stream.send_frame(kind, payload)
    except (CodewireError, TimeoutError):
        pass
    finally:
        stream.close()


def frames(stream: WebSocketStream) -> Iterator[tuple[int, bytes]]:
    """Yield the messages of a stream."""
    while (frame := stream.receive()) is not None:
        yield frame


class EchoClient:
    """Runs the cases of a fuzzing server, one connection each."""

    def __init__(self, url: str, agent: str) -> None:
        self._url = url
        self._agent = agent

    def run(self) -> int:
        """Run every case and return how many there were."""
        count = int(self._ask("/getCaseCount"))
        for case in range(1, count + 1):
            stream = self._open(f"/runCase?case={case}&agent={self._agent}")
            stream.set_timeout(CASE_SECONDS)
            echo(stream)
        self._ask(f"/updateReports?agent={self._agent}")
        return count

    def _ask(self, path: str) -> int:
        stream = self._open(path)
        stream.set_timeout(CASE_SECONDS)
        try:
            answers = [payload for _, payload in frames(stream)]
        finally:
            stream.close()
        return int(json.loads(answers[0])) if answers else 0

    def _open(self, path: str) -> WebSocketStream:
        stream = WebRoute(self._url + path).open()
        # It is no node, whose limit would have to be guessed.
        stream.peer_limit = 0
        return stream
