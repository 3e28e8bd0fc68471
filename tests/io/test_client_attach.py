"""The attach loop in a child process on a real PTY: what reaches whom, and every way out.

The node is scripted, the terminal is the test: it reads what a screen would show.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from codewire.term.restore import CLEAR, TEARDOWN
from tests.io.attaching import CHILD, Screen, attached, controls, serve
from tests.io.scripted_node import Handler, NodeEnd, ScriptedNode
from tests.processes import cpu_seconds
from tests.support import REPOSITORY

CTRL_B = b"\x02"
DETACHED = b"\r\n[cw] detached from session 1\r\n"


Attach = Callable[..., Screen]

RESUMED = {"type": "Attach", "id": 1, "history": "terminal", "notices": True}


@pytest.fixture
def attach() -> Iterator[Attach]:
    """Call it with handlers to get a screen attached to a node that does just that."""
    screens: list[Screen] = []

    def start(
        *handlers: Handler, rows: int = 24, cols: int = 80, prelude: str = "", **env: str
    ) -> Screen:
        screen = Screen(ScriptedNode(*handlers), rows, cols, prelude, **env)
        screens.append(screen)
        return screen

    yield start
    for screen in screens:
        screen.close()
        screen.node.close()


def test_a_session_is_seen_typed_into_and_left(attach: Attach) -> None:
    screen = attach(serve)
    screen.expect(b"[cw] attached to session 1\r\n")
    screen.expect(CLEAR)
    screen.expect(b"hello\r\n")
    screen.type(b"ls\r\x03")
    screen.expect(b"<ls\r\x03>")
    screen.type(CTRL_B + b"d")
    assert screen.wait() == 0
    screen.check_restored()
    # The end message comes after the teardown, on the last row.
    assert screen.seen.endswith(b"\x1b[24;1H" + DETACHED)
    assert screen.seen.index(TEARDOWN) < screen.seen.index(DETACHED)


def test_a_session_that_was_stopped_is_said_to_go_on(attach: Attach) -> None:
    def continued(end: NodeEnd) -> None:
        end.receive_control()
        end.send_control({"type": "Attached", "id": 1, "offset": 0, "continued": True})
        end.send_control({"type": "Error", "message": "session completed (0)"})

    screen = attach(continued)
    screen.expect(b"[cw] session 1 was stopped; continued\r\n")
    screen.expect(b"[cw] attached to session 1\r\n")
    screen.wait()


def test_a_terminal_that_cannot_be_opened_again_works_too(attach: Attach) -> None:
    # As after `su`: the terminal is open, but its path is not ours to open.
    prelude = (
        "import os; from codewire.client.attaching import terminal; "
        "terminal.OWN_FLAGS |= os.O_DIRECTORY"
    )
    screen = attach(serve, prelude=prelude)
    screen.expect(b"hello\r\n")
    screen.type(b"x" * 3000)
    screen.expect(b"x>")
    screen.type(CTRL_B + b"d")
    assert screen.wait() == 0
    screen.check_restored()
    assert screen.seen.endswith(b"\x1b[24;1H" + DETACHED)


def test_keys_before_the_chord_are_not_lost(attach: Attach) -> None:
    typed: list[Any] = []

    def note(end: NodeEnd) -> None:
        attached(end)
        end.send_data(b"ready")
        while (frame := end.receive()) is not None:
            typed.append(frame)
            if frame[0] == 0 and b"Detach" in frame[1]:
                end.send_control({"type": "Detached", "id": 1})
                return

    screen = attach(note)
    screen.expect(b"ready")
    screen.type(b"abc" + CTRL_B + b"d" + b"after")
    assert screen.wait() == 0
    assert [data for kind, data in typed if kind == 1] == [b"abc"]
    assert json.loads(typed[-1][1]) == {"type": "Detach", "id": 1}


def test_a_lone_escape_key_is_not_held_back(attach: Attach) -> None:
    screen = attach(serve)
    screen.expect(b"hello")
    screen.type(b"\x1b")
    screen.expect(b"<\x1b>")
    screen.type(CTRL_B + CTRL_B)
    screen.expect(b"<\x02>")
    # The prefix itself waits for a person's next key.
    screen.type(CTRL_B)
    time.sleep(0.2)
    screen.type(b"d")
    assert screen.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_signals_leave_the_terminal_as_it_was(attach: Attach, number: int) -> None:
    screen = attach(serve)
    screen.expect(b"hello")
    os.kill(screen.process.pid, number)
    assert screen.wait() == 128 + number
    screen.check_restored()


def test_the_last_output_comes_before_the_end_notice(attach: Attach) -> None:
    def end_at_once(end: NodeEnd) -> None:
        attached(end)
        end.send_data(b"x" * 200_000 + b"LAST")
        end.send_control({"type": "Error", "message": "session completed (0)"})

    screen = attach(end_at_once)
    assert screen.wait() == 0
    screen.check_restored()
    assert screen.seen.endswith(b"\r\n[cw] session completed (0)\r\n")
    assert 0 < screen.seen.index(b"LAST") < screen.seen.index(TEARDOWN)


def test_a_node_that_names_no_offset_is_lost_at_once(attach: Attach) -> None:
    screen = attach(lambda end: attached(end, None) and end.send_data(b"hi"))
    assert screen.wait() == 1
    screen.check_restored()
    assert screen.seen.endswith(b"\r\n[cw] connection lost\r\n")


def test_a_node_that_is_gone_for_good_ends_it(attach: Attach) -> None:
    screen = attach(lambda end: attached(end) and end.send_data(b"hi"))
    screen.expect(b"hi")
    assert screen.wait() == 1
    screen.check_restored()
    assert screen.seen.endswith(b"\r\n[cw] connection lost\r\n")


def test_garbage_from_the_node_ends_it_in_order(attach: Attach) -> None:
    screen = attach(lambda end: attached(end) and end.send_raw(b"\x09\0\0\0\0"))
    assert screen.wait() == 1
    screen.check_restored()
    assert b"[cw] connection error: unknown frame type: 0x09\r\n" in screen.seen


def test_a_replaced_worker_is_not_noticed(attach: Attach) -> None:
    def first(end: NodeEnd) -> None:
        attached(end)
        end.send_data(b"one ")
        # Half a frame: the worker was killed while writing.
        end.send_raw(b"\x01\0\0\0\x04tw")

    def second(end: NodeEnd) -> None:
        request = end.receive_control()
        assert request == {**RESUMED, "from_offset": 4}
        end.send_control({"type": "Attached", "id": 1, "offset": 4})
        sizes = controls(end)
        assert next(sizes) == {"type": "Resize", "cols": 80, "rows": 23}
        end.send_data(b"two ")
        end.send_control({"type": "Error", "message": "session killed"})

    screen = attach(first, second)
    assert screen.wait() == 0
    assert b"one two " in screen.output()
    assert screen.seen.endswith(b"\r\n[cw] session killed\r\n")


def test_an_error_in_our_own_code_restores_the_terminal(attach: Attach) -> None:
    prelude = "attachment.Attachment._read_keys = lambda self: 1 // 0"
    screen = attach(serve, prelude=prelude)
    screen.expect(b"hello")
    screen.type(b"x")
    assert screen.wait() == 1
    assert b"ZeroDivisionError" in screen.seen
    screen.check_restored()


def test_a_closed_window_ends_the_client(attach: Attach) -> None:
    screen = attach(serve)
    screen.expect(b"hello")
    screen.hang_up()
    assert screen.process.wait(10) == 128 + signal.SIGHUP


def test_a_node_that_reads_nothing_can_be_left(attach: Attach) -> None:
    def deaf(end: NodeEnd) -> None:
        attached(end)
        end.send_data(b"deaf")
        # Until the client has gone by itself; nothing is read before.
        poller = select.poll()
        poller.register(end.sock, select.POLLHUP)
        assert poller.poll(60_000)

    screen = attach(deaf)
    screen.expect(b"deaf")
    # More than its socket takes unread; what is over waits in the client, the chord behind it.
    for _ in range(100):
        screen.type(b"k" * 4000)
    screen.type(CTRL_B + b"d")
    assert screen.wait() == 0
    screen.check_restored()


def test_a_terminal_that_takes_nothing_still_obeys_signals(attach: Attach) -> None:
    def flood(end: NodeEnd) -> None:
        attached(end)
        try:
            while True:
                end.send_data(b"f" * 65536)
        except OSError:
            pass

    screen = attach(flood)
    screen.expect(b"fff")
    time.sleep(0.5)  # nobody reads the screen: it fills up
    os.kill(screen.process.pid, signal.SIGTERM)
    assert screen.process.wait(10) == 128 + signal.SIGTERM
    assert termios.tcgetattr(screen.slave) == screen.modes


def test_the_session_has_the_row_of_the_bar_only_while_it_needs_it(attach: Attach) -> None:
    sizes: list[tuple[int, int]] = []

    def switch(end: NodeEnd) -> None:
        attached(end)
        for outputs in ([b"\x1b[?10", b"49h"], [b"\x1b[?1049l"], []):
            size = next(controls(end))
            sizes.append((size["rows"], size["cols"]))
            for output in outputs:
                end.send_data(output)
        end.send_control({"type": "Error", "message": "session killed"})

    screen = attach(switch)
    assert screen.wait() == 0
    assert sizes == [(23, 80), (24, 80), (23, 80)]
    screen.check_restored()


def test_a_new_window_size_is_passed_on(attach: Attach) -> None:
    sizes: list[tuple[int, int]] = []

    def note(end: NodeEnd) -> None:
        attached(end)
        for control in controls(end):
            if control["type"] == "Resize":
                sizes.append((control["rows"], control["cols"]))
                end.send_data(b"size %d." % len(sizes))
            else:
                end.send_control({"type": "Detached", "id": 1})
                return

    screen = attach(note)
    screen.expect(b"size 1.")
    for rows, cols in ((40, 100), (4, 30)):
        screen.resize(rows, cols)
        os.kill(screen.process.pid, signal.SIGWINCH)
        screen.expect(b"size ")
    screen.type(CTRL_B + b"d")
    assert screen.wait() == 0
    # Four rows are too few for a bar.
    assert sizes == [(23, 80), (39, 100), (4, 30)]
    assert screen.seen.endswith(b"\x1b[4;1H" + DETACHED)


def test_the_bar_names_the_session_and_the_way_out(attach: Attach) -> None:
    # It is painted again once the output has been quiet for a while, not only after a long one.
    screen = attach(serve, prelude="attachment.BAR_PERIOD_SECONDS = 1000")
    for output in (b"hello", b""):
        screen.expect(b" [cw] session 1 | running | ")
        screen.expect(b"s | Ctrl+B d")
        screen.expect(output)


def test_a_gap_is_shown_where_it_is(attach: Attach) -> None:
    def gap(end: NodeEnd) -> None:
        attached(end)
        end.send_control({"type": "Gap", "offset": 100, "gap": 100})
        end.send_data(b"rest")
        end.send_control({"type": "Error", "message": "session completed (3)"})

    screen = attach(gap)
    assert screen.wait() == 0
    gone = b"[cw] 100 bytes of output are gone (log budget or full disk)\r\nrest"
    assert gone in screen.output()


def test_attaching_to_the_session_one_sits_in_is_refused(attach: Attach) -> None:
    screen = attach(CW_SESSION_ID="1")
    assert screen.wait() == 1
    assert screen.seen.startswith(b"Error: this is session 1: attaching")
    assert termios.tcgetattr(screen.slave) == screen.modes


def test_a_refused_attachment_never_touches_the_terminal(attach: Attach) -> None:
    def refuse(end: NodeEnd) -> None:
        end.receive_control()
        end.send_control({"type": "Error", "message": "session 1 is not running"})

    screen = attach(refuse)
    assert screen.wait() == 1
    assert screen.seen == b"Error: session 1 is not running\r\n"


def test_without_a_terminal_nothing_is_attached() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(prelude="")],
        input=b"",
        capture_output=True,
        timeout=20,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "CODEWIRE_DIR": "/tmp/cw-none"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: attach needs a terminal on stdin and stdout")


def test_an_idle_attachment_uses_no_cpu(attach: Attach) -> None:
    screen = attach(serve, prelude="attachment.BAR_PERIOD_SECONDS = 1000")
    screen.expect(b"hello")
    screen.expect(b" | running | ")
    before = cpu_seconds(screen.process.pid)
    time.sleep(1.5)
    assert cpu_seconds(screen.process.pid) - before <= 0.05


def test_waiting_for_a_slow_worker_uses_no_cpu(attach: Attach) -> None:
    def replaced(end: NodeEnd) -> None:
        attached(end)
        end.send_data(b"gone")

    said = threading.Event()

    def slow(end: NodeEnd) -> None:
        # The attachment was asked for, and nothing comes until the test has seen what it waits for.
        assert said.wait(20)
        attached(end, 4)
        end.send_control({"type": "Error", "message": "session killed"})

    screen = attach(replaced, slow)
    screen.expect(b"gone")
    before = cpu_seconds(screen.process.pid)
    # Nothing was printed for a while: the bar says why.
    screen.expect(b"| reconnecting... |")
    time.sleep(1)
    assert cpu_seconds(screen.process.pid) - before <= 0.05
    said.set()
    assert screen.wait() == 0
