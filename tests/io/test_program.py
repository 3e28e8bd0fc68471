"""What a launch looks at, where files are not what they should be and directories do not answer."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codewire.errors import LaunchError
from codewire.io import slow as slow_module
from codewire.io.mounts import NearPaths
from codewire.io.slow import MAX_CALLS, SlowCalls
from codewire.io.wait import spawn
from codewire.session import program
from codewire.session.environment import MAX_FILE_BYTES, build_environment
from codewire.session.program import LaunchRequest, resolve_directory, resolve_program

REQUEST = LaunchRequest(("true",))
DEEP = b'{"A":' + b"[" * 100_000


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["fifo", "directory", "deep", "huge", "no strings", "garbage"])
def test_an_environment_file_that_is_none_breaks_no_launch(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "environment.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "huge":
        with open(path, "wb") as file:
            file.truncate(MAX_FILE_BYTES + 1)
    else:
        contents = {"deep": DEEP, "no strings": b'{"A": 1}', "garbage": b'{"A": "\xff'}
        path.write_bytes(contents[kind])
    found = build_environment({"B": "b"}, str(path), REQUEST, 1, "/").variables
    assert found["B"] == "b"
    assert "A" not in found


def test_an_environment_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    path.write_text('{"A": "ä"}', encoding="utf-8")
    assert build_environment({}, str(path), REQUEST, 1, "/").variables["A"] == "ä"


class Hung:
    """Calls in a pipe's place of a dead server: none returns before `answer`."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self.calls = 0

    def __call__(self, *args: object) -> object:
        self.calls += 1
        os.read(self._read, 1)
        return True, True

    def answer(self) -> None:
        os.write(self._write, b"x" * 100)

    def close(self) -> None:
        self.answer()
        # The ends stay open: a call may only begin to read now.


@pytest.fixture
def alive(tmp_path: Path) -> Iterator[NearPaths]:
    """All but /mnt/dead."""
    table = tmp_path / "mountinfo"
    table.write_text("45 27 0:41 / /mnt/dead rw - nfs4 server:/x rw,hard\n")
    paths = NearPaths(str(table))
    yield paths
    paths.close()


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hung]:
    hung = Hung()
    monkeypatch.setattr(program, "LOOK_SECONDS", 0.2)
    yield hung
    hung.close()


@pytest.mark.timeout(20)
def test_a_directory_that_does_not_answer_is_named(
    hung: Hung, alive: NearPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_look_at", hung)
    slow = SlowCalls(alive)
    for _ in range(2):
        with pytest.raises(LaunchError) as caught:
            resolve_directory("/mnt/dead", slow)
        assert str(caught.value) == 'working directory "/mnt/dead" does not answer (0.2 s)'
    assert hung.calls == 1, "the second waits for the first one's answer"
    monkeypatch.undo()
    assert resolve_directory("/", slow) == "/", "others are looked at"


@pytest.mark.timeout(20)
def test_a_program_that_does_not_answer_is_named(
    hung: Hung, alive: NearPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_first_read", hung)
    slow = SlowCalls(alive)
    with pytest.raises(LaunchError) as caught:
        resolve_program(("/mnt/dead/x",), "/", {}, slow)
    assert str(caught.value) == 'command "/mnt/dead/x" does not answer (0.2 s)'
    with pytest.raises(LaunchError, match="PATH does not answer"):
        resolve_program(("x",), "/", {"PATH": "/mnt/dead:/bin"}, slow)
    hung.calls = 0
    assert resolve_program(("sh",), "/", {"PATH": "/bin:/mnt/dead"}, slow) == "/bin/sh"
    assert not hung.calls, "what stands before it in PATH is near"


@pytest.mark.timeout(20)
def test_an_interpreter_that_does_not_answer_is_waited_for_so_long(
    hung: Hung, alive: NearPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, look = tmp_path / "script", program._interpreter
    script.write_text("#!/mnt/dead/sh\n")
    script.chmod(0o700)
    monkeypatch.setattr(
        program, "_interpreter", lambda path: (look if alive.is_near(path) else hung)(path)
    )
    with pytest.raises(LaunchError, match="does not answer"):
        resolve_program((str(script),), "/", {}, SlowCalls(alive))
    assert hung.calls == 1


def test_what_is_near_is_looked_at_without_a_thread(
    alive: NearPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs a launch a tenth of a millisecond of processor time."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    slow = SlowCalls(alive)
    monkeypatch.setattr(slow_module, "spawn", lambda *_: pytest.fail("a thread"))
    assert resolve_directory(str(tmp_path), slow) == str(tmp_path)
    path = f"/none:{tmp_path}:/mnt/dead"
    assert resolve_program(("script",), "/", {"PATH": path}, slow) == str(script)


@pytest.mark.timeout(20)
def test_a_fifo_is_no_program_to_wait_for(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path, 0o700)
    assert resolve_program((str(path),), "/", {}, SlowCalls()) == str(path)


@pytest.mark.timeout(30)
def test_hung_calls_are_bounded(hung: Hung) -> None:
    """Each keeps a thread; past the bound nobody waits, and once they return all is well."""
    slow = SlowCalls()
    waiting = [
        threading.Thread(target=_expect_no_answer, args=(slow, hung, number))
        for number in range(MAX_CALLS)
    ]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        slow.call(10, hung, 99)
    assert time.monotonic() - begun < 9
    hung.answer()
    deadline = time.monotonic() + 10
    while True:
        try:
            assert slow.call(10, len, "abc") == 3
            break
        except TimeoutError:
            assert time.monotonic() < deadline, "room again"
            time.sleep(0.01)


def _expect_no_answer(slow: SlowCalls, hung: Hung, number: int) -> None:
    with pytest.raises(TimeoutError):
        slow.call(0.2, hung, number)


def test_a_call_that_never_begins_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short of memory for its first step, a greenlet or thread does nothing and tells nobody."""
    monkeypatch.setattr(slow_module, "BEGIN_SECONDS", 0.01)
    lost: list[object] = []

    def lose_first(function: Callable[..., object], *args: object) -> None:
        if lost:
            spawn(function, *args)
        lost.append(function)

    monkeypatch.setattr(slow_module, "spawn", lose_first)
    slow = SlowCalls()
    assert slow.call(10, len, "abc") == 3
    assert len(lost) == 2 and not slow._calls


def test_what_a_call_raises_arrives() -> None:
    with pytest.raises(ZeroDivisionError):
        SlowCalls().call(10, divmod, 1, 0)
