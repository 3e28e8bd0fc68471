"""The last byte before the end notice (design, P4): whether it has ended is asked before the log.

The log here grows, and the session ends, in the moment after a reader has found nothing new: a
reader that then asks whether the session has ended, and not before, never looks again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.node.handlers import output
from codewire.node.handlers.attach import Attachment
from codewire.output.cursor import Cursor
from codewire.output.log import OutputLog
from codewire.session.life import State
from codewire.session.records.record import Record
from codewire.session.session import Session

FIRST, LAST = b"first ", b"last"


class Client:
    """A stream and its peer in one: notes what is sent; gone once it would wait for ever."""

    sends_files = False

    def __init__(self) -> None:
        self.text = b""
        self.end: dict[str, Any] = {}
        self.waker = threading.Event()
        self.is_gone = False

    def send_data(self, data: bytes) -> None:
        assert not self.end, "output after the end notice"
        self.text += data

    def send_control(self, message: dict[str, Any]) -> None:
        self.send_data((message.get("data") or message.get("output") or "").encode())
        if message.get("done") or message["type"] == "Error":
            self.end = message

    def wait(self, timeout: float | None = None) -> None:
        self.is_gone = not self.waker.is_set()


class LateLog(OutputLog):
    """Gets its last bytes, and its session ends, right after somebody found nothing new in it."""

    def __init__(self, path: str, session: Session, client: Client) -> None:
        self._session, self._client = session, client
        super().__init__(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    @property
    def end(self) -> int:  # type: ignore[override]
        found = self._end
        if self._client.text == FIRST:
            self._grow()
        return found

    @end.setter
    def end(self, value: int) -> None:
        self._end = value

    def _grow(self) -> None:
        if self._session.is_running():
            self._session.life.state = State.CLOSED
            self.take_bytes(LAST)
            self._session.wake()


def attach(session: Session, cursor: Cursor, client: Client) -> None:
    sessions = SimpleNamespace(keyboard=SimpleNamespace(is_typing=lambda: False))
    node: Any = SimpleNamespace(client_numbers=iter([1]), sessions=sessions)
    stream: Any = client
    attachment = Attachment(node, stream, session)
    attachment._peer = stream
    attachment._pump(cursor)


def follow(session: Session, cursor: Cursor, client: Any) -> None:
    reader = output.TextReader(cursor, False)
    output._follow(client, session, client, reader, output.Deadline(None), None)


def watch(session: Session, cursor: Cursor, client: Any) -> None:
    output._watch(client, session, client, output.TextReader(cursor, False))


@pytest.mark.parametrize("serve", [attach, follow, watch])
def test_what_came_with_the_end_is_sent_before_it(
    tmp_path: Path, serve: Callable[[Session, Cursor, Client], None]
) -> None:
    record = Record(id=1, argv=["x"], working_dir="/", created_ns=0)
    session = Session(record, str(tmp_path / "output.log"), "")
    client = Client()
    log = LateLog(session.log_path, session, client)
    log.take_bytes(FIRST)
    session.watch(client.waker)
    cursor = Cursor(log, 0, client.waker)
    try:
        serve(session, cursor, client)
    finally:
        cursor.close()
    assert (client.text, bool(client.end)) == (FIRST + LAST, True)
