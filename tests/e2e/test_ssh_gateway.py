"""SSH to a node through its relay, all of them real: OpenSSH, `cw relay serve`, `cw node`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import is_alive, wait_until
from tests.support import CW
from tests.terminal import Terminal
from tests.uplinks import Net

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh")

PATIENCE = 60.0
HERE = "dev-1@127.0.0.1"
# What ignores being asked, with a child in a session of its own.
STUBBORN = "trap '' HUP TERM; setsid sleep 600 & echo $! $$; sleep 600; sleep 600"


class Ssh:
    """OpenSSH's client with the node's token as password."""

    def __init__(self, net: Net) -> None:
        self.net = net
        home = Path(net.client.path)
        askpass = home / "askpass"
        askpass.write_text('#!/bin/sh\necho "$PASSWORD"\n')
        askpass.chmod(0o700)
        config = Path(net.node.data_dir, "config.toml").read_text()
        token = re.search(r'relay_node_token = "(.*)"', config)
        assert token is not None
        self.options = [
            "-F", "none", "-o", f"Port={net.ssh_port}", "-o", "StrictHostKeyChecking=no",
            "-o", f"UserKnownHostsFile={home}/hosts", "-o", "LogLevel=ERROR",
            "-o", "PubkeyAuthentication=no",
        ]  # fmt: skip
        self.env = {
            **net.client.env, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force",
            "PASSWORD": token[1], "GIT_SSH_COMMAND": " ".join(["ssh", *self.options]),
        }  # fmt: skip

    def start(self, *words: str, **streams: Any) -> subprocess.Popen[bytes]:
        for name in ("stdin", "stdout", "stderr"):
            streams.setdefault(name, subprocess.PIPE)
        command = ["ssh", *self.options, *words]
        return self.net.client.popen(argv=command, env=self.env, **streams)

    def run(self, *words: str, input: bytes = b"") -> tuple[int, bytes, bytes]:
        process = self.start(*words)
        out, err = process.communicate(input, PATIENCE)
        return process.returncode, out, err

    def copy(self, *words: str) -> None:
        command = [words[0], *self.options, *words[1:]]
        done = subprocess.run(command, env=self.env, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def ssh(runtime: str) -> Iterator[Ssh]:
    net = Net(runtime)
    net.relay_home.env["CW_RUNTIME"] = runtime
    try:
        net.start()
        yield Ssh(net)
    finally:
        net.close()


@pytest.mark.smoke
def test_commands_shells_and_copies(ssh: Ssh, tmp_path: Path) -> None:
    code, out, err = ssh.run(HERE, "pwd; cat; echo bad >&2; exit 7", input=b"some input")
    assert (code, err) == (7, b"bad\n") and out == f"{ssh.net.node.path}\nsome input".encode()
    code, out, _ = ssh.run("-T", HERE, input=b"echo a$((1+1)); exit 5\n")
    assert code == 5 and b"a2" in out
    assert ssh.run(HERE, "kill -KILL $$")[0] == 255
    told = (
        ssh.run(HERE, "echo $SSH_CLIENT, $SSH_CONNECTION, ${SSH_TTY-none}")[1].decode().split(", ")
    )
    host, port, own = told[0].split()
    assert (host, own) == ("127.0.0.1", str(ssh.net.ssh_port)) and told[2] == "none\n"
    assert told[1] == f"{host} {port} {host} {own}"
    code, out, _ = ssh.run("-tt", HERE, 'test "$SSH_TTY" = "$(tty)" && echo its own')
    assert (code, out) == (0, b"its own\r\n")
    # It is told what it ended with though nobody has ended its input.
    process = ssh.start(HERE, "exit 4")
    assert process.wait(PATIENCE) == 4
    data = os.urandom(3 << 20)
    (tmp_path / "data").write_bytes(data)
    ssh.copy("scp", str(tmp_path / "data"), f"{HERE}:sent")
    ssh.copy("scp", "-O", f"{HERE}:sent", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
    rekeyed = ssh.run("-o", "RekeyLimit=1M", HERE, "cat", input=data)
    assert (rekeyed[0], rekeyed[1] == data) == (0, True)
    assert ssh.net.node.request({"type": "ListSessions"})["sessions"] == []


def test_a_terminal_and_a_session_attached_over_it(ssh: Ssh) -> None:
    ssh.net.node.launch("cat", name="cat")
    terminal = Terminal(rows=30, cols=90)
    cw = " ".join([*CW, "attach", "1"])
    terminal.process = ssh.start("-tt", HERE, f"stty size; {cw}; stty size", **terminal.streams)
    try:
        terminal.expect(b"30 90")
        terminal.expect(b"attached to session 1")
        terminal.resize(40, 100)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.type(b"hello\n")
        terminal.expect(b"hello")
        terminal.expect(b"hello")
        terminal.type(b"\x02d")
        terminal.expect(b"40 100")
        assert terminal.wait() == 0
    finally:
        terminal.close()


def test_nothing_outlives_what_is_killed(ssh: Ssh) -> None:
    def kill_gateway(client: subprocess.Popen[bytes]) -> None:
        [gateway] = children_of(ssh.net.relay.pid)
        os.kill(gateway, signal.SIGKILL)

    for kill in (
        subprocess.Popen.kill,
        kill_gateway,
        lambda client: ssh.net.node.kill_worker(),
        lambda client: ssh.net.kill_relay(),
    ):
        # The next gateway, the next worker.
        wait_until(lambda: ssh.run(HERE, "exit 3")[0] == 3, PATIENCE, "there is a way again")
        client = ssh.start(HERE, STUBBORN)
        assert client.stdout is not None
        pids = [int(word) for word in client.stdout.readline().split()]
        assert len(pids) == 2 and all(map(is_alive, pids))
        kill(client)
        wait_until(lambda pids=pids: not any(map(is_alive, pids)), 30, f"{pids} are gone")
        client.communicate(timeout=PATIENCE)


def children_of(pid: int) -> list[int]:
    found = []
    for name in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = name.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(name.parent.name))
    return found
