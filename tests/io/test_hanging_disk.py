"""A write or sync that hangs holds up those who wait for it, and nobody else.

Appends of events and of the sessions' journal are made from threads as where somebody else serves
the data directory. The disk's calls are replaced by ones that block in the kernel, as those on a
dead server do.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.disk import filing, journal, lines
from codewire.io import filecalls
from codewire.io.filecalls import call_here, calls_for
from codewire.io.wait import run_blocking, spawn
from codewire.mail.draft import Draft
from codewire.mail.mailbox import Mailbox
from codewire.mail.party import Party, here
from codewire.node.logfile import NodeLog
from codewire.output.opening import open_log
from codewire.paths import DataDir
from codewire.session.kv import KeyValues
from codewire.session.records.store import Store
from codewire.session.session import Session
from codewire.terminal.input import Input
from codewire.terminal.once import InputKeys
from tests.unit.session.records import running
from tests.unit.session.test_mailbox import Sessions


class HangingDisk:
    """Has appends and syncs of some files hang, once, until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read_end, self._write_end = os.pipe()
        self._append, self._sync = filing.append_data, filing.sync_file
        self.name = ""
        self.is_hanging = False
        for module in (lines, journal):
            monkeypatch.setattr(module, "append_data", self.append)

    def _hang(self, path: str) -> None:
        if self.name and path.endswith(self.name):
            self.name, self.is_hanging = "", True
            os.read(self._read_end, 1)
            self.is_hanging = False

    def append(self, path: str, data: bytes) -> int:
        self._hang(path)
        return self._append(path, data)

    def sync(self, path: str) -> None:
        self._hang(path)
        self._sync(path)

    def go_on(self) -> None:
        os.write(self._write_end, b"x")

    def close(self) -> None:
        os.close(self._write_end)
        os.close(self._read_end)


class Node:
    """As much of a node as writes files."""

    def __init__(self, root: Path, disk: HangingDisk) -> None:
        self.paths = DataDir(str(root))
        self.sessions: Any = Sessions(self.paths)
        self.mailbox = Mailbox(self.paths, self.sessions)
        self.kv = KeyValues(self.paths.kv)
        self.kv.set("", "old", b"value")
        self.journal = journal.Journal(self.paths.sessions_journal, disk.sync)
        registry = self.sessions.registry
        self.store = Store(
            self.paths.sessions_json, self.journal, registry.records, lambda written: None
        )
        for session in registry.all():
            session.messages._sync = disk.sync
            session.events._calls = run_blocking
            self.store.put(session.record)
        self.kv._journal._sync = disk.sync
        self.mailbox._pending._journal._sync = disk.sync
        self.recipient, self.sender = registry.get(2), registry.get(1)
        self.send("before")
        self.request = self.ask("?")

    def send(self, body: str) -> None:
        self.mailbox.send(Draft(here(self.sender), self.recipient, body))

    def ask(self, body: str) -> Any:
        draft = Draft(here(self.sender), self.recipient, body)
        return self.mailbox.requests.ask(draft, 60, threading.Event())[0]

    def reply(self) -> None:
        self.mailbox.requests.reply(self.request.id, "!", Party(2), "", "")

    def look(self) -> None:
        """Do what other clients do that need nothing of the disk but reading."""
        assert self.kv.get("", "old") == b"value"
        assert "old" in [key for key, _ in self.kv.list("", "")]
        inbox = self.mailbox.read(self.recipient, 0)
        assert inbox.messages[0]["body"] == "before"
        assert [session.id for session in self.sessions.registry.all()] == [1, 2]
        assert self.store.unsaved() >= {1, 2}
        self.store.changed(1)
        self.sessions.bus.publish(1, [], "x", {}, self.sender.events)


WHAT: list[tuple[str, Callable[[Node], Any]]] = [
    ("kv.jsonl", lambda node: node.kv.set("", "new", b"v")),
    ("kv.jsonl", lambda node: node.kv.delete("", "old2")),
    ("2/messages.jsonl", lambda node: node.send("hello")),
    ("1/messages.jsonl", lambda node: node.send("hello")),
    ("requests.jsonl", lambda node: node.ask("and?")),
    ("requests.jsonl", lambda node: node.reply()),
    ("sessions.journal.jsonl", lambda node: node.store.put(running(2, name="new"))),
    ("1/events.jsonl", lambda node: node.sessions.scribe.write()),
]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingDisk]:
    disk = HangingDisk(monkeypatch)
    yield disk
    disk.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(("name", "act"), WHAT)
def test_others_go_on(
    tmp_path: Path, disk: HangingDisk, name: str, act: Callable[[Node], Any]
) -> None:
    node = Node(tmp_path, disk)
    node.kv.set("", "old2", b"") if name == "kv.jsonl" else None
    done = threading.Event()
    node.sessions.bus.publish(1, [], "x", {}, node.sender.events)
    disk.name = name

    def run() -> None:
        act(node)
        done.set()

    spawn(run)
    wait_until(lambda: disk.is_hanging)
    began = time.monotonic()
    node.look()
    assert time.monotonic() - began < 50 and not done.is_set()
    disk.go_on()
    assert done.wait(10)


@pytest.mark.parametrize("name", ["kv.jsonl", "2/messages.jsonl", "requests.jsonl"])
def test_who_writes_does_not_wait_for_a_sync(tmp_path: Path, disk: HangingDisk, name: str) -> None:
    node = Node(tmp_path, disk)
    act = next(act for file, act in WHAT if file == name)
    done = threading.Event()
    files = {
        "kv.jsonl": node.kv._journal,
        "2/messages.jsonl": node.recipient.messages,
        "requests.jsonl": node.mailbox._pending._journal,
    }
    file = files[name]
    appended = disk._append

    def append_then_hang(path: str, data: bytes) -> int:
        """Let the append pass, not the sync after it."""
        disk.name = name if path.endswith(name) else ""
        return appended(path, data)

    disk._append = append_then_hang

    def run() -> None:
        act(node)
        done.set()

    spawn(run)
    wait_until(lambda: disk.is_hanging)
    disk._append = appended
    line = file.add({"over": "none", "ns": "", "key": ""})
    file.write()
    assert line.is_written and not done.is_set()
    node.look()
    disk.go_on()
    assert done.wait(10)


def test_a_key_that_is_being_noted_holds_up_nobody_at_the_keyboard(
    tmp_path: Path, disk: HangingDisk
) -> None:
    """Others type, and the terminal's size can be told."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    inputs = Input(write_end, lambda wanted: None)
    keys = InputKeys(str(tmp_path / "input-keys.jsonl"))
    disk.name = "input-keys.jsonl"
    found: list[Any] = []
    spawn(lambda: found.append(keys.write("k", lambda begin: inputs.write(b"one", before=begin))))
    wait_until(lambda: disk.is_hanging)
    assert inputs.write(b"two") == 3
    inputs.use(lambda fd: found.append(fd))
    assert found == [write_end]
    disk.go_on()
    wait_until(lambda: len(found) == 2)
    assert found[1] == (3, False) and os.read(read_end, 10) == b"twoone"
    inputs.close()
    os.close(read_end)


class Served:
    """A file system that is somebody else's: its calls hang while they are told to."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        self.hangs = self.is_hanging = False

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        return run_blocking(self._call, function, args)

    def _call(self, function: Callable[..., Any], args: Any) -> Any:
        if self.hangs:
            self.hangs, self.is_hanging = False, True
            os.read(self._read_end, 1)
            self.is_hanging = False
        return function(*args)

    def go_on(self) -> None:
        os.write(self._write_end, b"x")

    def close(self) -> None:
        os.close(self._write_end)
        os.close(self._read_end)


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


@pytest.mark.timeout(30)
def test_a_log_that_hangs_holds_up_its_writer_alone(tmp_path: Path, served: Served) -> None:
    """Under gevent a call made at once would be this test's last."""
    output = open_log(str(tmp_path / "output.log"), calls=served)
    read_end, write_end = os.pipe()
    os.write(write_end, b"spliced")
    for act in (
        lambda: output.take_bytes(b"written "),
        lambda: output.take_pipe(read_end, 7),
        lambda: output.read(0, 100),
        lambda: output.line_start(1),
    ):
        served.hangs, done = True, threading.Event()
        spawn(lambda act=act, done=done: (act(), done.set()))
        wait_until(lambda: served.is_hanging)
        assert not done.is_set()
        served.go_on()
        assert done.wait(10)
    assert output.read(0, 100).data == b"written spliced"
    assert not output.is_sendable
    output.release()
    os.close(read_end)
    os.close(write_end)


@pytest.mark.timeout(30)
def test_a_node_log_that_hangs_holds_up_nobody(tmp_path: Path, served: Served) -> None:
    handler = NodeLog(str(tmp_path / "node.log"), served)
    served.hangs = True
    record = logging.LogRecord("x", logging.ERROR, "", 0, "line %d", (1,), None)
    began = time.monotonic()
    for number in range(20):
        record.args = (number,)
        handler.handle(record)
    assert served.is_hanging and time.monotonic() - began < 10
    served.go_on()
    path = tmp_path / "node.log"
    wait_until(lambda: path.exists() and path.read_text().count("\n") == 20)
    assert [line.split()[-1] for line in path.read_text().splitlines()] == [*map(str, range(20))]


def test_only_what_is_served_is_called_from_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "sessions"
    directory.mkdir()
    assert calls_for(str(tmp_path), str(directory)) is call_here
    assert calls_for(str(tmp_path / "none")) is call_here
    monkeypatch.setattr(filecalls, "is_served", lambda device: True)
    assert calls_for(str(tmp_path / "none"), str(directory)) is run_blocking


def test_a_disk_of_this_machine_gets_lines_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launch makes two: elsewhere, each costs as much as its directory. Syncs never are."""
    elsewhere: list[object] = []

    def run(function: Callable[..., Any], *args: Any) -> Any:
        elsewhere.append(function)
        return function(*args)

    monkeypatch.setattr(lines, "run_blocking", run)
    file = lines.Lines(str(tmp_path / "events.jsonl"), calls=call_here)
    line = file.add({"type": "x"})
    file.write()
    assert line.is_written and not elsewhere
    assert file.commit(line) and len(elsewhere) == 1
    session = Session(running(1), "log", str(tmp_path / "events.jsonl"), calls=run)
    session.events.add({"type": "y"})
    session.events.write()
    assert len(elsewhere) == 2, "as the node calls on the session's other files"


def test_listing_asks_a_served_file_system_once(tmp_path: Path) -> None:
    """Of a live session not at all: what it printed is known."""
    path = tmp_path / "output.log"
    asked: list[object] = []

    def calls(function: Callable[..., Any], *args: Any) -> Any:
        asked.append(function)
        return function(*args)

    session = Session(running(1), str(path), str(tmp_path / "events.jsonl"), calls=calls)
    session.open_log(0).take_bytes(b"text")
    asked.clear()
    size, grown_ns = session.log_status() or (0, 0)
    assert size == 4 and grown_ns and not asked
    session.close_log()
    asked.clear()
    for _ in range(3):
        assert session.log_status() == (4, path.stat().st_mtime_ns)
    assert len(asked) == 1
