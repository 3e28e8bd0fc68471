"""The drain on real PTYs: with splice(2), and with the reads it falls back to."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterator

import pytest

from codewire.io.pipes import open_memory, open_pipe
from codewire.io.wait import spawn
from codewire.output import drain as drain_module
from codewire.output.drain import Drain
from tests.io.drained import Make, Terminal, new_drain, opened
from tests.support import wait_until


@pytest.fixture(params=["splice", "read"] if hasattr(os, "splice") else ["read"])
def drain(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, make: Make
) -> Iterator[Drain]:
    """A running drain; its loop stays with the test process, waiting for ever.

    It closes the masters it was given, as in the node: were they closed behind its back, it would
    read the next test's terminal, whose master gets the same number, into the old one's log.
    """
    if request.param == "read":
        monkeypatch.setattr(drain_module, "splice_works", lambda: False)
    drain = new_drain()
    assert drain.uses_splice == (request.param == "splice")
    spawn(drain.run)
    yield drain
    for terminal in list(drain._sources.values()):
        assert isinstance(terminal, Terminal)
        terminal.close_slave()
        drain.exited(terminal)
        assert terminal.hung_up.wait(30), f"terminal {terminal.id} is not given up"


def text(seed: int, count: int) -> bytes:
    return b"".join(
        b"%03d %06d xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" % (seed, n) for n in range(count)
    )


def logged(data: bytes) -> bytes:
    """Return what the terminal makes of it."""
    return data.replace(b"\n", b"\r\n")


def test_everything_printed_is_logged(drain: Drain, make: Make) -> None:
    terminal = make()
    drain.add(terminal)
    data = text(1, 20_000)
    terminal.print(data)
    wait_until(lambda: terminal.log.end >= len(logged(data)), 20, "all is logged")
    assert terminal.output() == logged(data)


def test_terminals_do_not_mix(drain: Drain, make: Make) -> None:
    """Twenty at once, through the one pipe."""
    terminals = [make() for _ in range(20)]
    for terminal in terminals:
        drain.add(terminal)
    writers = [
        threading.Thread(target=terminal.print, args=(text(terminal.id, 2000),))
        for terminal in terminals
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(20)
    for terminal in terminals:
        wanted = logged(text(terminal.id, 2000))
        wait_until(lambda t=terminal, w=wanted: t.log.end >= len(w), 20, "all is logged")
        assert terminal.output() == wanted


def test_the_end_comes_after_the_last_byte(drain: Drain, make: Make) -> None:
    for _ in range(50):
        terminal = make()
        drain.add(terminal)
        data = text(terminal.id, 50)
        terminal.print(data)
        terminal.close_slave()
        drain.exited(terminal)
        assert terminal.drained.wait(30)
        assert terminal.drained_at == len(logged(data))
        assert terminal.output() == logged(data)
        assert terminal.hung_up.wait(30), "nobody has the terminal open: it is given up"


def test_a_terminal_kept_open_is_read_on(drain: Drain, make: Make) -> None:
    """The child is gone, somebody else still prints: the end is told, later bytes are logged."""
    terminal = make()
    drain.add(terminal)
    terminal.print(b"before\n")
    drain.exited(terminal)
    assert terminal.drained.wait(30)
    assert terminal.output() == b"before\r\n"
    assert not terminal.hung_up.is_set()
    terminal.print(b"after\n")
    wait_until(lambda: terminal.output() == b"before\r\nafter\r\n", 30, "it is logged")
    terminal.close_slave()
    assert terminal.hung_up.wait(30)


def test_a_hangup_is_no_end_while_the_child_lives(drain: Drain, make: Make) -> None:
    """EIO can be reversed: the child may open its terminal again."""
    terminal = make()
    path = os.ttyname(terminal.slave)
    drain.add(terminal)
    terminal.close_slave()
    assert not terminal.hung_up.wait(0.2)
    terminal.slave = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    terminal.print(b"back\n")
    wait_until(lambda: terminal.output() == b"back\r\n", 30, "it is read again")
    assert not terminal.drained.is_set()


def test_a_hangup_does_not_spin(drain: Drain, make: Make) -> None:
    terminal = make()
    drain.add(terminal)
    terminal.close_slave()
    terminal.writable.clear()
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


def test_many_ends_at_once(drain: Drain, make: Make) -> None:
    """All are told, also when their terminals are long gone."""
    terminals = [make() for _ in range(60)]
    for terminal in terminals:
        drain.add(terminal)
        terminal.print(b"bye\n")
    for terminal in terminals:
        terminal.close_slave()
    for terminal in terminals:
        drain.exited(terminal)
    for terminal in terminals:
        assert terminal.drained.wait(30), terminal.id
        assert terminal.hung_up.wait(30), terminal.id
        assert terminal.output() == b"bye\r\n"


def test_room_for_input_is_announced(drain: Drain, make: Make) -> None:
    terminal = make()
    drain.add(terminal)
    drain.watch_writable(terminal, True)
    assert terminal.writable.wait(30)
    drain.watch_writable(terminal, False)


def test_what_a_killed_worker_left_in_the_pipe(make: Make) -> None:
    """Bytes between splice and splice: the next drain finds them and whose they are."""
    read_end, write_end = open_pipe()
    note = open_memory("test-drain", 16)
    first = opened(Drain(read_end, write_end, note))
    if not first.uses_splice:
        pytest.skip("splice(2) does not work on terminals here")
    terminal = make()
    terminal.print(b"in flight\n")

    class Killed(Exception):
        pass

    class Dying:
        """A log whose process is killed before it takes the pipe."""

        def take_pipe(self, pipe: int, count: int) -> None:
            raise Killed

    log, terminal.log = terminal.log, Dying()  # type: ignore[assignment]
    with pytest.raises(Killed):
        first._move(terminal.master, terminal, 65536)
    second = opened(Drain(read_end, write_end, note))
    assert second.pending() == (terminal.id, len(b"in flight\r\n"))
    second.flush_pending(log, second.pending()[1])
    terminal.log = log
    assert terminal.output() == b"in flight\r\n"
    assert second.pending()[1] == 0


def test_a_failing_session_harms_no_other(drain: Drain, make: Make) -> None:
    bad, good = make(), make()

    class Broken:
        end = 0

        def take_pipe(self, pipe: int, count: int) -> None:
            os.read(pipe, count)
            raise OSError(errno.EIO, "broken")

        def take_bytes(self, data: bytes) -> None:
            raise OSError(errno.EIO, "broken")

    log, bad.log = bad.log, Broken()  # type: ignore[assignment]
    drain.add(bad)
    drain.add(good)
    for _ in range(5):
        bad.print(b"x\n")
        good.print(b"y\n")
    wait_until(lambda: good.output() == b"y\r\n" * 5, 30, "the good one is logged")
    bad.log = log


@contextlib.contextmanager
def flooding(terminal: Terminal) -> Iterator[None]:
    """Have the terminal print without end."""
    stop, stopped = threading.Event(), threading.Event()

    def flood() -> None:
        while not stop.is_set():
            terminal.print(text(1, 1000))
        stopped.set()

    spawn(flood)
    try:
        wait_until(lambda: terminal.log.end > 1 << 20, 30, "the flood runs")
        yield
    finally:
        stop.set()
        assert stopped.wait(30)


def rests(terminal: Terminal) -> bool:
    before = terminal.log.end
    time.sleep(0.3)
    return terminal.log.end == before


def test_a_flood_rests_until_an_echo_is_there(
    drain: Drain, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the echo can end it, however slow the machine is.
    monkeypatch.setattr(drain_module, "ECHO_SECONDS", 1000.0)
    loud, typed_into = make(), make()
    drain.add(loud)
    drain.add(typed_into)
    with flooding(loud):
        drain.typed(typed_into)
        wait_until(lambda: rests(loud), 30, "the flood rests")
        before = loud.log.end
        typed_into.print(b"echo")
        wait_until(lambda: typed_into.log.end == 4, 30, "the echo is there")
        wait_until(lambda: loud.log.end > before, 30, "the flood goes on")


def test_keys_without_an_echo_do_not_stop_a_flood(
    drain: Drain, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long beside the pause between two keys: were each to begin a new rest, none would end.
    monkeypatch.setattr(drain_module, "ECHO_SECONDS", 0.02)
    loud, silent = make(), make()
    drain.add(loud)
    drain.add(silent)
    with flooding(loud):
        # What the turn at hand may still move, and many turns after as many rests.
        wanted = loud.log.end + drain_module.FLOOD_CAP + 16 * drain_module.TYPING_CAP
        deadline = time.monotonic() + 30
        while loud.log.end < wanted:
            assert time.monotonic() < deadline, "the flood starves"
            drain.typed(silent)
            time.sleep(0.0001)
