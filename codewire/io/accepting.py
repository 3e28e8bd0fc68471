"""Accepting connections for ever, whatever the machine is short of for a moment.

What can go wrong has three answers, the same for every listener: an error that passes is paused
over, a client for whom there is no thread or memory is turned away, and a listener that is broken
for good ends the loop, so that whoever needs it learns of it.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from codewire.errors import OutOfThreads

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

# After an error of accept(2), which the next client would only meet again.
ACCEPT_PAUSE_SECONDS = 0.1
# What a client that is turned away may take to say what it wants; nobody is accepted meanwhile.
TURN_AWAY_SECONDS = 0.2
# No descriptor, no socket, or one that does not listen. All others are the new connection's
# (accept(2): "treat them like EAGAIN") or the machine's, which recovers.
BROKEN = frozenset((errno.EBADF, errno.ENOTSOCK, errno.EINVAL))


def accept_connections(
    listener: socket.socket,
    start: Callable[[socket.socket, Any], None],
    refusal: bytes,
    who: str = "a client",
) -> None:
    """Hand every connection and its address to `start`, which must not block.

    Where that raises OutOfThreads or MemoryError, the client is answered `refusal` and closed.
    Never returns; raises OSError when the listener is broken for good. `who` is for the log.
    """
    while True:
        try:
            _accept_one(listener, start, refusal, who)
        except MemoryError:
            # Not even enough to say so.
            _pause()


def _accept_one(
    listener: socket.socket, start: Callable[[socket.socket, Any], None], refusal: bytes, who: str
) -> None:
    try:
        sock, address = listener.accept()
        # On Linux it waits as a new socket does; on the BSDs it has the listener's flag.
        if not os.get_blocking(sock.fileno()):
            sock.setblocking(True)
    except OSError as error:
        if error.errno in BROKEN:
            raise
        # Out of descriptors: those in use go on, the new ones wait in the backlog.
        _pause()
        log.warning("accepting %s failed: %s", who, error)
        return
    try:
        start(sock, address)
    except (OutOfThreads, MemoryError) as error:
        turn_away(sock, refusal)
        log.warning("%s was turned away: %s", who, str(error) or "out of memory")


def _pause() -> None:
    try:
        time.sleep(ACCEPT_PAUSE_SECONDS)
    except MemoryError:
        # gevent's timer needs some. Then the next attempt is the pause.
        pass


def turn_away(sock: socket.socket, answer: bytes) -> None:
    """Answer a client that nobody can serve, and close. Blocks for TURN_AWAY_SECONDS at most."""
    try:
        sock.settimeout(TURN_AWAY_SECONDS)
        # Read first: closing with bytes unread, or before they were sent, would be an error to it.
        sock.recv(1 << 16)
        sock.sendall(answer)
    except (OSError, MemoryError):
        pass
    finally:
        sock.close()
