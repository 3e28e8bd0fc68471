"""What the keeper says of sessions that stop and go on, and what is written down at a stop."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.io.processes import Process
from codewire.io.ptys import open_pty, slave_device
from codewire.mcp.session_tools import _survivors
from codewire.session import ending as module
from codewire.session.ending import Ending, survivors_json, write_left
from codewire.session.life import State
from codewire.session.records.record import Record, Status
from codewire.session.session import Session
from codewire.terminal.input import Input
from codewire.wire.answers.kills import Killed, Survivor
from codewire.wire.answers.reading import read_each
from codewire.wire.exits import Exited, Lost

STUCK = Process(7, 1, 7, 0, 100, "D", "dd")
DAEMON = Process(8, 1, 8, 0, 100, "S", "tmux: server", is_daemon=True)


class Told:
    """An Ending that knows some sessions, what it published and what it had dropped."""

    def __init__(self, *sessions: Session) -> None:
        self.events: list[tuple[int, str]] = []
        self.asked_to_keep: list[int] = []
        found = {session.id: session for session in sessions}
        self.ending = Ending(
            settings=SimpleNamespace(keep_finished=3),  # type: ignore[arg-type]
            registry=SimpleNamespace(  # type: ignore[arg-type]
                find=found.get, drop_oldest_finished=lambda n: self.asked_to_keep.append(n) or []
            ),
            observer=SimpleNamespace(),  # type: ignore[arg-type]
            backlog=SimpleNamespace(add=lambda call, *args: call(*args)),  # type: ignore[arg-type]
            publish=self._publish,
        )

    def _publish(self, session: Session, kind: str, data: dict[str, Any]) -> None:
        self.events.append((session.id, kind))


def make_session(number: int = 1) -> Session:
    made = Session(Record(number, ["x"], "/", 77), "/none/output.log", "/none/events.jsonl")
    made.life.state = State.RUNNING
    return made


def test_stops_are_told_once_and_wake_who_looks() -> None:
    session, waker = make_session(), threading.Event()
    told = Told(session)
    session.watch(waker)
    told.ending.on_halted(1, False)
    assert not told.events, "it never was stopped"
    for halted in (True, True, False, False):
        told.ending.on_halted(1, halted)
        assert session.is_halted() is halted
    assert told.events == [(1, "session.stopped"), (1, "session.continued")]
    assert waker.is_set()


def test_a_stop_before_the_announcement_is_told_after_it() -> None:
    session = make_session()
    told = Told(session)
    session.life.state = State.LAUNCHING
    told.ending.on_halted(1, True)
    assert not told.events
    told.ending.announced(session)
    assert told.events == [(1, "session.stopped")]


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_what_the_ladder_stops_is_no_news(how: str) -> None:
    session = make_session()
    told = Told(session)
    session.life.state = State.KILLING if how == "killed" else State.CLOSED
    told.ending.on_halted(1, True)
    assert not told.events


def test_an_exit_that_is_told_twice_ends_it_once() -> None:
    session = make_session()
    told = Told(session)
    ends: list[Session] = []
    told.ending._backlog = SimpleNamespace(add=lambda end, ended: ends.append(ended))  # type: ignore[assignment]
    told.ending.on_exit(1, Exited(3))
    told.ending.on_exit(1, Lost())
    assert (ends, session.exit) == ([session], Exited(3))


def test_a_kill_before_the_announcement_is_remembered() -> None:
    session = make_session()
    session.life.state = State.LAUNCHING
    session.record.kill_requested = True
    Told(session).ending.announced(session)
    assert session.life.state is State.KILLING


def test_an_ended_session_is_not_stopped() -> None:
    session = make_session()
    session.tells_stops = True
    session.life.state = State.CLOSED
    assert not session.is_halted()


def test_a_terminal_that_closes_late_lets_old_sessions_go() -> None:
    """An ended session counts as finished only then, and there may be no other end for long."""
    session = make_session()
    told = Told(session)
    told.ending.use(
        SimpleNamespace(release=lambda number: None),  # type: ignore[arg-type]
        SimpleNamespace(),  # type: ignore[arg-type]
        SimpleNamespace(changed=lambda number: None),  # type: ignore[arg-type]
    )
    session.master = 5
    told.ending.close_terminal(session)
    assert not told.asked_to_keep, "it still runs"
    session.life.state = State.ENDED
    session.record.status = Status.COMPLETED
    told.ending.close_terminal(session)
    assert told.asked_to_keep == [3]


def test_marks_differ_by_id_and_birth() -> None:
    assert make_session(1).record.mark() == "1-77"
    assert Record(1, ["x"], "/", 78).mark() != make_session(1).record.mark()


def test_what_a_stop_leaves_is_written_down(tmp_path: Path) -> None:
    path = tmp_path / "left.json"
    write_left(str(path), {3: [STUCK, DAEMON]})
    assert json.loads(path.read_text()) == [
        {"session_id": 3, "pid": 7, "command": "dd"},
        {"session_id": 3, "pid": 8, "command": "tmux: server", "daemon": True},
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    write_left(str(path), {})
    assert not path.exists()
    write_left(str(tmp_path / "none" / "left.json"), {3: [STUCK]})


def test_agents_are_told_of_survivors() -> None:
    answer = Killed(tuple(read_each(Survivor, survivors_json({3: [STUCK, DAEMON]}))))
    assert _survivors(answer, False) == (
        "; still alive: dd (pid 7), tmux: server (pid 8); to end daemons as well, set tree"
    )
    assert "does not know tree" in _survivors(answer, True)
    assert _survivors(Killed(tree=True), True) == _survivors(Killed(), False) == ""


def test_a_terminal_is_nobody_elses_while_its_session_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel gives the number of a closed one to the next: a stranger would be killed."""
    terminals = [open_pty(24, 80)]
    session = make_session()
    session.input = Input(terminals[0][0], lambda wanted: None)
    climbed: list[bool] = []

    class Climb:
        def __init__(self, _sessions: Any, _signal: Any, _grace: Any, traces: Any, *_: Any) -> None:
            self.device = traces[1].device

        def climb(self) -> dict[int, list[Process]]:
            assert session.input is not None
            session.input.close()
            os.close(terminals.pop()[1])
            terminals.extend(open_pty(24, 80) for _ in range(5))
            taken = {slave_device(master) for master, *_ in terminals}
            climbed.append(self.device is not None and self.device not in taken)
            return {}

    monkeypatch.setattr(module, "Ladder", Climb)
    told = Told(session)
    told.ending._settings = SimpleNamespace(grace_seconds=1)  # type: ignore[assignment]
    custody = SimpleNamespace(note=print, signal=print, hello=SimpleNamespace(keeper_pid=1))
    told.ending.use(custody, SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]
    before = len(os.listdir("/proc/self/fd"))
    told.ending.kill([session])
    assert climbed == [True]
    # Two ends of one terminal went, ten of five came.
    assert len(os.listdir("/proc/self/fd")) == before + 8
    for master, slave, _ in terminals:
        os.close(master)
        os.close(slave)
