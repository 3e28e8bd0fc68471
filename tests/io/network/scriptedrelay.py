"""A relay that answers what a test tells it to, byte for byte, and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from codewire.wire import http


class Asked:
    """One request as it came."""

    def __init__(self, head: http.Head, body: bytes) -> None:
        self.method, self.target = head.start[:2]
        self.fields = head.fields
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answer(status: int = 200, body: bytes | str | Any = b"", *fields: tuple[str, str]) -> bytes:
    """Return an answer; what is no text and no bytes becomes JSON."""
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body) + "\n"
    data = body.encode() if isinstance(body, str) else body
    return http.encode_answer(http.Answer(status, data, fields))


class ScriptedRelay:
    """Answers each connection by `script`: bytes, or what is called with the request and socket."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """With a `context`, over TLS."""
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self.asked: list[Asked] = []
        self.script: bytes | Callable[[Asked, socket.socket], object] = answer()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(20)
                try:
                    self._welcome(sock)
                except OSError:
                    # The client had enough, or does not trust us.
                    pass

    def _welcome(self, sock: socket.socket) -> None:
        if self._context is None:
            self.answer(sock)
        else:
            with self._context.wrap_socket(sock, server_side=True) as secured:
                self.answer(secured)

    def answer(self, sock: socket.socket) -> None:
        reader = http.RequestReader()
        head = None
        while head is None:
            data = sock.recv(65536)
            if not data:
                return
            reader.feed(data)
            head = reader.next_head()
        body = http.Body(http.check_request(head), 1 << 26)
        while not reader.take(body):
            reader.feed(sock.recv(65536))
        asked = Asked(head, bytes(body.data))
        self.asked.append(asked)
        script = self.script
        if callable(script):
            script(asked, sock)
        else:
            sock.sendall(script)

    def close(self) -> None:
        # Closing alone would leave the accept waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(20)
