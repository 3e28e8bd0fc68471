"""Looks at paths that may never answer (a dead NFS server), so that the keeper's loop cannot hang.

The look is made in a thread; one that hangs is left there, and nobody looks again until it has
returned. That thread does nothing but ask the file system. The log is written so, too.
"""

from __future__ import annotations

import _thread
import os
import weakref
from collections import deque
from collections.abc import Callable

from codewire.io.mounts import NearPaths, is_served

# A file system that is well answers within this; the loop stands still for as long at most.
PATIENCE_SECONDS = 0.2
# For what a worker has just looked at: only a machine that is very busy takes longer.
START_SECONDS = 2.0
# As much of a script as execve(2) looks at (BINPRM_BUF_SIZE).
HEAD_BYTES = 256
STACK_BYTES = 256 << 10
# What waits to be done while a file system hangs; the oldest goes.
MAX_WAITING = 1000


class _Errand:
    """Whoever is out has it with him: once it is gone he is, be it that he never began.

    A thread that has no memory for its first step runs nothing of ours, so it can tell nobody.
    """

    __slots__ = ("__weakref__",)


class _Way:
    """One at a time is out."""

    def __init__(self) -> None:
        # Held while somebody is out.
        self._out = _thread.allocate_lock()
        self._errand: Callable[[], object] = lambda: None

    def take(self) -> bool:
        """Say whether nobody is out; then whoever asked is."""
        if self._out.acquire(False):
            return True
        # His lock, that he will not give back.
        return self._errand() is None

    def send(self, go: Callable[[_Errand], None]) -> bool:
        """Start a thread that gives the way back; say whether there was one to be had."""
        errand = _Errand()
        self._errand = weakref.ref(errand)
        return _send_out(go, errand)

    def give_back(self) -> None:
        """Nobody is out any more."""
        self._out.release()

    def wait(self, seconds: float) -> bool:
        """Block until nobody is out; False after `seconds`."""
        if not self._out.acquire(True, seconds):
            return False
        self._out.release()
        return True

    def is_taken(self) -> bool:
        """Say whether somebody is out."""
        return self._out.locked() and self._errand() is not None


class Scout:
    """One look at a time."""

    def __init__(self, look: Callable[[], bool], patience: float | None = None) -> None:
        """`look` says whether all is well. It must change nothing; an error is a no.

        `patience` is how long it is waited for: seconds, None for PATIENCE_SECONDS.
        """
        self._look = look
        self._patience = patience
        self._way = _Way()
        self._found: bool | None = None

    def find(self) -> bool | None:
        """Return whether all is well, None when that cannot be known now."""
        if self._way.take():
            self._found = None
            if not self._way.send(self._go):
                self._way.give_back()
                return None
        return self._found if self._way.wait(self._patience or PATIENCE_SECONDS) else None

    def is_out(self) -> bool:
        """Say whether a look has not come back."""
        return self._way.is_taken()

    def _go(self, errand: _Errand) -> None:
        try:
            self._found = self._look()
        except Exception:  # noqa: BLE001 - whoever looks with an error sees something wrong
            self._found = False
        finally:
            self._way.give_back()


class Messenger:
    """Does small jobs in their order, each at once if the file system lets it, else when it does.

    Nobody learns what came of them.
    """

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], object]] = deque(maxlen=MAX_WAITING)
        self._way = _Way()

    def do(self, job: Callable[[], object]) -> None:
        """Do a job, which raises nothing. Blocks for PATIENCE_SECONDS at most."""
        self._jobs.append(job)
        if not self._way.take():
            # Whoever is out does this one, too.
            return
        if not self._way.send(self._go):
            # No thread to be had: the file system is rather well than that.
            self._go(_Errand())
        else:
            self._way.wait(PATIENCE_SECONDS)

    def _go(self, errand: _Errand) -> None:
        while True:
            while self._jobs:
                self._jobs.popleft()()
            self._way.give_back()
            # What came in between.
            if not self._jobs or not self._way.take():
                return


def is_far(path: str, directory: str, near: NearPaths) -> bool | None:
    """Say whether a program, its interpreter or a directory is on a file system that may hang.

    None when one does so now; whatever else is wrong with them, exec will say. What is near needs
    no scout. Blocks for START_SECONDS at most.
    """
    if near.is_near(directory) and near.is_near(path):
        interpreter = _interpreter(path)
        if not interpreter or near.is_near(os.fsdecode(interpreter)):
            return False
    scout = Scout(lambda: _look_at(path, directory), START_SECONDS)
    found = scout.find()
    return None if scout.is_out() else bool(found)


def _look_at(path: str, directory: str) -> bool:
    """Ask for what chdir(2) and execve(2) ask for. Raises OSError."""
    devices = []
    try:
        devices.append(os.stat(directory).st_dev)
        os.access(directory, os.X_OK)
        devices.append(os.stat(path).st_dev)
        interpreter = _interpreter(path)
        if interpreter:
            devices.append(os.stat(interpreter).st_dev)
            _read_head(interpreter)
    except (OSError, ValueError):
        # Perhaps it does not exist.
        pass
    return any(is_served(device) for device in devices)


def _interpreter(path: str) -> bytes:
    """Return what a script's first line names, b"" of any other file."""
    try:
        head = _read_head(path)
    except (OSError, ValueError):
        # Perhaps it may be executed only.
        return b""
    words = head[2:].split(None, 1) if head[:2] == b"#!" else []
    return words[0] if words else b""


def _read_head(path: str | bytes) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        return os.pread(fd, HEAD_BYTES, 0)
    finally:
        os.close(fd)


def _send_out(go: Callable[[_Errand], None], errand: _Errand) -> bool:
    """Start a thread; say whether there was one to be had."""
    before = _thread.stack_size(STACK_BYTES)
    try:
        _thread.start_new_thread(go, (errand,))
    except (RuntimeError, MemoryError):
        return False
    finally:
        _thread.stack_size(before)
    return True
