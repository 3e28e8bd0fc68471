"""What is left behind when an attach client ends or stops: nothing typed, nothing switched on."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import termios
import tty

import pytest

from codewire.term.restore import TEARDOWN
from tests.io.attaching import Screen, attached, serve
from tests.io.scripted_node import NodeEnd
from tests.io.test_client_attach import CTRL_B, DETACHED, Attach, attach

__all__ = ["attach"]

PROGRAM = b"\x1b[?1049h\x1b[?2004h\x1b[>1u\x1b]11;#102030\x07\x1b[?2031h drawn"


def left_for_the_shell(screen: Screen) -> bytes:
    """Return what a shell would read from the terminal now."""
    tty.setraw(screen.slave, termios.TCSANOW)
    if not select.select([screen.slave], [], [], 0)[0]:
        return b""
    return os.read(screen.slave, 4096)


def test_what_follows_the_chord_is_no_command(attach: Attach) -> None:
    screen = attach(serve)
    screen.expect(b"hello\r\n")
    screen.type(b"text" + CTRL_B + b"dtouch x\rtouch y\r")
    assert screen.wait() == 0
    assert left_for_the_shell(screen) == b""


def test_what_the_terminal_answers_late_is_swallowed(attach: Attach) -> None:
    screen = attach(serve)
    screen.expect(b"hello\r\n")
    screen.type(CTRL_B + b"d")
    screen.expect(TEARDOWN)
    screen.type(b"\x1b[?62;22c\x1b[24;80R\x1b[<0;3;4M")
    screen.expect(DETACHED)
    assert screen.wait() == 0
    assert left_for_the_shell(screen) == b""


def test_a_pasted_chord_is_typed(attach: Attach) -> None:
    pasted = b"\x1b[200~one" + CTRL_B + b"dtwo\x1b[201~"
    screen = attach(serve)
    screen.expect(b"hello\r\n")
    screen.type(pasted)
    screen.expect(b"two\x1b[201~>")
    assert b"<" + pasted + b">" in screen.output().replace(b"><", b"")
    screen.type(CTRL_B + b"d")
    assert screen.wait() == 0


@pytest.mark.parametrize("numbers", [(signal.SIGSTOP, signal.SIGCONT), (signal.SIGTSTP,)])
def test_a_stopped_client_draws_again_when_it_goes_on(
    attach: Attach, numbers: tuple[signal.Signals, ...]
) -> None:
    sizes: list[tuple[int, int]] = []

    def full_screen(end: NodeEnd) -> None:
        import json

        attached(end)
        end.send_data(PROGRAM)
        while (frame := end.receive()) is not None:
            message = json.loads(frame[1]) if frame[0] == 0 else {}
            if message.get("type") == "Resize":
                sizes.append((message["rows"], message["cols"]))
                end.send_data(b"%d rows" % message["rows"])
            elif message:
                end.send_control({"type": "Detached", "id": 1})
                return

    screen = attach(full_screen)
    screen.expect(b"drawn")
    screen.expect(b"24 rows")
    for number in numbers:
        screen.process.send_signal(number)
    if signal.SIGTSTP in numbers:
        # Everything is undone before it stops (which it does where a shell would let it go on).
        screen.expect(b"\x1b]111\x07")
        screen.expect(TEARDOWN)
    screen.expect(b"\x1b[?1049h")
    screen.expect(b"\x1b[?2004h")
    screen.expect(b"\x1b[>1u")
    screen.expect(b"23 rows")
    screen.expect(b"24 rows")
    assert sizes[-2:] == [(23, 80), (24, 80)]
    screen.expect_raw()
    screen.type(CTRL_B + b"d")
    assert screen.wait() == 0
    screen.check_restored()
    assert screen.seen.count(b"\x1b]111\x07") == len(numbers) % 2 + 1
    assert not fcntl.fcntl(screen.slave, fcntl.F_GETFL) & os.O_NONBLOCK
