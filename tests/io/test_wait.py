"""Loops that a process cannot do without, threads that are not to be had, jobs that wait."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.errors import OutOfThreads
from codewire.io import wait
from codewire.io.backlog import Backlog
from codewire.io.wait import (
    GEVENT,
    outlast_loop_errors,
    run_blocking,
    run_hanging,
    spawn,
    spawn_essential,
)

PROCESS = """
import logging, sys, time
import cw
if {patched}: cw.patch_worker()
from codewire.io.wait import GEVENT, spawn_essential
assert GEVENT == {patched}
logging.basicConfig(stream=sys.stderr)

def loop():
    {body}

spawn_essential(loop)
time.sleep(60)
"""


def run_program(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env={key: value for key, value in os.environ.items() if key != "CW_RUNTIME"},
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise OSError(12, 'no memory')", "OSError: [Errno 12] no memory"),
        ("raise SystemExit(0)", "SystemExit"),
        ("return", "it returned"),
    ],
    ids=["raises", "leaves", "returns"],
)
def test_a_process_ends_with_its_essential_loop(body: str, words: str) -> None:
    done = run_program(PROCESS.format(patched=GEVENT, body=body))
    assert done.returncode == 1
    assert "loop failed, the worker ends: " + words in done.stderr


def test_what_the_machine_is_short_of_needs_no_traceback() -> None:
    body = "raise OutOfThreads"
    program = "from codewire.errors import OutOfThreads\n" + PROCESS
    done = run_program(program.format(patched=GEVENT, body=body))
    assert "OutOfThreads: too many clients" in done.stderr and "Traceback" not in done.stderr


def test_an_event_loop_that_fails_for_a_moment_goes_on() -> None:
    outlast_loop_errors()
    if GEVENT:
        import gevent

        # As gevent's loop reports a failed epoll_wait(2); it would end the main greenlet.
        error = SystemError("(libev) epoll_wait: Cannot allocate memory")
        gevent.get_hub().handle_error(None, SystemError, error, None)
        gevent.sleep(0.01)


LOOPS = ("backlog", "observer", "answerer", "lookout", "relauncher", "scribe", "store")


def _refuse(*_: Any) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("start", [spawn, spawn_essential])
def test_no_thread_is_an_error_of_its_own(
    start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait._thread, "start_new_thread", _refuse)
    with pytest.raises(OutOfThreads, match="too many clients"):
        start(print)


def test_what_blocks_is_done_without_a_thread_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """On gevent the pool may have none; what could hang is refused instead."""
    done: list[int] = []
    if GEVENT:
        import gevent.threadpool

        monkeypatch.setattr(gevent.threadpool._WorkerGreenlet, "__init__", _refuse)
        monkeypatch.setattr(gevent.get_hub(), "threadpool", gevent.threadpool.ThreadPool(1))
        wait._hanging[:] = [gevent.threadpool.ThreadPool(1)]
        with pytest.raises(OutOfThreads):
            run_hanging(done.append, 2)
        wait._hanging.clear()
    run_blocking(done.append, 1)
    assert done == [1]


def test_waiting_for_a_descriptor_outlives_a_lack_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if GEVENT:
        return  # libev waits there, not this code

    class Poller:
        failures = 2

        def register(self, fd: int, events: int) -> None:
            assert events

        def poll(self, timeout: float | None) -> list[int]:
            if Poller.failures:
                Poller.failures -= 1
                raise OSError(errno.ENOMEM, "no memory")
            return [1]

    monkeypatch.setattr(wait.select, "poll", Poller)
    assert wait.wait_readable(0)
    assert not Poller.failures


def test_what_a_worker_cannot_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these must end the worker when it ends."""
    from codewire.node import worker as worker_module

    essential: list[object] = []
    monkeypatch.setattr(
        worker_module, "spawn_essential", lambda loop, *args: essential.append([loop, *args][-1])
    )
    parts = {name: SimpleNamespace(run=object()) for name in ("custody", "drain", *LOOPS)}
    parts["custody"].while_kept = None
    worker = worker_module.Worker(None)  # type: ignore[arg-type]
    worker._custody, worker._drain = parts["custody"], parts["drain"]  # type: ignore[assignment]
    worker._sessions = SimpleNamespace(**parts)  # type: ignore[assignment]
    worker._run_loops()
    assert set(essential) == {part.run for part in parts.values()}


@pytest.fixture
def backlog() -> Backlog:
    backlog = Backlog()
    spawn(backlog.run)
    return backlog


def test_a_job_is_done_without_a_thread_of_its_own(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(wait._thread, "start_new_thread", refuse)
    done = threading.Event()
    backlog.add(done.set)
    assert done.wait(10)


def test_a_job_that_waits_for_a_disk_holds_up_nobody(backlog: Backlog) -> None:
    spawn(backlog.run)
    may_go, done = threading.Event(), threading.Event()
    backlog.add(may_go.wait, 20)
    backlog.add(done.set)
    assert done.wait(10)
    may_go.set()


@pytest.mark.parametrize("failure", [OutOfThreads(), OSError(errno.ENOMEM, "x"), MemoryError()])
def test_a_job_is_tried_until_it_is_done(backlog: Backlog, failure: Exception) -> None:
    done = threading.Event()
    failures = [failure, failure]

    def job() -> None:
        if failures:
            raise failures.pop()
        done.set()

    backlog.add(job)
    assert done.wait(10)


def test_one_that_fails_for_good_does_not_hold_up_the_rest(backlog: Backlog) -> None:
    done = threading.Event()
    backlog.add(divmod, 1, 0)
    backlog.add(done.set)
    assert done.wait(10)
