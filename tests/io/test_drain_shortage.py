"""The drain on a machine that is short of memory: nothing is lost, and no session ends of it."""

from __future__ import annotations

import errno
import os

import pytest

from codewire.io.readiness import Readiness
from codewire.io.wait import spawn
from codewire.output import drain as drain_module
from codewire.output.drain import Drain
from tests.io.drained import Make, Terminal, new_drain
from tests.support import wait_until


class Stingy:
    """What the drain waits with, refusing so many terminals."""

    def __init__(self, readiness: Readiness, number: int) -> None:
        self._readiness = readiness
        self._number = number
        self.sees_reopening = readiness.sees_reopening
        self.refusals = 3
        self.failures = 3

    def add(self, fd: int) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError(self._number, os.strerror(self._number))
        self._readiness.add(fd)

    def wait(self, seconds: float | None) -> None:
        self._readiness.wait(seconds)

    def take(self) -> list[tuple[int, int]]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ENOMEM, "no memory")
        return self._readiness.take()

    def watch_writable(self, fd: int, wanted: bool) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    def rearm(self, fd: int) -> None:
        self._readiness.rearm(fd)

    def remove(self, fd: int) -> None:
        self._readiness.remove(fd)
        raise OSError(errno.ENOMEM, "no memory")


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.ENOSPC])
def test_a_terminal_that_cannot_be_watched_is_drained(make: Make, number: int) -> None:
    """ENOSPC is max_user_watches (epoll_ctl(2)), which may last."""
    drain = new_drain()
    drain._readiness = stingy = Stingy(drain._readiness, number)
    spawn(drain.run)
    terminal = make()
    drain.add(terminal)
    drain.watch_writable(terminal, True)
    terminal.print(b"first ")
    wait_until(lambda: terminal.output() == b"first ", 30)
    wait_until(lambda: not stingy.refusals and not stingy.failures, 30)
    terminal.print(b"second")
    wait_until(lambda: terminal.output() == b"first second", 30)
    end(drain, terminal)


def end(drain: Drain, terminal: Terminal) -> None:
    terminal.close_slave()
    drain.exited(terminal)
    assert terminal.drained.wait(30)
    assert terminal.hung_up.wait(30)


class Flaky(Drain):
    """One whose next reads fail, while there is something to read."""

    failures: list[int] = []

    def _move(self, fd: int, source: drain_module.Source, cap: int) -> tuple[int, int]:
        if self.failures and drain_module._state(fd):
            number = self.failures.pop()
            return 0, self._judge(fd, OSError(number, os.strerror(number)))
        return super()._move(fd, source, cap)


SHORTAGES = [errno.ENOMEM, errno.EIO, errno.ENOSPC, errno.EMFILE]


@pytest.mark.parametrize("number", SHORTAGES)
def test_an_error_is_no_end(make: Make, number: int) -> None:
    drain = new_drain(Flaky)
    assert isinstance(drain, Flaky)
    spawn(drain.run)
    terminal = make()
    drain.add(terminal)
    drain.failures = [number] * 3
    terminal.print(b"some")
    wait_until(lambda: terminal.output() == b"some", 30)
    assert not drain.failures
    end(drain, terminal)


@pytest.mark.parametrize("number", [*SHORTAGES, errno.EAGAIN])
def test_what_an_exited_session_left_outlasts_errors(make: Make, number: int) -> None:
    drain = new_drain(Flaky)
    assert isinstance(drain, Flaky)
    terminal = make()
    terminal.print(b"last words")
    terminal.close_slave()
    drain.failures = [number] * 3
    drain.add(terminal)
    drain.exited(terminal)
    spawn(drain.run)
    assert terminal.drained.wait(30)
    assert terminal.output() == b"last words", "the end was called too early"
    assert terminal.drained_at == len(b"last words")
    assert terminal.hung_up.wait(30)


def test_a_terminal_that_only_fails_is_given_up(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "MAX_FAILURES", 3)
    drain = new_drain(Flaky)
    assert isinstance(drain, Flaky)
    terminal = make()
    terminal.print(b"x")
    drain.failures = [errno.ENOMEM] * 1000
    drain.add(terminal)
    drain.exited(terminal)
    spawn(drain.run)
    assert terminal.drained.wait(30)
    assert terminal.hung_up.wait(30)


def test_without_a_terminal_to_try_splice_is_taken_for_granted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(rows: int, cols: int) -> tuple[int, int, str]:
        raise OSError(errno.ENOSPC, "no PTY left")

    monkeypatch.setattr(drain_module, "open_pty", none_left)
    drain = new_drain()
    assert drain.uses_splice
    # A kernel that cannot says so at the first real one.
    assert drain._judge(-1, OSError(errno.EINVAL, "x")) == 0
    assert not drain.uses_splice


def test_a_terminal_that_wrongly_had_nothing_is_read_later(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes were an edge: none comes again while the program waits for room."""
    move, refusals = drain_module.move_to_pipe, [1] * 3

    def refuse(fd: int, pipe: int, count: int) -> int:
        if refusals:
            refusals.pop()
            raise BlockingIOError(errno.EAGAIN, "later")
        return move(fd, pipe, count)

    monkeypatch.setattr(drain_module, "move_to_pipe", refuse)
    drain = new_drain()
    spawn(drain.run)
    terminal = make()
    terminal.print(b"once")
    drain.add(terminal)
    wait_until(lambda: terminal.output() == b"once", 10, "it is read all the same")
    end(drain, terminal)
