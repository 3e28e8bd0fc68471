"""Who draws a screen when: one drawer at a time on a node, a few milliseconds each.

Drawing is the one long computation a node does for a client. Were several at it at once, everybody
else would wait for a slice of each; so they pass one pen round, and rest between two slices.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from codewire.errors import ConnectionLost, RequestError
from codewire.io.wait import GEVENT, give_way

# What others wait for. Threads are preempted only after 5 ms (sys.getswitchinterval).
SLICE_SECONDS = 0.003
# A thread that lets the interpreter go for no time at all has it back before the others wake.
REST_SECONDS = 0.0005
# To be accepted, read and answered a client needs the loop as many times.
REST_ROUNDS = 4


class ScreenUnknown(RequestError):
    """What a terminal shows cannot be told; the message says why."""


class Pen:
    """What one drawer at a time has. One a node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait for one's turn: a slice of each of those before."""
        if not self._lock.acquire(blocking=False):
            self._lock.acquire()
            if GEVENT:
                # Whoever had it rests, and so does this one: the others have waited for a slice.
                rest()

    def put_down(self) -> None:
        """Let the next one draw, and everybody else run."""
        self._lock.release()


class Drawing:
    """One drawer's time. Use it as a context manager around drawing, not around reading files."""

    def __init__(
        self, pen: Pen, seconds: float, has_left: Callable[[], bool] = lambda: False
    ) -> None:
        """`seconds` is all the time it has; `has_left` says that nobody waits any more."""
        self._pen = pen
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._has_left = has_left
        self._slice_began = 0.0

    def __enter__(self) -> Drawing:
        self._pen.take()
        self._slice_began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pen.put_down()

    def left(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self._deadline - time.monotonic())

    def is_past(self, share: float) -> bool:
        """Say whether this share of the time (0 to 1) is over."""
        return self.left() < self._seconds * (1 - share)

    def pause(self) -> None:
        """Give way if the slice is over. Call it often, with the pen; raises nothing."""
        if time.monotonic() - self._slice_began >= SLICE_SECONDS:
            self._pen.put_down()
            try:
                rest()
            finally:
                self._pen.take()
                self._slice_began = time.monotonic()

    def check(self) -> None:
        """Raise ScreenUnknown when the time is over, ConnectionLost when the client has left."""
        if time.monotonic() >= self._deadline:
            raise ScreenUnknown("the program prints more than can be drawn in time; try again")
        if self._has_left():
            raise ConnectionLost("the client has left")


def rest() -> None:
    """Let every other greenlet or thread that is ready run."""
    if GEVENT:
        for _ in range(REST_ROUNDS):
            give_way()
    else:
        time.sleep(REST_SECONDS)
