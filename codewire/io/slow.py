"""Calls that the kernel may never return from: a path on a dead NFS server or a hung FUSE mount.

Each is waited for so long and no longer; a look at a path that cannot hang is taken at once. One
that hangs keeps its thread, so the same call is never made twice at once, and their number is
bounded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from codewire.io.mounts import NearPaths
from codewire.io.wait import run_hanging, spawn

T = TypeVar("T")

# Many projects may lie on one dead server. Below wait.HANGING_THREADS.
MAX_CALLS = 60
# A call that has not begun by then is begun once more: a greenlet or thread that has no memory for
# its first step does nothing, and tells nobody.
BEGIN_SECONDS = 1.0


class _Call:
    __slots__ = ("_claim", "done", "error", "has_begun", "result")

    def __init__(self) -> None:
        self._claim = iter((True,))
        self.has_begun = False
        self.done = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None

    def begin(self) -> bool:
        """Say whether it is to be made: the first time."""
        self.has_begun = True
        return next(self._claim, False)


class SlowCalls:
    """The calls under way. May be used from any greenlet or thread."""

    def __init__(self, near: NearPaths | None = None) -> None:
        """`near` tells on which paths no call can hang; None: by what is mounted here."""
        self.near = near or NearPaths()
        self._lock = threading.Lock()
        self._calls: dict[Hashable, _Call] = {}

    def look(self, seconds: float, function: Callable[[str], T], path: str) -> T:
        """Return `function(path)`, as `call` does; where the path is near, without a thread."""
        return function(path) if self.near.is_near(path) else self.call(seconds, function, path)

    def call(self, seconds: float, function: Callable[..., T], *args: Hashable) -> T:
        """Return `function(*args)`, or raise what it raised. Blocks `seconds` at most.

        Raises TimeoutError when there is no result by then, or too many calls hang; OutOfThreads.
        """
        key = (function, args)
        with self._lock:
            call = self._calls.get(key)
            is_first = call is None
            if call is None:
                if len(self._calls) >= MAX_CALLS:
                    raise TimeoutError("too many calls hang")
                call = self._calls[key] = _Call()
        if is_first:
            self._begin(key, call)
        first = min(seconds, BEGIN_SECONDS)
        if not call.done.wait(first):
            if not call.has_begun:
                self._begin(key, call)
            if not call.done.wait(seconds - first):
                raise TimeoutError
        if call.error is not None:
            raise call.error
        result: T = call.result
        return result

    def _begin(self, key: tuple[Callable[..., Any], tuple[Hashable, ...]], call: _Call) -> None:
        try:
            spawn(self._perform, call, *key)
        except BaseException as error:
            self._finish(key, call, error if isinstance(error, Exception) else None)
            raise

    def _perform(
        self, call: _Call, function: Callable[..., Any], args: tuple[Hashable, ...]
    ) -> None:
        if not call.begin():
            return
        error: Exception | None = None
        try:
            call.result = run_hanging(function, *args)
        except Exception as failure:  # noqa: BLE001 - raised again where it is waited for
            error = failure
        self._finish((function, args), call, error)

    def _finish(self, key: Hashable, call: _Call, error: Exception | None) -> None:
        call.error = error
        with self._lock:
            self._calls.pop(key, None)
        call.done.set()
