"""Waiting for a descriptor under whichever runtime cw.py chose: gevent or threads.

The one file below cw.py that names gevent. Everything else uses the standard library, which
cw.py may have made cooperative; only descriptors that are no sockets need what is here.
"""

from __future__ import annotations

import _thread
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

from codewire.errors import OutOfThreads
from codewire.io.transient import PAUSE_SECONDS, is_transient

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def _is_patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


# More than slow.py ever has under way at once.
HANGING_THREADS = 64

GEVENT = _is_patched()
RUNTIME = "gevent" if GEVENT else "threads"

if GEVENT:
    import gevent
    import gevent.exceptions
    import gevent.monkey
    import gevent.selectors
    import gevent.threadpool

    def new_selector() -> Any:
        """Return a selector of the standard library's kind that blocks this greenlet alone."""
        return gevent.selectors.GeventSelector()

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

    def is_loop_failure(error: BaseException) -> bool:
        """Say whether the event loop has lost what it waited with: epoll_ctl(2) failed."""
        return isinstance(error, gevent.exceptions.LoopExit)

    def outlast_loop_errors() -> None:
        """Have the event loop wait when its own epoll_wait(2) fails, not end the main greenlet.

        A greenlet that had no memory for its first step costs a line in the log.
        """
        hub = gevent.get_hub()
        handle_error = hub.handle_error

        def outlast(context: Any, kind: Any, value: Any, traceback: Any) -> None:
            if context is None and kind is SystemError:
                # Nothing runs without the loop, so nothing is held up.
                _real_sleep(PAUSE_SECONDS)
            elif isinstance(kind, type) and issubclass(kind, MemoryError):
                _say_short_of_memory()
            else:
                handle_error(context, kind, value, traceback)

        hub.handle_error = outlast

    def _say_short_of_memory() -> None:
        try:
            import logging

            logging.getLogger(__name__).error("no memory to begin what was asked for")
        except MemoryError:
            pass

    _real_sleep = gevent.monkey.get_original("time", "sleep")

    class _Task:
        """One call for a pool, made once: a pool keeps what it could start no thread for."""

        __slots__ = ("_args", "_claim", "_function", "error", "is_done", "result")

        def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
            self._function, self._args = function, args
            self._claim = iter((True,))
            self.is_done = False
            self.result: Any = None
            # An error that leaves the pool's thread would be printed by gevent, expected or not.
            self.error: Exception | None = None

        def claim(self) -> bool:
            return next(self._claim, False)

        def run(self) -> None:
            if self.claim():
                self.perform()

        def perform(self) -> None:
            try:
                self.result = self._function(*self._args)
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                self.error = error
            self.is_done = True

        def outcome(self) -> Any:
            while not self.is_done:
                gevent.sleep(PAUSE_SECONDS)
            if self.error is not None:
                raise self.error
            return self.result

    _hanging: list[gevent.threadpool.ThreadPool] = []

    def run_blocking(function: Callable[..., T], *args: Any) -> T:
        """Call what blocks in the kernel (fsync, a large read) without stopping the others.

        Where no thread is to be had for it, the others do stop.
        """
        task = _Task(function, args)
        try:
            gevent.get_hub().threadpool.apply(task.run)
        except (RuntimeError, MemoryError):
            task.run()
        value: T = task.outcome()
        return value

    def run_hanging(function: Callable[..., T], *args: Any) -> T:
        """As `run_blocking` for what may never return: in threads that nobody else waits for.

        Raises OutOfThreads.
        """
        task = _Task(function, args)
        if not _hanging:
            _hanging.append(gevent.threadpool.ThreadPool(HANGING_THREADS))
        try:
            _hanging[0].apply(task.run)
        except (RuntimeError, MemoryError) as error:
            if task.claim():
                raise OutOfThreads from error
        value: T = task.outcome()
        return value

else:

    def new_selector() -> Any:
        """Return the best selector of the standard library: kqueue, poll or select."""
        import selectors

        return selectors.DefaultSelector()

    def wait_readable(fd: int, timeout: float | None = None) -> bool:
        """Block this thread until `fd` is readable or hung up; False after `timeout` seconds."""
        return _poll(fd, select.POLLIN, timeout)

    def wait_writable(fd: int, timeout: float | None = None) -> bool:
        """Block this thread until `fd` takes bytes; False after `timeout` seconds."""
        return _poll(fd, select.POLLOUT, timeout)

    def _poll(fd: int, events: int, timeout: float | None) -> bool:
        poller = select.poll()
        poller.register(fd, events)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return bool(poller.poll(None if timeout is None else timeout * 1000))
            except OSError as error:
                if not is_transient(error):
                    raise
            time.sleep(PAUSE_SECONDS)
            if deadline is not None:
                timeout = max(0.0, deadline - time.monotonic())

    def is_loop_failure(error: BaseException) -> bool:
        """Say no: there is no event loop."""
        return False

    def outlast_loop_errors() -> None:
        """Nothing to do: there is no event loop."""

    def give_way() -> None:
        """Nothing to do: threads are preempted."""

    def run_blocking(function: Callable[..., T], *args: Any) -> T:
        """Call `function`: a thread may block."""
        return function(*args)

    def run_hanging(function: Callable[..., T], *args: Any) -> T:
        """Call `function`: a thread may hang."""
        return function(*args)


def spawn(function: Callable[..., object], *args: Any) -> None:
    """Run `function` in its own greenlet or thread; what it raises is logged, not lost.

    Raises OutOfThreads when the machine has none to give (RLIMIT_NPROC, RLIMIT_AS, pids cgroup).
    """
    _start(_guarded, function, args)


def spawn_essential(function: Callable[..., object], *args: Any) -> None:
    """Run a loop that the process cannot do without: when it ends, so does the process.

    Half a worker serves nobody and is never replaced; a dead one is, with everything it had.
    Raises OutOfThreads.
    """
    _start(_run_or_die, function, args)


def _start(run: Callable[..., None], function: Callable[..., object], args: Any) -> None:
    try:
        _thread.start_new_thread(run, (function, args))
    except (RuntimeError, MemoryError) as error:
        raise OutOfThreads from error


def _guarded(function: Callable[..., object], args: tuple[Any, ...]) -> None:
    try:
        function(*args)
    except Exception:
        import logging

        log = logging.getLogger(__name__)
        log.exception("%s failed", _name(function))


def _run_or_die(function: Callable[..., object], args: tuple[Any, ...]) -> None:
    import logging

    error: BaseException | None = None
    try:
        function(*args)
        problem = "it returned"
    except BaseException as failure:  # noqa: BLE001 - nothing may leave a loop half dead
        error, problem = failure, f"{type(failure).__name__}: {failure}"
    try:
        log = logging.getLogger(__name__)
        # What the machine is short of explains itself.
        is_plain = error is None or is_transient(error) or isinstance(error, OutOfThreads)
        cause = None if is_plain else error
        log.error("%s failed, the worker ends: %s", _name(function), problem, exc_info=cause)
    finally:
        os._exit(1)


def _name(function: Callable[..., object]) -> str:
    return str(getattr(function, "__qualname__", function))
