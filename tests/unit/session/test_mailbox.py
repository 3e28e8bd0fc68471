"""What the post office confirms is on the disk, and nobody else waits for that."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from codewire.disk.scribe import Scribe
from codewire.errors import RequestError
from codewire.mail import mailbox
from codewire.mail.draft import Draft
from codewire.mail.mailbox import Mailbox
from codewire.mail.party import Party, here
from codewire.paths import DataDir
from codewire.session.events import EventBus
from codewire.session.registry import Registry
from codewire.session.session import Session
from tests.unit.session.records import running


class Sessions:
    """As much of a lifecycle as mail needs that is not typed."""

    def __init__(self, paths: DataDir) -> None:
        self.registry = Registry(paths)
        self.scribe = Scribe()
        self.bus = EventBus(self.scribe)
        for number in (1, 2):
            directory = paths.session(number)
            os.makedirs(directory)
            files = [os.path.join(directory, name) for name in ("output.log", "events.jsonl")]
            self.registry.add(Session(running(number), *files))


class Office:
    """A mailbox; `on_sync` is called for each file that is to be synced."""

    def __init__(self, root: Path) -> None:
        paths = DataDir(str(root))
        self.sessions: Any = Sessions(paths)
        self.synced: list[str] = []
        self.on_sync: Any = self.synced.append
        self.box = Mailbox(paths, self.sessions)
        for session in self.sessions.registry.all():
            session.messages._sync = lambda path: self.on_sync(path)
        self.box._pending._journal._sync = lambda path: self.on_sync(path)

    def draft(self, body: str, key: str = "") -> Draft:
        find = self.sessions.registry.get
        return Draft(here(find(1)), find(2), body, key=key)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def fail(path: str) -> None:
    raise OSError(5, "Input/output error")


def test_a_message_is_confirmed_when_it_is_synced(office: Office) -> None:
    office.box.send(office.draft("hello"))
    assert [os.path.basename(path) for path in office.synced] == ["messages.jsonl"]
    office.on_sync = fail
    with pytest.raises(RequestError, match="could not be stored"):
        office.box.send(office.draft("hello"))


def test_requests_and_replies_are_confirmed_when_they_are_synced(office: Office) -> None:
    request, _ = office.box.requests.ask(office.draft("?"), 60, threading.Event())
    assert [os.path.basename(path) for path in office.synced] == ["requests.jsonl"]
    office.box.requests.reply(request.id, "!", Party(2), "", "")
    assert len(office.synced) == 2
    office.on_sync = fail
    with pytest.raises(RequestError, match="could not be stored"):
        office.box.requests.ask(office.draft("?"), 60, threading.Event())
    assert office.box.read(office.sessions.registry.get(2), 0).open_requests == []


def test_nobody_else_waits_for_a_sync(office: Office) -> None:
    """Reading, asking and answering go on while the disk takes its time over a message."""
    seen: list[int] = []

    def slow(path: str) -> None:
        office.on_sync = lambda path: None
        recipient = office.sessions.registry.get(2)
        seen.append(len(office.box.read(recipient, 0).messages))
        request, _ = office.box.requests.ask(office.draft("?"), 60, threading.Event())
        office.box.requests.reply(request.id, "!", Party(2), "", "")

    office.on_sync = slow
    office.box.send(office.draft("hello"))
    assert seen == [1]


def test_an_inbox_has_a_budget_and_open_requests_have_none(office: Office) -> None:
    office.sessions.registry.get(2).messages.max_bytes = 2000
    request, _ = office.box.requests.ask(office.draft("first of all"), 60, threading.Event())
    for number in range(100):
        office.box.send(office.draft(f"message {number}"))
    recipient = office.sessions.registry.get(2)
    inbox = office.box.read(recipient, 0)
    bodies = [message["body"] for message in inbox.messages]
    assert bodies == [f"message {n}" for n in range(100 - len(bodies), 100)] and len(bodies) > 5
    assert [letter["request_id"] for letter in inbox.open_requests] == [request.id]
    assert [m["body"] for m in office.box.read(recipient, 3).messages] == bodies[-3:]
    directory = Path(recipient.messages.path).parent
    assert sum(p.stat().st_size for p in directory.glob("messages.jsonl*")) < 5000


def test_an_inbox_that_is_no_file_is_moved_aside(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """Once: then there is a new one."""
    recipient = office.sessions.registry.get(2)
    path = recipient.messages.path
    os.mkfifo(path)
    with pytest.raises(RequestError, match="failed to read messages"):
        office.box.read(recipient, 0)
    for body in ("hello", "again"):
        office.box.send(office.draft(body))
    assert [m["body"] for m in office.box.read(recipient, 0).messages] == ["hello", "again"]
    assert len(list(Path(path).parent.glob("messages.jsonl.corrupt.*"))) == 1
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1


def test_what_killed_workers_left_half_done_is_finished(office: Office, tmp_path: Path) -> None:
    """Each of several letters that were journalled and reached no inbox; none comes twice."""
    asked = [
        office.box.requests.ask(office.draft(f"? {n}"), 60, threading.Event())[0] for n in "ab"
    ]
    office.box.requests.reply(asked[0].id, "!", Party(2), "", "")
    find = office.sessions.registry.get
    whole = [office.box.read(find(number), 0).messages for number in (1, 2)]
    for number in (1, 2):
        lines = Path(find(number).messages.path).read_bytes().splitlines(keepends=True)
        # Of the first request only the reply is missing, of the second one everything.
        Path(find(number).messages.path).write_bytes(lines[0])
    for _ in range(2):
        again = Office.__new__(Office)
        again.sessions = office.sessions
        Mailbox(DataDir(str(tmp_path)), office.sessions).restore()
        for number in (1, 2):
            found = office.box.read(find(number), 0).messages
            key = [(m["type"], m["request_id"]) for m in found]
            assert sorted(key) == sorted((m["type"], m["request_id"]) for m in whole[number - 1])


def test_a_message_that_was_not_stored_may_be_sent_again(office: Office) -> None:
    recipient = office.sessions.registry.get(2)
    office.on_sync = fail
    with pytest.raises(RequestError, match="could not be stored"):
        office.box.send(office.draft("hello", "key"))
    synced: list[str] = []
    office.on_sync = synced.append
    office.box.send(office.draft("hello", "key"))
    assert len(office.box.read(recipient, 0).messages) >= 1


@pytest.mark.parametrize(
    "line",
    [
        *(b"5", b"\0", b'{"type":"direct.message","data":7}', b"[" * 100_000),
        b'{"type":"direct.message","timestamp":[],"data":{"from":1e999,"to":true,"body":5}}',
        b'{"type":["direct.message"],"data":{}}',
        b'{"type":"direct.message","data":{"from":' + b"9" * 5000 + b"}}",
    ],
)
def test_foreign_lines_in_an_inbox(office: Office, line: bytes) -> None:
    recipient = office.sessions.registry.get(2)
    path = recipient.messages.path
    office.box.send(office.draft("before"))
    with open(path, "ab") as file:
        file.write(line + b"\n" + line)
    office.box.send(office.draft("after"))
    bodies = [message["body"] for message in office.box.read(recipient, 0).messages]
    assert bodies[0] == "before" and bodies[-1] == "after"


def test_receipts_are_bounded_and_the_newest_kept(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "KEPT_RECEIPTS", 5)
    monkeypatch.setattr(mailbox, "RETRY_SECONDS", -1.0)
    receipts = [office.box.send(office.draft("x", f"key {n}")) for n in range(9)]
    again = [office.box.send(office.draft("x", f"key {n}")) for n in range(4, 9)]
    assert again == receipts[4:]
    recipient = office.sessions.registry.get(2)
    assert len(office.box.read(recipient, 0).messages) == 9
    assert len(office.box._receipts) == 5
