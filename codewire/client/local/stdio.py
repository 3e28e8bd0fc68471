"""The node's socket on stdin and stdout: for who reaches this machine by running a command on it.

Bytes pass as they come; a half that ends ends the other way too, so that nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

from codewire.client.reach.autostart import ensure_node
from codewire.errors import NodeUnreachable
from codewire.io.unix import connect_unix

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.paths import DataDir

CHUNK_BYTES = 1 << 16
CONNECT_SECONDS = 10.0


def bridge(directory: DataDir, notify: Callable[[str], None]) -> None:
    """Connect to the node, started if none runs, and pass bytes until one side ends. Blocks.

    Raises NodeUnreachable.
    """
    try:
        sock = connect_unix(directory.real_socket(), CONNECT_SECONDS)
    except NodeUnreachable:
        ensure_node(directory, notify)
        sock = connect_unix(directory.real_socket(), CONNECT_SECONDS)
    with sock:
        threading.Thread(target=_pass_input, args=(sock,), daemon=True).start()
        _pass_output(sock)


def _pass_input(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, CHUNK_BYTES):
            sock.sendall(data)
    with contextlib.suppress(OSError):
        # The node answers what it was asked before this, and then ends.
        sock.shutdown(socket.SHUT_WR)


def _pass_output(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := sock.recv(CHUNK_BYTES):
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]
