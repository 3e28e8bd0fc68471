"""Processes that are not our children: sessions taken over from a keeper that died.

Their end is seen through a descriptor (io/endings.py); the exit code is unknowable.
"""

from __future__ import annotations

import os
import select
import time

from codewire.io.endings import open_end
from codewire.keeper.processes.children import Child

# Between two attempts where the system has no descriptor to spare, or no such thing at all.
RETRY_SECONDS = 0.5


class Orphans:
    """Watches over them with the keeper's `poller`."""

    def __init__(self, poller: select.poll) -> None:
        self._poller = poller
        self._watched: dict[int, Child] = {}
        self._unwatched: list[Child] = []
        self._retry_at = 0.0

    def add(self, child: Child) -> None:
        """Watch this one from now on; `look` says if it has ended already."""
        self._unwatched.append(child)
        self._retry_at = 0.0

    def next_moment(self) -> float | None:
        """Return when (monotonic) `look` must be called."""
        return self._retry_at if self._unwatched else None

    def look(self, now: float) -> list[Child]:
        """Watch those that are not yet watched; return the ones that have ended."""
        if not self._unwatched or now < self._retry_at:
            return []
        ended = []
        for child in self._unwatched[:]:
            try:
                self._watch(child)
            except ProcessLookupError:
                ended.append(child)
            except (OSError, MemoryError):
                # No room, or a kernel or libc without it: a running process is not an ended one.
                if _is_gone(child.pid):
                    ended.append(child)
                continue
            self._unwatched.remove(child)
        for child in ended:
            if child in self._unwatched:
                self._unwatched.remove(child)
        self._retry_at = time.monotonic() + RETRY_SECONDS
        return ended

    def _watch(self, child: Child) -> None:
        child.pidfd = open_end(child.pid)
        self._poller.register(child.pidfd, select.POLLIN)
        self._watched[child.pidfd] = child

    def take_ended(self, fd: int) -> Child | None:
        """Return the one whose pidfd is ready, and watch it no longer; None for other fds."""
        child = self._watched.get(fd)
        if child is not None:
            self.drop(child)
        return child

    def drop(self, child: Child) -> None:
        """Watch this one no longer. Idempotent."""
        if child in self._unwatched:
            self._unwatched.remove(child)
        if child.pidfd >= 0:
            self._watched.pop(child.pidfd, None)
            self._poller.unregister(child.pidfd)
            os.close(child.pidfd)
            child.pidfd = -1


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
