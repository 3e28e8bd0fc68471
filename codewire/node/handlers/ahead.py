"""What an attached client sends while its input waits for a program that reads nothing.

Read ahead a little, so that a client that detaches, resizes or leaves is noticed; past that the
client waits (back-pressure). Belongs to the connection's own greenlet or thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from codewire.errors import ProtocolError
from codewire.io.streams import FrameStream

# Keystrokes that wait; each counts for what it costs to hold it.
MAX_BYTES = 1 << 18
FRAME_COST = 64
# Reads (of 64 KiB at most) that complete no frame: a large one is left on its way.
MAX_READS = 4
# At one time: a client that sends without a break must not keep everybody from his turn.
MAX_FRAMES = 256


class Ahead:
    """Data frames that are not typed yet, in order."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._reads = 0
        self._is_over = False

    def add(self, data: bytes) -> None:
        """Type this after what is there."""
        self._waiting.append(data)
        self._size += len(data) + FRAME_COST

    def take(self) -> bytes | None:
        """Return what to type next, None when there is nothing."""
        if not self._waiting:
            return None
        data = self._waiting.popleft()
        self._size -= len(data) + FRAME_COST
        return data

    def drop(self) -> None:
        """Forget what is not typed: the client has left."""
        self._waiting.clear()
        self._size = 0

    def receive(self, stream: FrameStream) -> Iterator[tuple[int, bytes]]:
        """Return the frames that are there, as long as they may wait here. Never blocks."""
        for _ in range(MAX_FRAMES):
            if self._size >= MAX_BYTES:
                return
            try:
                frame = stream.next_frame()
            except ProtocolError:
                # Told to the client when it is read in its turn.
                return
            if frame is not None:
                self._reads = 0
                yield frame
            elif self._is_over or self._reads >= MAX_READS or not stream.may_receive():
                return
            else:
                self._reads += 1
                self._is_over = not stream.fill()
