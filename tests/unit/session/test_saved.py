"""What the keeper may forget: an end that the disk tells of, and no other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from codewire.config import load_settings
from codewire.paths import DataDir
from codewire.session.life import State
from codewire.session.lifecycle import Lifecycle
from codewire.session.records.record import Status
from codewire.session.session import Session
from tests.unit.session.records import running


class Keeper:
    """What a keeper is told to forget."""

    def __init__(self) -> None:
        self.forgotten: list[int] = []

    def forget(self, session_id: int) -> None:
        self.forgotten.append(session_id)


def test_an_end_is_forgotten_once_the_disk_tells_of_it(tmp_path: Path) -> None:
    """Not when it happens while the state before it is being synced."""
    sessions = Lifecycle(DataDir(str(tmp_path)), load_settings(str(tmp_path / "none"), {}))
    keeper: Any = Keeper()
    sessions.ending._custody = keeper
    session = Session(running(1), os.path.join(tmp_path, "output.log"), "")
    sessions.registry.add(session)
    record = session.record
    sessions.store.put(record)

    def end_it(path: str) -> None:
        record.exit_code, record.end_reason = 7, "exited"
        record.status = Status.COMPLETED
        session.life.state = State.CLOSED
        sessions.store.changed(1)

    sessions._journal._sync = end_it
    assert sessions.store.save()
    assert keeper.forgotten == [], "the file says that it runs"
    sessions._journal._sync = lambda path: None
    session.master = 5
    assert sessions.store.save()
    assert keeper.forgotten == [], "its terminal is still open"
    session.master = -1
    sessions.store.changed(1)
    assert sessions.store.save()
    assert keeper.forgotten == [1]


def test_a_dropped_session_is_forgotten(tmp_path: Path) -> None:
    sessions = Lifecycle(DataDir(str(tmp_path)), load_settings(str(tmp_path / "none"), {}))
    keeper: Any = Keeper()
    sessions.ending._custody = keeper
    sessions.store.put(running(3))
    assert sessions.store.save()
    assert keeper.forgotten == [3]
