"""Jobs that must be done, thread to be had or not: they are done by loops that are there already.

A thread that could be started may still die of a lack of memory before its first line, without a
word: what must not be lost is not left to one. `run` is an essential loop of the worker, RUNNERS
times over, started before there is work.
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

log = logging.getLogger(__name__)

# One job may wait for a disk; the others go on.
RUNNERS = 2

Job = tuple[Callable[..., object], tuple[Any, ...]]


class Backlog:
    """The jobs. `add` may be called from any greenlet or thread and does not block."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._news = threading.Event()

    def add(self, function: Callable[..., object], *args: Any) -> None:
        """Leave a call that ends soon to a loop; what there is no room for now is tried again."""
        self._jobs.append((function, args))
        self._news.set()

    def run(self) -> None:
        """Do the jobs one after the other, for ever."""
        while True:
            self._news.wait()
            self._news.clear()
            if self._do_all():
                time.sleep(PAUSE_SECONDS)
                self._news.set()

    def _do_all(self) -> bool:
        """Do each waiting job once; return whether any is to be tried again."""
        again = []
        while self._jobs:
            try:
                job = self._jobs.popleft()
            except IndexError:
                # The other loop was quicker.
                break
            if self._jobs:
                # This one may take a while, and whoever was told of both has been told once.
                self._news.set()
            if not _perform(*job):
                again.append(job)
        self._jobs.extend(again)
        return bool(again)


def _perform(function: Callable[..., object], args: tuple[Any, ...]) -> bool:
    """Return False for what must be tried again."""
    try:
        function(*args)
    except Exception as error:
        if isinstance(error, OutOfThreads) or is_transient(error):
            return False
        log.exception("%s failed", getattr(function, "__qualname__", function))
    return True
