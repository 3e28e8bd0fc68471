"""A look that hangs is waited for briefly, once, and its answer taken when it comes.

So is what hangs while the log is written, or before a session is started.
"""

from __future__ import annotations

import select
import threading
import time
from pathlib import Path

import pytest

from codewire.io.fds import FileLimit, raise_file_limit
from codewire.keeper import report
from codewire.keeper.place import scout
from codewire.keeper.place.scout import Messenger, Scout, answers
from codewire.keeper.processes import roster
from codewire.keeper.processes.roster import Roster
from codewire.keeper.report import Report
from tests.processes import wait_until


@pytest.mark.parametrize("answer", [True, False])
def test_what_answers_is_told(answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 10)
    assert Scout(lambda: answer).find() is answer


def test_an_error_is_something_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> bool:
        raise OSError(5, "x")

    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 10)
    assert Scout(look).find() is False


def test_what_hangs_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 0.01)
    looks: list[int] = []
    answers = threading.Event()

    def look() -> bool:
        looks.append(1)
        return answers.wait(10)

    found = Scout(look)
    assert found.find() is None
    assert found.find() is None
    assert looks == [1] and found.is_out()
    answers.set()
    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 10)
    assert found.find() is True and not found.is_out()


def test_without_a_thread_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoThreads:
        def start_new_thread(self, *_: object) -> None:
            raise RuntimeError("can't start new thread")

        allocate_lock, stack_size = scout._thread.allocate_lock, scout._thread.stack_size

    monkeypatch.setattr(scout, "_thread", NoThreads)
    found = Scout(lambda: True)
    monkeypatch.setattr(NoThreads, "stack_size", staticmethod(lambda size: size))
    assert found.find() is None
    assert found.find() is None


def test_jobs_are_done_in_their_order_whatever_hangs() -> None:
    messenger, done = Messenger(), []
    may_go = threading.Event()

    def hang() -> None:
        assert may_go.wait(100)
        done.append(0)

    began = time.monotonic()
    messenger.do(hang)
    for number in range(1, 4 + scout.MAX_WAITING):
        messenger.do(lambda number=number: done.append(number))  # type: ignore[misc]
    assert time.monotonic() - began < 50 and done == []
    may_go.set()
    wait_until(lambda: len(done) == scout.MAX_WAITING + 1, 30, "they are done")
    assert done == [0, *range(4, 4 + scout.MAX_WAITING)], "all but the oldest"
    messenger.do(lambda: done.append(-1))
    assert done[-1] == -1, "at once again"


def test_a_log_that_hangs_holds_up_no_keeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go = threading.Event()
    for name in ("last_error_line", "write_stderr"):
        monkeypatch.setattr(report, name, lambda *_: may_go.wait(100))
    monkeypatch.setattr(report.LogFile, "write", lambda *_: may_go.wait(100))
    began = time.monotonic()
    for detached in (True, False):
        voice = Report(str(tmp_path / "node.log"), detached)
        for number in range(50):
            voice.line("ERROR", str(number))
            voice.tell(str(number))
        voice.mark()
        assert voice.last_error() == ""
    assert time.monotonic() - began < 50
    may_go.set()


def test_a_session_whose_directory_hangs_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "answers", lambda path, directory: False)
    order = {"seq": 1, "id": 1, "path": "/bin/true", "cwd": "/", "argv": ["true"], "env": {}}
    started = Roster(select.poll(), FileLimit(*raise_file_limit()))
    answer, fds = started.spawn({**order, "rows": 24, "cols": 80, "meta": None})
    assert (answer["op"], answer["errno"], fds) == ("failed", 0, [])
    assert answer["error"] == "its program or directory does not answer"


def test_what_is_only_wrong_does_answer() -> None:
    for path, directory in (("/none", "/none"), ("/bin/sh", "/"), ("/", "/dev/null")):
        assert answers(path, directory)
