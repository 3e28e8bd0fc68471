"""What SSH sessions run on a node: how it ends, and that nothing outlives its connection."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codewire.errors import CodewireError, ConnectionLost
from codewire.io.lines import Line, open_line
from codewire.io.websockets import WebSocketStream
from codewire.node.shells import order
from codewire.node.shells.shell import WINDOW, Shell
from codewire.node.shells.shells import Shells
from codewire.paths import warden_command
from codewire.wire.control import decode_bytes, decode_control
from codewire.wire.frames import DATA
from tests.processes import is_alive, wait_until

PATIENCE = 30.0
# What ignores being asked, with a child in a session of its own.
STUBBORN = "trap '' HUP TERM; setsid sleep 600 & echo $! $$; sleep 600; sleep 600"


class Client:
    """The relay's end of one session, and what has come of it."""

    def __init__(self, shells: Shells, **asked: Any) -> None:
        near, far = socket.socketpair()
        near.settimeout(PATIENCE)
        self.stream = WebSocketStream(near, is_server=True)
        node = WebSocketStream(far, is_server=False, awaits_close=True)
        self.out, self.err = b"", b""
        self.taken = 0
        self.exit: dict[str, Any] | None = None
        message = {"type": "SSHRequest", "control": True, **asked}
        self._served = threading.Thread(target=self._serve, args=(shells, node, message))
        self._served.start()

    @staticmethod
    def _serve(shells: Shells, node: WebSocketStream, message: dict[str, Any]) -> None:
        try:
            shells.serve(node, message)
        except CodewireError:
            pass
        finally:
            node.close()

    def send(self, **message: Any) -> None:
        self.stream.send_control(message)

    def read(self) -> bool:
        """Take the next message; False at the end."""
        frame = self.stream.receive()
        if frame is None:
            return False
        if frame[0] == DATA:
            self.out += frame[1]
            return True
        message = decode_control(frame[1])
        what = message.pop("type")
        if what == "Stderr":
            self.err += decode_bytes(message["data"])
        elif what == "Taken":
            self.taken += message["bytes"]
        else:
            assert what == "Exit" and self.exit is None
            self.exit = message
        return True

    def expect(self, wanted: bytes) -> None:
        while wanted not in self.out:
            assert self.read(), self.out

    def end(self) -> dict[str, Any] | None:
        """Read to the end and return how it ended."""
        while self.read():
            pass
        self.leave()
        return self.exit

    def leave(self) -> None:
        """Go away without a word, and wait until the node has noticed."""
        self.stream.abort()
        self.stream.close()
        self._served.join(PATIENCE)
        assert not self._served.is_alive()


@pytest.fixture
def shells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shells]:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = Shells()
    yield found
    found.stop()
    wait_until(lambda: found._link is None, PATIENCE, "the warden has been seen out")


def test_exit_output_and_errors_apart(shells: Shells, tmp_path: Path) -> None:
    client = Client(shells, command="pwd; echo $X; echo bad >&2; exit 7", env={"X": "y"})
    assert client.end() == {"code": 7}
    assert client.out == f"{tmp_path}\ny\n".encode() and client.err == b"bad\n"


def test_what_a_signal_ended_says_so(shells: Shells) -> None:
    assert Client(shells, command="kill -TERM $$").end() == {"signal": "TERM", "core": False}
    client = Client(shells, command="echo up; exec sleep 600")
    client.expect(b"up")
    client.send(type="Signal", signal="USR1")
    assert client.end() == {"signal": "USR1", "core": False}


def test_input_to_its_end_and_no_more_than_a_window(shells: Shells) -> None:
    client = Client(shells, command="wc -c; echo end")
    for number in range(64):
        while number * (WINDOW // 16) >= client.taken + WINDOW:
            assert client.read()
        client.stream.send_data(b"x" * (WINDOW // 16))
    client.send(type="EOF")
    assert client.end() == {"code": 0}
    assert client.out.split() == [str(4 * WINDOW).encode(), b"end"]
    assert client.taken == 4 * WINDOW
    # Nobody reads it: a command that does not care ends all the same.
    client = Client(shells, command="exit 3")
    client.stream.send_data(b"x" * WINDOW)
    assert client.end() == {"code": 3}


def test_who_sends_more_than_that_is_cut_off(shells: Shells) -> None:
    client = Client(shells, command="echo $$; sleep 600")
    client.expect(b"\n")
    with contextlib.suppress(ConnectionLost):
        for _ in range(64):
            client.stream.send_data(b"x" * (WINDOW // 16))
    assert client.end() is None
    wait_until(lambda: not is_alive(int(client.out)), PATIENCE, "the shell is gone")


def test_a_terminal_has_its_size_and_keys(shells: Shells) -> None:
    client = Client(
        shells, pty=True, rows=40, cols=100, term="vt100",
        command="stty size; echo $TERM; tty; read x; stty size; echo up; exec sleep 600",
    )  # fmt: skip
    client.expect(b"40 100\r\nvt100\r\n/dev/")
    client.expect(b"\r\n")
    client.send(type="Resize", rows=50, cols=120)
    client.stream.send_data(b"\n")
    # While a shell waits for its child the key is that one's alone.
    client.expect(b"50 120\r\nup\r\n")
    client.stream.send_data(b"\x03")
    assert client.end() == {"signal": "INT", "core": False}


def test_the_end_of_input_ends_a_shell_on_a_terminal(shells: Shells) -> None:
    client = Client(shells, pty=True, command="cat; exit 4")
    client.stream.send_data(b"hello\n")
    client.expect(b"hello\r\nhello\r\n")
    client.send(type="EOF")
    assert client.end() == {"code": 4}


def test_a_terminal_that_others_keep_open_ends_with_its_leader(shells: Shells) -> None:
    command = "trap '' HUP; sleep 600 & echo $!; exit 8"
    client = Client(shells, pty=True, command=command)
    try:
        assert client.end() == {"code": 8} and is_alive(int(client.out))
    finally:
        os.kill(int(client.out), signal.SIGKILL)
    # Input within a line ends, too.
    client = Client(shells, pty=True, command="cat; exit 4")
    client.stream.send_data(b"half")
    client.send(type="EOF")
    assert client.end() == {"code": 4} and client.out.endswith(b"half")


def test_a_login_shell_of_another_relay_knows_bytes_only(shells: Shells) -> None:
    client = Client(shells, control=None)
    client.stream.send_data(b"echo a$((1+1))b $0; exit 5\n")
    assert client.end() is None and b"a2b -" in client.out and not client.err


def test_what_cannot_run_is_said(shells: Shells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "SFTP_SERVERS", ())
    monkeypatch.setenv("PATH", "/nowhere")
    client = Client(shells, subsystem="sftp")
    assert client.end() == {"code": 127} and b"no sftp-server: install" in client.err
    client = Client(shells, subsystem="netconf")
    assert client.end() == {"code": 127} and b"no subsystem 'netconf'" in client.err
    monkeypatch.setattr(order, "_login_shell", lambda environ: "/nowhere/sh")
    client = Client(shells, command="true")
    assert client.end() == {"code": 127} and b"/nowhere/sh: no such file" in client.err


@pytest.mark.parametrize("more", [{}, {"pty": True}])
@pytest.mark.parametrize("state", ["reading", "stalled", "ended input"])
def test_nothing_is_left_when_the_client_goes(
    shells: Shells, more: dict[str, Any], state: str
) -> None:
    client = Client(shells, command=STUBBORN, **more)
    client.expect(b"\n")
    pids = [int(word) for word in client.out.split()]
    if state == "stalled" and not more:
        for _ in range(16):
            client.stream.send_data(b"x" * (WINDOW // 16))
    if state == "ended input":
        client.send(type="EOF")
    client.leave()
    wait_until(lambda: not any(map(is_alive, pids)), PATIENCE, f"{pids} are gone")


def test_what_ended_by_itself_leaves_its_background_alone(
    shells: Shells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its client goes as soon as it is told."""
    await_end = Shell._await_end

    def after_the_client(shell: Shell) -> None:
        wait_until(lambda: shell._is_over, PATIENCE, "the client is gone")
        await_end(shell)

    monkeypatch.setattr(Shell, "_await_end", after_the_client)
    command = "sleep 600 >/dev/null 2>&1 </dev/null & echo $!"
    client = Client(shells, command=command)
    assert client.end() == {"code": 0}
    pid = int(client.out)
    # A second one that is ended shows that the warden has been there meanwhile.
    other = Client(shells, command="echo up; sleep 600")
    other.expect(b"up")
    other.leave()
    try:
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_killed_warden_ends_its_shells_and_the_next_one_serves(shells: Shells) -> None:
    command = "trap 'sleep 600 & echo $$ $!' USR1; echo up; while :; do sleep 0.1; done"
    client = Client(shells, command=command)
    client.expect(b"up\n")
    # Once a signal has come through, the warden has said whom it started.
    client.send(type="Signal", signal="USR1")
    client.out = b""
    client.expect(b"\n")
    process = shells._island._process
    assert process is not None
    process.kill()
    assert client.end() is None
    pids = [int(word) for word in client.out.split()]
    wait_until(lambda: not any(map(is_alive, pids)), PATIENCE, f"{pids} are gone")
    another = "there is another warden"
    wait_until(lambda: shells._island._process is not process, PATIENCE, another)
    wait_until(lambda: shells._link is not None, PATIENCE, another)
    assert Client(shells, command="exit 6").end() == {"code": 6}


def test_all_ends_with_the_worker(tmp_path: Path) -> None:
    """The warden's own part: its link is gone, without a word."""
    near, far = socket.socketpair()
    command = [*warden_command(), str(far.fileno())]
    warden = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(far.fileno(),)
    )
    far.close()
    reader, writer = os.pipe()
    line = Line(open_line(near, writer, writer, writer))
    os.close(writer)
    start = {"path": "/bin/sh", "argv": ["sh", "-c", STUBBORN], "env": {}, "cwd": "/nowhere"}
    line.send_control({"type": "Start", **start, "env": {"PATH": os.environ["PATH"]}})
    with open(reader, "rb") as file:
        pids = [int(word) for word in file.readline().split()]
        assert all(map(is_alive, pids))
        # The line is a worker's, too: it is left open here as a child of the worker's might.
        near.close()
        assert warden.wait(PATIENCE) == 0
        assert not any(map(is_alive, pids))
    line.close()
    assert warden.stdin is not None
    warden.stdin.close()
