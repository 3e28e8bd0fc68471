"""All SSH sessions of this node, and the warden that they have in common."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, ConnectionLost
from codewire.io.island import Island
from codewire.io.lines import Line, open_line
from codewire.io.wait import spawn
from codewire.node.shells.order import Order, read_order
from codewire.node.shells.plumbing import Plumbing
from codewire.node.shells.shell import Shell, tell_failure
from codewire.paths import warden_command

if TYPE_CHECKING:
    from codewire.io.websockets import WebSocketStream

log = logging.getLogger(__name__)

# A process of ours begins much sooner, whatever the machine does.
START_SECONDS = 10.0


class Shells:
    """Starts the warden when the first one comes."""

    def __init__(self) -> None:
        self._island = Island(
            "the warden of SSH's shells",
            warden_command(),
            lambda line: log.warning("warden: %s", line.decode("utf-8", "replace")[:300]),
            self._lose,
            self._begin,
        )
        self._changed = threading.Condition()
        self._link: socket.socket | None = None
        self._is_started = False

    def stop(self) -> None:
        """End all of them. Blocks for a moment."""
        self._island.stop()

    def serve(self, stream: WebSocketStream, message: dict[str, Any]) -> None:
        """Run what a relay's request asks for, until it or its client ends.

        Raises CodewireError, OSError.
        """
        try:
            order = read_order(message, os.environ)
            shell = self._open(stream, order)
        except (CodewireError, OSError) as error:
            tell_failure(stream, str(error), has_control=message.get("control") is True)
            stream.shutdown()
            while stream.receive() is not None:
                pass
            return
        shell.run()

    def _open(self, stream: WebSocketStream, order: Order) -> Shell:
        link = self._get_link()
        plumbing = Plumbing(order)
        try:
            sock = open_line(link, *plumbing.theirs)
        except BaseException:
            plumbing.close()
            raise
        plumbing.pass_on()
        return Shell(stream, Line(sock), order, plumbing)

    def _get_link(self) -> socket.socket:
        """Return the way to the warden, which is started if there is none. Raises."""
        with self._changed:
            if not self._is_started:
                self._is_started = True
                spawn(self._island.run)
            self._changed.wait_for(lambda: self._link is not None, START_SECONDS)
            if self._link is None:
                raise ConnectionLost("this node cannot start processes for SSH; see its log")
            return self._link

    def _begin(self, link: socket.socket) -> None:
        with self._changed:
            self._link = link
            self._changed.notify_all()

    def _lose(self) -> None:
        with self._changed:
            if self._link is not None:
                self._link.close()
                self._link = None
