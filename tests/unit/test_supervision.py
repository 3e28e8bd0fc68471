"""A worker's pid is signalled only while it surely is the worker's. Nothing real is signalled."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from codewire.io.procfs import Process, stat_process
from codewire.keeper import supervision
from codewire.keeper.supervision import Supervisor

PID = 12345


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whoever was signalled; the seam is the module's own view of os."""

    class FakeOs:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return getattr(os, name)  # type: ignore[no-any-return]

        def kill(self, pid: int, number: int) -> None:
            found.append(pid)

    found: list[int] = []
    monkeypatch.setattr(supervision, "os", FakeOs())
    return found


def a_worker() -> Supervisor:
    worker = Supervisor(["worker"])
    worker.pid = PID
    return worker


def test_one_that_runs_is_killed(killed: list[int]) -> None:
    a_worker().lost()
    assert killed == [PID]


def test_one_that_was_reaped_is_not(killed: list[int]) -> None:
    worker = a_worker()
    worker.note_end(PID + 1, {"code": 0})
    assert worker.is_alive()
    worker.note_end(PID, {"code": 0})
    worker.lost()
    assert killed == [] and not worker.is_alive()


@pytest.mark.parametrize(
    ("started", "is_same"), [(0, True), (1, False), (None, False), (OSError(24, "x"), True)]
)
def test_one_that_was_adopted_is_only_while_it_is_the_same(
    killed: list[int],
    monkeypatch: pytest.MonkeyPatch,
    started: int | None | OSError,
    is_same: bool,
) -> None:
    """Nobody tells us of its end; without a descriptor to look, it is ended all the same."""
    us = stat_process(os.getpid())
    assert us is not None

    def look(pid: int) -> Process | None:
        if isinstance(started, OSError):
            raise started
        return None if started is None else us._replace(started=us.started + started)

    monkeypatch.setattr(supervision, "read_process", lambda pid: us)
    monkeypatch.setattr(supervision, "stat_process", look)
    worker = a_worker()
    worker.adopt(PID, 0)
    worker.lost()
    assert killed == ([PID] if is_same else [])


def test_a_program_that_is_gone_is_what_clients_are_told(killed: list[int]) -> None:
    """Uninstalled under a live node: nobody else can say what has become of the sessions."""
    worker = Supervisor([os.__file__, "/gone/cw.py", "worker"])
    worker.pid = PID
    worker.lost()
    assert worker.told.startswith("/gone/cw.py is gone")
    assert f"kill {os.getpid()}" in worker.told
    there = Supervisor([os.__file__, os.__file__, "worker"])
    there.pid = PID
    there.lost()
    assert there.told == ""
