"""Typing into a PTY: whole, in turn, with back-pressure, and never past the session's end."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.io.ptys import open_pty
from codewire.io.wait import wait_readable, wait_writable
from codewire.session.typing import Keyboard as Typist
from codewire.terminal.input import Input, InputClosed
from codewire.terminal.once import InputKeys
from tests.support import wait_until


class Keyboard:
    """An Input on a raw terminal; `announce` plays the drain, which says when there is room."""

    def __init__(self, announces: bool) -> None:
        self.master, self.slave, _ = open_pty(24, 80)
        tty.setraw(self.slave)
        os.set_blocking(self.slave, False)
        self.wanted: list[bool] = []
        self._announces = announces
        self._announcers: list[threading.Thread] = []
        self._closing = False
        self.input = Input(self.master, self._want)

    def _want(self, wanted: bool) -> None:
        self.wanted.append(wanted)
        if wanted and self._announces:
            self._announcers.append(threading.Thread(target=self._announce))
            self._announcers[-1].start()

    def _announce(self) -> None:
        while not self._closing:
            if wait_writable(self.master, 0.05):
                self.input.on_writable()
                return

    def read(self, count: int, timeout: float = 10) -> bytes:
        """Read `count` bytes as the program at the terminal."""
        data = b""
        while len(data) < count:
            if not wait_readable(self.slave, timeout):
                break
            data += os.read(self.slave, min(65536, count - len(data)))
        return data

    def close(self) -> None:
        self.input.end()
        self._closing = True
        for announcer in self._announcers:
            announcer.join()
        self.input.close()
        os.close(self.slave)


@pytest.fixture(params=[True, False], ids=["announced", "by retry"])
def keyboard(request: pytest.FixtureRequest) -> Iterator[Keyboard]:
    keyboard = Keyboard(request.param)
    yield keyboard
    keyboard.close()


def write_in_background(keyboard: Keyboard, data: bytes) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(keyboard.input.write(data))
        except InputClosed as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def test_short_input_goes_straight_through(keyboard: Keyboard) -> None:
    assert keyboard.input.write(b"hello") == 5
    assert keyboard.read(5) == b"hello"
    assert keyboard.input.write(b"") == 0
    assert keyboard.wanted == []


def test_a_key_waits_for_nobody(keyboard: Keyboard) -> None:
    """What does not go at once is for `write`, and so is everything while somebody else types."""
    assert keyboard.input.write_some(b"k") == 1 and keyboard.read(1) == b"k"
    keyboard.input._turn.acquire()
    assert keyboard.input.write_some(b"k") == 0
    keyboard.input._turn.release()
    much = b"x" * (1 << 20)
    assert 0 < keyboard.input.write_some(much) < len(much)
    keyboard.input.end()
    assert keyboard.input.write_some(b"k") == 0


def attached(given: Any, typed: list[Any]) -> tuple[Any, Any]:
    """Return a session with that input, and who types into it; what is noted goes to `typed`."""
    session = SimpleNamespace(
        input=given,
        agent=None,
        grow_count=lambda: 0,
        terminal=SimpleNamespace(
            typed=SimpleNamespace(note=lambda offset, data: typed.append(data)),
            viewers=SimpleNamespace(note=typed.append),
        ),
    )
    drain: Any = SimpleNamespace(typed=typed.append)
    return session, Typist(drain, lambda *_: None)


def test_what_a_terminal_took_of_a_key_counts() -> None:
    def refuse(data: bytes, **_: Any) -> int:
        raise InputClosed(2)

    typed: list[Any] = []
    given = SimpleNamespace(write_some=lambda data: 1, write=refuse)
    session, user = attached(given, typed)
    with pytest.raises(InputClosed) as caught:
        user.key_in(session, b"\x1b[15~")
    assert caught.value.written == 3
    assert typed == [session, b"\x1b[15~", b"\x1b[15~"], "noted before the key and behind it"


def test_a_key_goes_first_and_a_paste_by_one_turn() -> None:
    """Between two turns somebody else may type: a key that did not fit has nothing to be cut."""
    calls: list[Any] = []

    def take(data: bytes, size: int) -> int:
        calls.append(("some", len(data)))
        return size

    def wait(data: bytes, **_: Any) -> int:
        calls.append(("all", len(data)))
        return len(data)

    slow = SimpleNamespace(write_some=lambda data: take(data, 1), write=wait)
    session, user = attached(slow, [])
    for size in (1, 3, 500):
        user.key_in(session, b"k" * size)
    assert calls == [("some", 1), ("some", 3), ("all", 2), ("all", 500)]


def test_nothing_is_dropped_while_nobody_reads(keyboard: Keyboard) -> None:
    data = os.urandom(80_000)
    thread, results = write_in_background(keyboard, data)
    wait_until(lambda: keyboard.wanted, 30, "the terminal is full")
    assert thread.is_alive()
    received = keyboard.read(len(data))
    thread.join(10)
    assert results == [len(data)]
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
    assert keyboard.wanted.count(True) == keyboard.wanted.count(False)


def test_writers_take_turns(keyboard: Keyboard) -> None:
    size = 12_000
    threads = [write_in_background(keyboard, bytes([letter]) * size) for letter in b"abcd"]
    received = keyboard.read(4 * size)
    for thread, results in threads:
        thread.join(10)
        assert results == [size]
    pieces = [received[start : start + size] for start in range(0, 4 * size, size)]
    assert sorted(pieces) == [bytes([letter]) * size for letter in b"abcd"]


def test_the_end_frees_every_writer(keyboard: Keyboard) -> None:
    threads = [write_in_background(keyboard, b"x" * 100_000) for _ in range(3)]
    wait_until(lambda: keyboard.wanted, 30, "the terminal is full")
    keyboard.input.end()
    for thread, _ in threads:
        thread.join(10)
    written = sorted(results[0].written for _, results in threads)  # type: ignore[attr-defined]
    assert written[:2] == [0, 0]
    assert 0 < written[2] < 100_000
    with pytest.raises(InputClosed):
        keyboard.input.write(b"late")


def test_a_writer_can_be_called_off(keyboard: Keyboard) -> None:
    cancelled = threading.Event()
    results: list[object] = []

    def run() -> None:
        try:
            keyboard.input.write(b"x" * 100_000, cancelled.is_set)
        except InputClosed as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: keyboard.wanted, 30, "the terminal is full")
    cancelled.set()
    thread.join(10)
    assert isinstance(results[0], InputClosed)
    assert keyboard.read(results[0].written) == b"x" * results[0].written
    assert keyboard.input.write(b"next") == 4
    assert keyboard.read(4) == b"next"


def test_waiting_for_room_burns_nothing(keyboard: Keyboard) -> None:
    thread, _ = write_in_background(keyboard, b"x" * 100_000)
    wait_until(lambda: keyboard.wanted, 30, "the terminal is full")
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
    keyboard.input.end()
    thread.join(10)


def test_a_closed_master_is_left_alone(keyboard: Keyboard) -> None:
    calls: list[int] = []
    keyboard.input.use(calls.append)
    assert calls == [keyboard.master]
    keyboard.input.close()
    keyboard.input.close()
    keyboard.input.use(calls.append)
    assert len(calls) == 1
    with pytest.raises(InputClosed):
        keyboard.input.write(b"x")


def test_a_writer_whose_client_left_goes_at_once(keyboard: Keyboard) -> None:
    """The one that types, and those that wait for their turn; the next one's turn comes."""
    left = threading.Event()
    results: list[InputClosed] = []

    def run() -> None:
        try:
            keyboard.input.write(b"x" * 100_000, has_left=left.is_set)
        except InputClosed as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: keyboard.wanted, 30, "the terminal is full")
    assert all(thread.is_alive() for thread in threads)
    left.set()
    for thread in threads:
        thread.join(10)
    written = sorted(error.written for error in results)
    assert written[:2] == [0, 0]
    assert keyboard.read(written[2]) == b"x" * written[2]
    assert keyboard.input.write(b"next") == 4
    assert keyboard.read(4) == b"next"


def test_patience_ends_when_nothing_is_read(keyboard: Keyboard) -> None:
    with pytest.raises(InputClosed) as closed:
        keyboard.input.write(b"x" * 100_000, patience=0.2)
    assert 0 < closed.value.written < 100_000
    assert keyboard.read(closed.value.written) == b"x" * closed.value.written


def test_a_key_is_not_waited_for_when_the_client_left(keyboard: Keyboard, tmp_path: Path) -> None:
    keys = InputKeys(str(tmp_path / "keys"))
    entered, done = threading.Event(), threading.Event()

    def write(before: object) -> int:
        entered.set()
        done.wait(30)
        return 1

    first = threading.Thread(target=lambda: keys.write("a", write))
    first.start()
    assert entered.wait(10)
    with pytest.raises(InputClosed):
        keys.write("b", write, lambda: True)
    done.set()
    first.join(10)
    assert keys.write("b", lambda before: 2) == (2, False)
