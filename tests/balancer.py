"""What stands before several relays: each connection goes to the first server that takes it."""

from __future__ import annotations

import contextlib
import socket
import threading


class Balancer:
    """Listens on a port of its own; `close` it after its clients."""

    def __init__(self, ports: tuple[int, ...]) -> None:
        self._ports = ports
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self._dial()
            if server is None:
                client.close()
                continue
            for one, other in ((client, server), (server, client)):
                self._threads.append(threading.Thread(target=_pass, args=(one, other), daemon=True))
                self._threads[-1].start()

    def _dial(self) -> socket.socket | None:
        for port in self._ports:
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", port), 5)
        return None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._thread, *self._threads):
            thread.join(10)


def _pass(source: socket.socket, sink: socket.socket) -> None:
    """Pass on bytes until either has gone; the other half then ends as well. Closes the source."""
    source.settimeout(None)
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    source.close()
