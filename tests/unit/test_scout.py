"""A look that hangs is waited for briefly, once, and its answer taken when it comes.

So is what hangs while the log is written, or before a session is started.
"""

from __future__ import annotations

import itertools
import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.io.fds import FileLimit, raise_file_limit
from codewire.io.mounts import NearPaths, is_served
from codewire.keeper import report
from codewire.keeper.place import scout
from codewire.keeper.place.scout import Messenger, Scout, is_far
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


def test_a_thread_that_never_begins_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short of memory for its first step it ends, and says nothing."""
    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 0.01)
    start = scout._thread.start_new_thread
    begun: list[object] = []

    def lose(go: Callable[[Any], None], args: tuple[Any]) -> int:
        begun.append(go)
        return 1

    found, messenger, done = Scout(lambda: True), Messenger(), []
    monkeypatch.setattr(scout._thread, "start_new_thread", lose)
    assert found.find() is None and not found.is_out()
    messenger.do(lambda: done.append(1))
    assert len(begun) == 2
    monkeypatch.setattr(scout._thread, "start_new_thread", start)
    monkeypatch.setattr(scout, "PATIENCE_SECONDS", 10)
    assert found.find() is True and not found.is_out()
    messenger.do(lambda: done.append(2))
    assert done == [1, 2]


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
    monkeypatch.setattr(roster, "is_far", lambda path, directory, near: None)
    order = {"seq": 1, "id": 1, "path": "/bin/true", "cwd": "/", "argv": ["true"], "env": {}}
    started = Roster(select.poll(), FileLimit(*raise_file_limit()))
    answer, fds = started.spawn({**order, "rows": 24, "cols": 80, "meta": None})
    assert (answer["op"], answer["errno"], fds) == ("failed", 0, [])
    assert answer["error"] == "its program or directory does not answer"


def test_what_is_only_wrong_does_answer() -> None:
    for path, directory, near in itertools.product(
        ("/none", "/bin/sh", "/"), ("/none", "/", "/dev/null"), (NearPaths(), NearPaths("/none"))
    ):
        assert is_far(path, directory, near) is False


def test_nobody_is_sent_where_all_is_near(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n")
    monkeypatch.setattr(scout, "_send_out", lambda *_: pytest.fail("a thread"))
    near = NearPaths(str(table))
    assert is_far("/bin/sh", "/", near) is False
    near.close()


@pytest.mark.parametrize("far", ["program", "interpreter", "directory", "nothing"])
def test_what_somebody_else_serves_is_far(
    far: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that chdir and exec ask for is looked at."""
    script, interpreter, directory = tmp_path / "program", tmp_path / "interpreter", tmp_path / "d"
    script.write_text(f"#!{interpreter} -x\n")
    interpreter.write_bytes(b"x")
    directory.mkdir()
    devices = {str(script): 1, str(interpreter): 2, str(directory): 3}

    def stat(path: str | bytes) -> Any:
        return SimpleNamespace(st_dev=devices[os.fsdecode(path)])

    monkeypatch.setattr(scout, "os", SimpleNamespace(**{**vars(os), "stat": stat}))
    wanted = {"program": 1, "interpreter": 2, "directory": 3, "nothing": 4}[far]
    monkeypatch.setattr(scout, "is_served", lambda device: device == wanted)
    assert is_far(str(script), str(directory), NearPaths("/none")) is (far != "nothing")


MOUNTED = b"""\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
44 27 0:40 / /b\\040-\\040nfs rw,nosuid shared:3 master:1 - fuse.sshfs host:/ rw
45 27 0:41 / /n rw - nfs4 server:/x rw,hard
46 27 0:42 / /t rw - tmpfs nfs rw
47 27 0:43
"""


@pytest.mark.parametrize(
    "device, far",
    [((254, 0), False), ((0, 40), True), ((0, 41), True)]
    + [((0, number), False) for number in (21, 42, 43, 44)],
)
def test_the_kinds_of_file_systems(device: tuple[int, int], far: bool, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(MOUNTED)
    assert is_served(os.makedev(*device), str(mounts)) is far
    assert not is_served(os.makedev(*device), str(tmp_path / "none"))
