"""A node that does exactly what a test says: one handler a connection, on a real Unix socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable

from codewire.client.reach.route import LocalRoute
from codewire.paths import DataDir
from tests.rawwire import RawConnection


class NodeEnd(RawConnection):
    """The node's end of a connection that was accepted."""

    def __init__(self, sock: socket.socket, timeout: float = 20.0) -> None:
        self.sock = sock
        self.sock.settimeout(timeout)
        self._unread = bytearray()


Handler = Callable[[NodeEnd], None]


class ScriptedNode:
    """Serves the n-th connection with the n-th handler, one after the other, in one thread.

    After the last handler the socket is closed and removed: the node is gone. What a handler
    raises is raised again by close(), but for the loss of a client that did not wait for it: when
    clients give up and go is for the test to see.
    """

    def __init__(self, *handlers: Handler) -> None:
        self.home = tempfile.mkdtemp(prefix="cw-", dir="/tmp")
        self.data_dir = DataDir(os.path.join(self.home, ".codewire"))
        os.mkdir(self.data_dir.root, 0o700)
        self.route = LocalRoute(self.data_dir)
        self._handlers = handlers
        self._error: Exception | None = None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.data_dir.socket)
        self._listener.listen(64)
        self._listener.settimeout(20)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> ScriptedNode:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(check=kind is None)

    def close(self, check: bool = True) -> None:
        """End the node. Raises AssertionError when it did not see all connections it expected."""
        if not check:
            self._stop_listening()
        self._thread.join(25)
        alive = self._thread.is_alive()
        shutil.rmtree(self.home, ignore_errors=True)
        if check:
            assert not alive, "the scripted node still waits for something"
            if self._error is not None:
                raise self._error

    def _stop_listening(self) -> None:
        try:
            # Wakes the accept of the other thread; closing would not.
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _serve(self) -> None:
        try:
            for handler in self._handlers:
                sock, _ = self._listener.accept()
                with NodeEnd(sock) as end, contextlib.suppress(BrokenPipeError):
                    handler(end)
        except Exception as error:  # noqa: BLE001 - raised again by close()
            self._error = error
        finally:
            self._listener.close()
            try:
                os.unlink(self.data_dir.socket)
            except OSError:
                pass
