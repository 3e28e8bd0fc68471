"""Jobs that must be done, thread to be had or not: they wait for a loop of their own.

`run` is an essential loop of the worker, started before there is work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from codewire.errors import OutOfThreads
from codewire.io.transient import PAUSE_SECONDS, is_transient
from codewire.io.wait import spawn

log = logging.getLogger(__name__)

Job = tuple[Callable[..., object], tuple[Any, ...]]


class Backlog:
    """The jobs. `start` and `add` may be called from any greenlet or thread and do not block."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._news = threading.Event()

    def start(self, function: Callable[..., object], *args: Any) -> None:
        """Run in a greenlet or thread of its own, or else in the loop. For what ends soon."""
        try:
            spawn(self._try, function, args)
        except OutOfThreads:
            self.add(function, *args)

    def _try(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        if not _perform(function, args):
            self.add(function, *args)

    def add(self, function: Callable[..., object], *args: Any) -> None:
        """Leave a call to the loop; one that wants what there is none of now is tried again."""
        self._jobs.append((function, args))
        self._news.set()

    def run(self) -> None:
        """Do the jobs one after the other, for ever."""
        while True:
            self._news.wait()
            self._news.clear()
            for _ in range(len(self._jobs)):
                job = self._jobs.popleft()
                if not _perform(*job):
                    self._jobs.append(job)
            if self._jobs:
                time.sleep(PAUSE_SECONDS)
                self._news.set()


def _perform(function: Callable[..., object], args: tuple[Any, ...]) -> bool:
    """Return False for what must be tried again."""
    try:
        function(*args)
    except Exception as error:
        if isinstance(error, OutOfThreads) or is_transient(error):
            return False
        log.exception("%s failed", getattr(function, "__qualname__", function))
    return True
