"""Input of one session: bytes typed into a PTY master, in turn, with back-pressure.

A program that does not read fills the kernel's 15 KB or so; then the writer waits, and with it the
client it writes for. Nothing is dropped while the session lives.
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

# A safety net: the kernel does not always announce that a terminal takes input again.
RETRY_SECONDS = 0.1
# As much as one write may move before the session's state is looked at again.
WRITE_BYTES = 4096


# What nobody waits for in person (a message, the first input) is given up when the program has
# read nothing for so long; others wait behind it.
PATIENCE_SECONDS = 3600.0


class InputClosed(Exception):
    """Not all bytes were written, and no more will be; `written` says how many were.

    The session ended, or whoever wanted them typed has left.
    """

    def __init__(self, written: int) -> None:
        super().__init__(written)
        self.written = written


def never() -> bool:
    """Say no: what is typed is not called off."""
    return False


class Input:
    """The writing side of a master. The drain owns the descriptor and closes it through `close`."""

    def __init__(self, master: int, want_writable: Callable[[bool], None]) -> None:
        self._master = master
        self._want_writable = want_writable
        # Guards the descriptor against being closed during a (non-blocking) system call.
        self._guard = threading.Lock()
        # Whose turn it is: writers pass through one after the other, so texts do not mix.
        self._turn = threading.Lock()
        self._writable = threading.Event()
        self._ended = False

    def write(
        self,
        data: bytes,
        is_cancelled: Callable[[], bool] = never,
        before: Callable[[], None] | None = None,
        *,
        has_left: Callable[[], bool] = never,
        patience: float | None = None,
    ) -> int:
        """Type `data`; return its length. Blocks while the program reads nothing.

        `before`, which may block, is called right before the first byte is typed, but with nothing
        held that others need: they may type first. Raises InputClosed when the session ends, when
        `is_cancelled` (asked before each write, with the master held) or `has_left` (asked every
        RETRY_SECONDS while it waits; may read a socket) says so, or when the program has taken
        nothing for `patience` seconds.
        """
        is_over = partial(self._is_over, has_left)
        if before is not None and data:
            with holding(self._turn, is_over):
                self._once_writable(_takes_input, Waiting(0, has_left, patience), is_cancelled)
            before()
        with holding(self._turn, is_over):
            view = memoryview(data)
            while view:
                waiting = Waiting(len(data) - len(view), has_left, patience)
                some = partial(_write_some, view[:WRITE_BYTES])
                view = view[self._once_writable(some, waiting, is_cancelled) :]
        return len(data)

    def _is_over(self, has_left: Callable[[], bool]) -> bool:
        return self._ended or has_left()

    def write_now(self, data: bytes) -> bool:
        """Type `data` if the terminal takes it at once and nobody else is typing; else drop it."""
        return self.write_some(data) == len(data)

    def write_some(self, data: bytes) -> int:
        """Type as much of `data` as the terminal takes at once; nothing while somebody else types.

        Return how many bytes that were. Waits for nobody.
        """
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            with self._guard:
                if self._master < 0 or self._ended:
                    return 0
                return os.write(self._master, data)
        except OSError:
            return 0
        finally:
            self._turn.release()

    def is_canonical(self) -> bool:
        """Say whether the program reads lines; then the kernel drops what makes one too long."""
        lflag = 3
        found: list[int] = []
        with contextlib.suppress(termios.error):
            self.use(lambda fd: found.append(termios.tcgetattr(fd)[lflag]))
        return bool(found and found[0] & termios.ICANON)

    def _once_writable(
        self, call: Callable[[int], int], waiting: Waiting, is_cancelled: Callable[[], bool]
    ) -> int:
        """Return what `call` does with the master, called until it does not raise BlockingIOError.

        Any other OSError ends the input.
        """
        blocked = False
        try:
            while True:
                self._writable.clear()
                with self._guard:
                    if self._master < 0 or self._ended or is_cancelled():
                        raise InputClosed(waiting.written)
                    try:
                        return call(self._master)
                    except BlockingIOError:
                        pass
                    except OSError as error:
                        raise InputClosed(waiting.written) from error
                if not blocked:
                    blocked = True
                    self._want_writable(True)
                waiting.check()
                self._writable.wait(RETRY_SECONDS)
        finally:
            if blocked:
                self._want_writable(False)

    def use(self, call: Callable[[int], None]) -> None:
        """Run a short system call on the master (a resize); nothing when it is closed."""
        with self._guard:
            if self._master >= 0:
                call(self._master)

    def on_writable(self) -> None:
        """Wake the writer whose turn it is."""
        self._writable.set()

    def end(self) -> None:
        """Refuse all further input: the session has ended."""
        self._ended = True
        self._writable.set()

    def close(self) -> None:
        """Close the master. Only the drain calls this. Idempotent."""
        with self._guard:
            fd, self._master = self._master, -1
        if fd >= 0:
            os.close(fd)
        self._writable.set()


class Waiting:
    """Why a writer waits no longer: nobody wants the rest typed, or the program never reads."""

    def __init__(self, written: int, has_left: Callable[[], bool], patience: float | None) -> None:
        """`written` bytes have been typed before."""
        self.written = written
        self._has_left = has_left
        self._deadline = None if patience is None else time.monotonic() + patience

    def check(self) -> None:
        """Raise InputClosed if there is a reason."""
        is_late = self._deadline is not None and time.monotonic() > self._deadline
        if is_late or self._has_left():
            raise InputClosed(self.written)


@contextlib.contextmanager
def holding(turn: threading.Lock, has_left: Callable[[], bool]) -> Iterator[None]:
    """Hold `turn`; raise InputClosed if `has_left` says so before it is one's own."""
    if not turn.acquire(blocking=False):
        while not turn.acquire(timeout=RETRY_SECONDS):
            if has_left():
                raise InputClosed(0)
    try:
        yield
    finally:
        turn.release()


def _takes_input(master: int) -> int:
    """Raise BlockingIOError unless the terminal takes bytes now."""
    poller = select.poll()
    poller.register(master, select.POLLOUT)
    if not poller.poll(0):
        raise BlockingIOError
    return 0


def _write_some(data: memoryview, master: int) -> int:
    return os.write(master, data)
