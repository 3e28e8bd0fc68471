"""Looks at paths that may never answer (a dead NFS server), so that the keeper's loop cannot hang.

The look is made in a thread; one that hangs is left there, and nobody looks again until it has
returned. That thread does nothing but ask the file system. The log is written so, too.
"""

from __future__ import annotations

import _thread
import os
from collections import deque
from collections.abc import Callable

# A file system that is well answers within this; the loop stands still for as long at most.
PATIENCE_SECONDS = 0.2
# For what a worker has just looked at: only a machine that is very busy takes longer.
START_SECONDS = 2.0
STACK_BYTES = 256 << 10
# What waits to be done while a file system hangs; the oldest goes.
MAX_WAITING = 1000


class Scout:
    """One look at a time."""

    def __init__(self, look: Callable[[], bool], patience: float | None = None) -> None:
        """`look` says whether all is well. It must change nothing; an error is a no.

        `patience` is how long it is waited for: seconds, None for PATIENCE_SECONDS.
        """
        self._look = look
        self._patience = patience
        # Held while somebody is out.
        self._out = _thread.allocate_lock()
        self._found: bool | None = None

    def find(self) -> bool | None:
        """Return whether all is well, None when that cannot be known now."""
        if self._out.acquire(False):
            self._found = None
            if not _send_out(self._go):
                self._out.release()
                return None
        if not self._out.acquire(True, self._patience or PATIENCE_SECONDS):
            return None
        self._out.release()
        return self._found

    def is_out(self) -> bool:
        """Say whether a look has not come back."""
        return self._out.locked()

    def _go(self) -> None:
        try:
            self._found = self._look()
        except Exception:  # noqa: BLE001 - whoever looks with an error sees something wrong
            self._found = False
        finally:
            self._out.release()


class Messenger:
    """Does small jobs in their order, each at once if the file system lets it, else when it does.

    Nobody learns what came of them.
    """

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], object]] = deque(maxlen=MAX_WAITING)
        # Held while somebody is out.
        self._out = _thread.allocate_lock()

    def do(self, job: Callable[[], object]) -> None:
        """Do a job, which raises nothing. Blocks for PATIENCE_SECONDS at most."""
        self._jobs.append(job)
        if not self._out.acquire(False):
            # Whoever is out does this one, too.
            return
        if not _send_out(self._go):
            # No thread to be had: the file system is rather well than that.
            self._go()
        elif self._out.acquire(True, PATIENCE_SECONDS):
            self._out.release()

    def _go(self) -> None:
        while True:
            while self._jobs:
                self._jobs.popleft()()
            self._out.release()
            # What came in between.
            if not self._jobs or not self._out.acquire(False):
                return


def answers(path: str, directory: str) -> bool:
    """Say whether a program and a directory can be looked at, whatever is wrong with them.

    Blocks for START_SECONDS at most.
    """

    def look() -> bool:
        os.access(directory, os.X_OK)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            os.pread(fd, 1, 0)
        finally:
            os.close(fd)
        return True

    scout = Scout(look, START_SECONDS)
    scout.find()
    return not scout.is_out()


def _send_out(go: Callable[[], None]) -> bool:
    """Start a thread; say whether there was one to be had."""
    before = _thread.stack_size(STACK_BYTES)
    try:
        _thread.start_new_thread(go, ())
    except (RuntimeError, MemoryError):
        return False
    finally:
        _thread.stack_size(before)
    return True
