"""Which of many descriptors have news: an edge-triggered epoll, or what else the system has.

Both report a descriptor once; whoever has read all there was says so (`rearm`), and only then is
it reported again. An epoll does that by itself, of anything else the descriptor is left out
meanwhile. Any thread may add and remove; one waits.
"""

from __future__ import annotations

import contextlib
import select
import threading
from typing import Any, Protocol

from codewire.io.pipes import Bell
from codewire.io.transient import persist
from codewire.io.wait import new_selector, wait_readable

READABLE, WRITABLE = 1, 2


class Readiness(Protocol):
    """What the drain waits with. `add` and the rest raise OSError where the system refuses."""

    sees_reopening: bool

    def add(self, fd: int) -> None:
        """Report `fd` from now on; one that is watched already is fine."""

    def watch_writable(self, fd: int, wanted: bool) -> None:
        """Report also, or no longer, that `fd` takes bytes."""

    def rearm(self, fd: int) -> None:
        """Report `fd` again: what there was has been read."""

    def remove(self, fd: int) -> None:
        """Forget `fd`, before it is closed."""

    def wait(self, seconds: float | None) -> None:
        """Block until something is to be reported, at most `seconds`."""

    def take(self) -> list[tuple[int, int]]:
        """Return (fd, READABLE and WRITABLE) of what has news. Never blocks."""


def new_readiness(bell: Bell) -> Readiness:
    """Return the best there is. The bell is always reported while it rings.

    Blocks while the machine has no descriptor for it; raises OSError.
    """
    return EdgeReadiness(bell) if hasattr(select, "epoll") else OnceReadiness(bell)


class EdgeReadiness:
    """epoll(7), edge-triggered."""

    # Whether a terminal that was hung up is reported again when somebody opens it.
    sees_reopening = True

    def __init__(self, bell: Bell) -> None:
        self._read = select.EPOLLIN | select.EPOLLET
        self._epoll = persist(select.epoll)
        persist(self._epoll.register, bell.fd, select.EPOLLIN)

    def add(self, fd: int) -> None:
        with contextlib.suppress(FileExistsError):
            self._epoll.register(fd, self._read)

    def watch_writable(self, fd: int, wanted: bool) -> None:
        self._epoll.modify(fd, self._read | select.EPOLLOUT if wanted else self._read)

    def rearm(self, fd: int) -> None:
        """Nothing to do: the next byte is an edge."""

    def remove(self, fd: int) -> None:
        self._epoll.unregister(fd)

    def wait(self, seconds: float | None) -> None:
        wait_readable(self._epoll.fileno(), seconds)

    def take(self) -> list[tuple[int, int]]:
        out = select.EPOLLOUT
        return [
            (fd, (READABLE if events & ~out else 0) | (WRITABLE if events & out else 0))
            for fd, events in self._epoll.poll(0)
        ]


class OnceReadiness:
    """A selector (kqueue, poll or select) that leaves out what it has just reported.

    What is added while it waits it may see only the next time: the bell is rung for that.
    """

    sees_reopening = False

    def __init__(self, bell: Bell) -> None:
        self._selector = persist(new_selector)
        self._lock = threading.Lock()
        self._bell = bell
        # What each is registered for at the moment, 0 for not at all.
        self._armed: dict[int, int] = {}
        self._found: list[tuple[int, int]] = []
        self._selector.register(bell.fd, READABLE)

    def add(self, fd: int) -> None:
        with self._lock:
            if fd in self._armed:
                return
            self._selector.register(fd, READABLE)
            self._armed[fd] = READABLE
        self._bell.ring()

    def watch_writable(self, fd: int, wanted: bool) -> None:
        with self._lock:
            armed = self._armed[fd]
            self._arm(fd, armed | WRITABLE if wanted else armed & ~WRITABLE)
        self._bell.ring()

    def rearm(self, fd: int) -> None:
        with self._lock:
            if fd in self._armed:
                self._arm(fd, self._armed[fd] | READABLE)

    def remove(self, fd: int) -> None:
        with self._lock:
            if self._armed.pop(fd, 0):
                self._selector.unregister(fd)

    def wait(self, seconds: float | None) -> None:
        if not self._found:
            self._found = self._select(seconds)

    def take(self) -> list[tuple[int, int]]:
        found, self._found = self._found or self._select(0), []
        with self._lock:
            return [(fd, events) for fd, events in found if self._disarm(fd, events)]

    def _disarm(self, fd: int, events: int) -> bool:
        """Leave out what is reported now; False for one that was removed meanwhile."""
        if fd == self._bell.fd:
            return True
        if fd not in self._armed:
            return False
        self._arm(fd, self._armed[fd] & ~events)
        return True

    def _arm(self, fd: int, events: int) -> None:
        before = self._armed[fd]
        if events == before:
            return
        if not events:
            self._selector.unregister(fd)
        elif before:
            self._selector.modify(fd, events)
        else:
            self._selector.register(fd, events)
        self._armed[fd] = events

    def _select(self, seconds: float | None) -> list[tuple[int, int]]:
        ready: list[tuple[Any, int]] = self._selector.select(seconds)
        return [(key.fd, events) for key, events in ready]
