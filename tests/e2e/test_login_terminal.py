"""`cw login --password` on a terminal: what is asked, what can be seen, what is left behind."""

from __future__ import annotations

import socket
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.io.network.scriptedrelay import Asked, ScriptedRelay, answer
from tests.processes import wait_until
from tests.support import CW, Home
from tests.terminal import Terminal

USER = {"id": "u1", "email": "ann@example.com", "name": "Ann"}
LFLAG = 3


@pytest.fixture
def server() -> Iterator[ScriptedRelay]:
    server = ScriptedRelay()
    yield server
    server.close()


@pytest.fixture
def terminal(home: Home, server: ScriptedRelay) -> Iterator[Terminal]:
    """A terminal on which somebody logs in; it is the process's own, as a shell's is."""
    terminal = Terminal()
    terminal.process = home.popen(
        argv=["setsid", "--ctty", *CW, "login", "--server", server.url, "--password"],
        **terminal.streams,
    )
    yield terminal
    terminal.close()


def has_echo(terminal: Terminal) -> bool:
    return bool(termios.tcgetattr(terminal.slave)[LFLAG] & termios.ECHO)


def enter_mail(terminal: Terminal) -> None:
    """Answer the first question; return once what is typed is not shown any more."""
    terminal.expect(b"Email: ")
    terminal.type(b"ann@example.com\n")
    terminal.expect(b"Password: ")
    wait_until(lambda: not has_echo(terminal), 30, "the echo is off")


def test_a_password_is_not_shown(home: Home, server: ScriptedRelay, terminal: Terminal) -> None:
    session = {"user": USER, "session": {"id": "1", "token": "s"}}
    seen = threading.Event()

    def respond(asked: Asked, sock: socket.socket) -> None:
        if asked.target.endswith("validate"):
            sock.sendall(answer(200, session))
        else:
            seen.wait(30)
            sock.sendall(answer(200, {"twoFactorRequired": True, "twoFactorToken": "t"}))

    server.script = respond
    enter_mail(terminal)
    terminal.type(b"hunter2\n")
    # The answer takes longer than a second, for which there is a sign.
    terminal.expect("⠙ waiting for".encode())
    seen.set()
    terminal.expect(b"2FA Code: ")
    assert has_echo(terminal)
    terminal.type(b"123456\n")
    assert terminal.wait() == 0
    assert f"Logged in to {server.url} as Ann".encode() in terminal.seen
    assert b"hunter2" not in terminal.seen and b"Traceback" not in terminal.seen
    assert server.asked[0].json == {"email": "ann@example.com", "password": "hunter2"}
    assert termios.tcgetattr(terminal.slave) == terminal.modes


def test_who_waits_for_a_list_of_nodes_sees_it(home: Home, server: ScriptedRelay) -> None:
    seen = threading.Event()

    def respond(asked: Asked, sock: socket.socket) -> None:
        seen.wait(30)
        sock.sendall(answer(200, []))

    server.script = respond
    given = {"URL": server.url, "NETWORK": "proj", "AUTH_TOKEN": "t"}
    env = {f"CODEWIRE_RELAY_{name}": value for name, value in given.items()}
    terminal = Terminal()
    try:
        terminal.process = home.popen("list", "dev-1", env=env, **terminal.streams)
        terminal.expect(f"⠙ waiting for {server.url}".encode())
        seen.set()
        terminal.expect(b"has no node of that name\r\n")
        assert terminal.wait() == 1
    finally:
        seen.set()
        terminal.close()


@pytest.mark.parametrize(
    ("keys", "code", "shown"),
    [(b"hun\x03", 130, b"Password: \r\n"), (b"\x04", 1, b"\r\nError: no answer to Password\r\n")],
)
def test_whoever_gives_up_has_their_terminal_back(
    home: Home, terminal: Terminal, keys: bytes, code: int, shown: bytes
) -> None:
    enter_mail(terminal)
    terminal.type(keys)
    assert terminal.wait() == code
    assert terminal.seen.endswith(shown)
    assert termios.tcgetattr(terminal.slave) == terminal.modes
    assert b"hun" not in terminal.seen and b"Traceback" not in terminal.seen
    assert not Path(home.path, ".config", "cw").exists()
