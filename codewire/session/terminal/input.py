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
from collections.abc import Callable

# A safety net: the kernel does not always announce that a terminal takes input again.
RETRY_SECONDS = 0.1
# As much as one write may move before the session's state is looked at again.
WRITE_BYTES = 4096


class InputClosed(Exception):
    """The session ended before all bytes were written; `written` says how many were."""

    def __init__(self, written: int) -> None:
        super().__init__(written)
        self.written = written


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
        is_cancelled: Callable[[], bool] = lambda: False,
        before: Callable[[], None] | None = None,
    ) -> int:
        """Type `data`; return its length. Blocks while the program reads nothing.

        `before` is called right before the first byte is typed. Raises InputClosed when the session
        ends or `is_cancelled` says so meanwhile.
        """
        with self._turn:
            view = memoryview(data)
            while view:
                view = view[self._write_some(view, len(data) - len(view), is_cancelled, before) :]
                before = None
        return len(data)

    def write_now(self, data: bytes) -> bool:
        """Type `data` if the terminal takes it at once and nobody else is typing; else drop it."""
        if not self._turn.acquire(blocking=False):
            return False
        try:
            with self._guard:
                if self._master < 0 or self._ended:
                    return False
                return os.write(self._master, data) == len(data)
        except OSError:
            return False
        finally:
            self._turn.release()

    def is_canonical(self) -> bool:
        """Say whether the program reads lines; then the kernel drops what makes one too long."""
        lflag = 3
        found: list[int] = []
        with contextlib.suppress(termios.error):
            self.use(lambda fd: found.append(termios.tcgetattr(fd)[lflag]))
        return bool(found and found[0] & termios.ICANON)

    def _write_some(
        self,
        view: memoryview,
        written: int,
        is_cancelled: Callable[[], bool],
        before: Callable[[], None] | None,
    ) -> int:
        blocked = False
        try:
            while True:
                self._writable.clear()
                with self._guard:
                    if self._master < 0 or self._ended or is_cancelled():
                        raise InputClosed(written)
                    try:
                        if before is not None:
                            if not _takes_input(self._master):
                                raise BlockingIOError
                            before()
                        return os.write(self._master, view[:WRITE_BYTES])
                    except BlockingIOError:
                        pass
                    except OSError as error:
                        raise InputClosed(written) from error
                if not blocked:
                    blocked = True
                    self._want_writable(True)
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


def _takes_input(master: int) -> bool:
    poller = select.poll()
    poller.register(master, select.POLLOUT)
    return bool(poller.poll(0))
