"""How the gateway's process asks the relay: a line for each question (gateway.py says which)."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from codewire.errors import CodewireError
from codewire.io.lines import open_line
from codewire.wire.control import control_frame, decode_control
from codewire.wire.frames import FrameDecoder

RECEIVE_BYTES = 65536


class Relay:
    """The relay, at the other end of the link."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def open(self) -> socket.socket:
        """Return a line of its own, non-blocking. Raises CodewireError, OSError."""
        sock = open_line(self._link)
        sock.setblocking(False)
        return sock

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the relay's answer, {} when it cannot say."""
        loop = asyncio.get_running_loop()
        try:
            sock = self.open()
        except (CodewireError, OSError):
            return {}
        try:
            await loop.sock_sendall(sock, control_frame(question))
            decoder = FrameDecoder()
            while (frame := decoder.next_frame()) is None:
                data = await loop.sock_recv(sock, RECEIVE_BYTES)
                if not data:
                    return {}
                decoder.feed(data)
            return decode_control(frame[1])
        except (CodewireError, OSError):
            return {}
        finally:
            sock.close()

    def tell(self, news: dict[str, Any]) -> None:
        """Say something that needs no answer. Never blocks: it fits a new socket's buffer."""
        try:
            sock = self.open()
        except (CodewireError, OSError):
            return
        try:
            sock.send(control_frame(news))
        except OSError:
            pass
        finally:
            sock.close()
