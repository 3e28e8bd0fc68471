"""A worker learns every end, whatever came first: its greeting, the order, the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from codewire.keeper.processes.children import Child
from codewire.keeper.processes.reaper import Reaper


def test_ends_before_a_take_over_was_done_are_told_after_it() -> None:
    """The worker orders as soon as a successor listens; what it handed over it knows."""
    told: list[int] = []
    link: Any = SimpleNamespace(is_greeted=False, send=lambda message: told.append(message["id"]))
    handed, started, running = Child(1, 11, -1, None), Child(2, 12, -1, None), Child(3, 1, -1, None)
    handed.exit = {"code": 0}
    started.sequence = running.sequence = 7
    children = {child.id: child for child in (handed, started, running)}
    roster: Any = SimpleNamespace(children=children, owns=lambda child: True)
    worker: Any = None
    reaper = Reaper(roster, worker, lambda: link)
    reaper._record_exit(started, {"code": 3})
    assert told == []
    link.is_greeted = True
    reaper.tell_early_ends()
    assert told == [2]
