"""Waiting for a descriptor under whichever runtime cw.py chose: gevent or threads.

The one file below cw.py that names gevent. Everything else uses the standard library, which
cw.py may have made cooperative; only descriptors that are no sockets need what is here.
"""

from __future__ import annotations

import _thread
import select
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def _is_patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


GEVENT = _is_patched()
RUNTIME = "gevent" if GEVENT else "threads"

if GEVENT:
    import gevent

    def wait_readable(fd: int, timeout: float | None = None) -> bool:
        """Block this greenlet until `fd` is readable or hung up; False after `timeout` seconds."""
        return _wait(fd, 1, timeout)

    def wait_writable(fd: int, timeout: float | None = None) -> bool:
        """Block this greenlet until `fd` takes bytes; False after `timeout` seconds."""
        return _wait(fd, 2, timeout)

    def _wait(fd: int, events: int, timeout: float | None) -> bool:
        hub = gevent.get_hub()
        watcher = hub.loop.io(fd, events)
        try:
            if timeout is None:
                hub.wait(watcher)
                return True
            is_ready = False
            with gevent.Timeout(timeout, False):
                hub.wait(watcher)
                is_ready = True
            return is_ready
        finally:
            watcher.close()

    def give_way() -> None:
        """Let every other greenlet that is ready run once, those with ready descriptors too.

        Not gevent.sleep(0): the loop goes on with such callbacks for 5 ms (sys.getswitchinterval)
        before it looks at descriptors again.
        """
        hub = gevent.get_hub()
        hub.wait(hub.loop.timer(0))

    def run_blocking(function: Callable[..., T], *args: Any) -> T:
        """Call what blocks in the kernel (fsync, a large read) without stopping the others."""
        # An error that leaves the pool's thread is printed by gevent, expected or not.
        result, error = gevent.get_hub().threadpool.apply(_outcome, (function, args))
        if error is not None:
            raise error
        value: T = result
        return value

    def _outcome(
        function: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Any, Exception | None]:
        try:
            return function(*args), None
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            return None, error

else:

    def wait_readable(fd: int, timeout: float | None = None) -> bool:
        """Block this thread until `fd` is readable or hung up; False after `timeout` seconds."""
        return _poll(fd, select.POLLIN, timeout)

    def wait_writable(fd: int, timeout: float | None = None) -> bool:
        """Block this thread until `fd` takes bytes; False after `timeout` seconds."""
        return _poll(fd, select.POLLOUT, timeout)

    def _poll(fd: int, events: int, timeout: float | None) -> bool:
        poller = select.poll()
        poller.register(fd, events)
        return bool(poller.poll(None if timeout is None else timeout * 1000))

    def give_way() -> None:
        """Nothing to do: threads are preempted."""

    def run_blocking(function: Callable[..., T], *args: Any) -> T:
        """Call `function`: a thread may block."""
        return function(*args)


def spawn(function: Callable[..., object], *args: Any) -> None:
    """Run `function` in its own greenlet or thread; what it raises is logged, not lost."""
    _thread.start_new_thread(_guarded, (function, args))


def _guarded(function: Callable[..., object], args: tuple[Any, ...]) -> None:
    try:
        function(*args)
    except Exception:
        import logging

        log = logging.getLogger(__name__)
        log.exception("%s failed", getattr(function, "__qualname__", function))
