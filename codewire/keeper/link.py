"""The keeper's end of the link to its worker: non-blocking, queued, with descriptors.

An error is not a lost worker: only the end of the stream, EPIPE and ECONNRESET are. After any
other the link rests for a moment, with all it had to say, and tries again.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING, Any

from codewire.io.transient import PAUSE_SECONDS, is_gone, is_transient
from codewire.io.unix import receive_message, send_with_fds
from codewire.keeper import protocol

if TYPE_CHECKING:
    from codewire.keeper.processes.children import Child

# An error that should not last (EBADF, say) and does: another worker gets a new link.
GIVE_UP_SECONDS = 10.0


class Link:
    """The keeper's end: never blocks, so a stalled worker stalls nothing here."""

    def __init__(self, sock: socket.socket, poller: select.poll) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._poller = poller
        self._reader = protocol.MessageReader()
        # Bytes, descriptors, and whether those are duplicates of ours to close.
        self._queue: list[tuple[bytes, list[int], bool]] = []
        self._rests_until = 0.0
        self._failing_since = 0.0
        # It has failed for too long, and not because the machine was short of something.
        self.is_broken = False
        # Nothing is said to a worker before it has said hello: it expects the answer to that.
        self.is_greeted = False
        self.features: frozenset[str] = frozenset()
        poller.register(sock.fileno(), select.POLLIN)

    def fileno(self) -> int:
        """Return the descriptor that is polled."""
        return self._sock.fileno()

    def introduce(self, message: protocol.Message) -> None:
        """Note what the worker's hello (or adopt) says it can do."""
        self.is_greeted = True
        features = message.get("features", [])
        self.features = frozenset(str(name) for name in features)

    def send(self, message: protocol.Message, fds: list[int] | None = None) -> None:
        """Queue a message with duplicates of `fds`, and send what the socket takes.

        Without room for a duplicate the descriptor itself is remembered: whoever owns it closes
        it only on the worker's word, which comes after it has got this message.
        """
        if fds:
            message = {**message, "fds": len(fds)}
        self._queue.append((protocol.encode(message), list(fds or []), False))
        self.flush()
        if self._queue:
            self._queue[-1] = _own(*self._queue[-1])

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
        while self._queue and not self._is_resting():
            data, fds, is_owned = self._queue[0]
            try:
                sent = send_with_fds(self._sock, data, fds)
            except BlockingIOError:
                break
            except (OSError, MemoryError) as error:
                if isinstance(error, OSError) and is_gone(error):
                    # The worker is gone; the poll reports it next.
                    self._drop_queue()
                else:
                    self._rest(error)
                break
            self._failing_since = 0.0
            if is_owned:
                _close_all(fds)
            if sent == len(data):
                self._queue.pop(0)
            else:
                self._queue[0] = (data[sent:], [], True)
        self._watch()

    def receive(self) -> bool:
        """Read once; False when the worker has gone."""
        try:
            data, fds, is_cut = receive_message(self._sock, 1 << 18)
        except BlockingIOError:
            return True
        except (OSError, MemoryError) as error:
            if isinstance(error, OSError) and is_gone(error):
                return False
            self._rest(error)
            return not self.is_broken
        self._failing_since = 0.0
        self._reader.feed(data, fds, is_cut)
        return bool(data)

    def next_message(self) -> tuple[protocol.Message, list[int]] | None:
        """Return the next message that is whole, or None. Raises KeeperError, ValueError."""
        return self._reader.next_message()

    # Resting

    def next_moment(self) -> float | None:
        """Return when (monotonic) `wake` must be called, None when there is no need."""
        return self._rests_until or None

    def wake(self, now: float) -> None:
        """Go on after a rest."""
        if self._rests_until and now >= self._rests_until:
            self._rests_until = 0.0
            self._watch()
            self.flush()

    def _is_resting(self) -> bool:
        return self._rests_until > 0.0

    def _rest(self, error: BaseException) -> None:
        """Leave the socket alone for a moment."""
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        self._rests_until = now + PAUSE_SECONDS
        self._watch()
        if not is_transient(error) and now - self._failing_since > GIVE_UP_SECONDS:
            self.is_broken = True

    def _watch(self) -> None:
        fd = self._sock.fileno()
        if self._is_resting():
            # A hang-up would be reported whatever events are asked for.
            _unregister(self._poller, fd)
            return
        self._poller.register(fd, select.POLLIN | (select.POLLOUT if self._queue else 0))

    # The end

    def wait_closed(self, seconds: float) -> None:
        """Wait for the worker to close its end, at most `seconds`."""
        deadline = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._sock.fileno(), select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            self._rests_until = 0.0
            self.flush()
            if not poller.poll(min(left, 1.0) * 1000):
                continue
            if not self.receive():
                return
            if self._is_resting():
                time.sleep(PAUSE_SECONDS)

    def _drop_queue(self) -> None:
        for _, fds, is_owned in self._queue:
            if is_owned:
                _close_all(fds)
        self._queue.clear()

    def close(self) -> None:
        """Close the socket and what was still to be sent. Idempotent."""
        if self._sock.fileno() >= 0:
            _unregister(self._poller, self._sock.fileno())
            self._drop_queue()
            self._sock.close()


def _own(data: bytes, fds: list[int], is_owned: bool) -> tuple[bytes, list[int], bool]:
    """Return a queued message with duplicates in place of `fds`, if there is room for them."""
    copies: list[int] = []
    if is_owned:
        return data, fds, True
    try:
        for fd in fds:
            copies.append(os.dup(fd))
    except (OSError, MemoryError):
        _close_all(copies)
        return data, fds, is_owned
    return data, copies, True


def _close_all(fds: list[Any]) -> None:
    for fd in fds:
        os.close(fd)


def _unregister(poller: select.poll, fd: int) -> None:
    try:
        poller.unregister(fd)
    except KeyError:
        # Resting already.
        pass
