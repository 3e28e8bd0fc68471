"""The keeper's end of the link to its worker: non-blocking, queued, with descriptors."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING

from codewire.io.unix import receive_with_fds, send_with_fds
from codewire.keeper import protocol

if TYPE_CHECKING:
    from codewire.keeper.children import Child


class Link:
    """The keeper's end: never blocks, so a stalled worker stalls nothing here."""

    def __init__(self, sock: socket.socket, poller: select.poll) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._poller = poller
        self._reader = protocol.MessageReader()
        self._queue: list[tuple[bytes, list[int]]] = []
        # Whether the worker has been told what there is: until then it expects nothing else.
        self.is_greeted = False
        poller.register(sock.fileno(), select.POLLIN)

    def fileno(self) -> int:
        """Return the descriptor that is polled."""
        return self._sock.fileno()

    def send(self, message: protocol.Message, fds: list[int] | None = None) -> None:
        """Queue a message with duplicates of `fds`, and send what the socket takes."""
        if fds:
            message = {**message, "fds": len(fds)}
        self._queue.append((protocol.encode(message), [os.dup(fd) for fd in fds or []]))
        self.flush()

    def send_sessions(self, children: list[Child]) -> None:
        """Send the records of `children` in batches, each with its masters."""
        for start in range(0, len(children), protocol.BATCH):
            batch = children[start : start + protocol.BATCH]
            masters = [child.master for child in batch if child.master >= 0]
            self.send({"op": "sessions", "sessions": [c.describe() for c in batch]}, masters)

    def tell_halted(self, child: Child) -> None:
        """Say that a signal has stopped a child, or that it goes on."""
        # A worker that has not been greeted yet is told with everything else.
        if self.is_greeted:
            self.send({"op": "halted", "id": child.id, "halted": child.halted})

    def flush(self) -> None:
        """Send as much of the queue as the socket takes now."""
        while self._queue:
            data, fds = self._queue[0]
            try:
                sent = send_with_fds(self._sock, data, fds)
            except BlockingIOError:
                break
            except OSError:
                # The worker is gone; the poll reports it next.
                self._drop_queue()
                break
            for fd in fds:
                os.close(fd)
            if sent == len(data):
                self._queue.pop(0)
            else:
                self._queue[0] = (data[sent:], [])
        events = select.POLLIN | (select.POLLOUT if self._queue else 0)
        self._poller.modify(self._sock.fileno(), events)

    def receive(self) -> bool:
        """Read once; False when the worker has gone."""
        try:
            data, fds = receive_with_fds(self._sock, 1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._reader.feed(data, fds)
        return bool(data)

    def messages(self) -> list[tuple[protocol.Message, list[int]]]:
        """Return every message that is whole."""
        found = []
        while (item := self._reader.next_message()) is not None:
            found.append(item)
        return found

    def wait_closed(self, seconds: float) -> None:
        """Wait for the worker to close its end, at most `seconds`."""
        deadline = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._sock.fileno(), select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            if poller.poll(left * 1000) and not self.receive():
                return

    def _drop_queue(self) -> None:
        for _, fds in self._queue:
            for fd in fds:
                os.close(fd)
        self._queue.clear()

    def close(self) -> None:
        """Close the socket and what was still to be sent. Idempotent."""
        if self._sock.fileno() >= 0:
            self._poller.unregister(self._sock.fileno())
            self._drop_queue()
            self._sock.close()
