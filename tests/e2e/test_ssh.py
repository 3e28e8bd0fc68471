"""`ssh host cw …` with a real sshd on loopback: no terminal, no useful HOME, a tiny PATH."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote import free_port
from tests.support import REPOSITORY, Home, is_alive, wait_until

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


class Ssh:
    """An sshd of our own on a free port, and the client's command line for it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
            subprocess.run(command, check=True)
        shutil.copy(directory / "user.pub", directory / "authorized")
        self.port = free_port()
        config = directory / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\n"
            f"AuthorizedKeysFile {directory}/authorized\nPidFile {directory}/sshd.pid\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        )
        self._process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL
        )

    def open(self) -> None:
        """Return once it lets people in."""
        wait_until(self._answers, 20, "sshd answers")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "sshd ended"
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command through sshd and return when the connection has ended."""
        user = pwd.getpwuid(os.getuid()).pw_name
        ssh = ["ssh", "-F", "none", "-i", str(self._directory / "user"), "-p", str(self.port)]
        ssh += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        ssh += ["-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", *options]
        return subprocess.run(
            [*ssh, f"{user}@127.0.0.1", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=40,
        )


@pytest.fixture
def ssh(home: Home) -> Iterator[Ssh]:
    if not os.path.exists(SSHD) or shutil.which("ssh") is None:
        pytest.skip("openssh-server is not installed")
    if os.getuid() == 0:
        # Where its unprivileged half lives; Debian makes it when the service starts.
        os.makedirs("/run/sshd", 0o755, exist_ok=True)
    server = Ssh(Path(home.path))
    try:
        server.open()
        yield server
    finally:
        server.close()


def cw(home: Home, *words: str, **env: str) -> str:
    """Return the shell command that runs cw in a home with nothing else in its environment."""
    given = {"CODEWIRE_DIR": home.data_dir, "HOME": home.path, "PATH": "/bin", **env}
    pairs = [f"{name}={value}" for name, value in given.items()]
    return shlex.join(["env", "-i", *pairs, sys.executable, str(REPOSITORY / "cw.py"), *words])


def test_a_node_started_over_ssh_outlives_the_connection(home: Home, ssh: Ssh) -> None:
    """The connection ends although a node was started: nothing holds its descriptors."""
    done = ssh.run(cw(home, "launch", "--name", "bot", "--", "sleep", "1000"))
    assert done.returncode == 0, done.stderr
    assert "Session 1 launched" in done.stderr
    keeper = home.keeper_pid
    assert is_alive(keeper)
    # No member of the connection's session is left that a hang-up could reach.
    assert not is_alive(os.getsid(keeper)) or os.getsid(keeper) == keeper
    listed = ssh.run(cw(home, "list"))
    assert "bot" in listed.stdout and "running" in listed.stdout
    for fd in "012":
        target = os.readlink(f"/proc/{keeper}/fd/{fd}")
        assert not target.startswith(("pipe:", "socket:", "/dev/pts")), (fd, target)
    assert ssh.run(cw(home, "kill", "bot")).returncode == 0


@pytest.mark.parametrize("value", ["", "relative", "/nonexistent"])
def test_odd_homes(home: Home, ssh: Ssh, value: str) -> None:
    done = ssh.run(cw(home, "launch", "--", "true", HOME=value))
    assert done.returncode == 0, done.stderr
    assert ssh.run(cw(home, "wait", "1", HOME=value)).returncode == 0


def test_without_stdin_and_with_a_terminal(home: Home, ssh: Ssh) -> None:
    closed = ssh.run(cw(home, "launch", "--", "true") + " <&-")
    assert closed.returncode == 0, closed.stderr
    nothing = ssh.run(cw(home, "list") + " <&- 2>&-")
    assert nothing.returncode == 0 and "true" in nothing.stdout
    forced = ssh.run(cw(home, "list", TERM="dumb"), "-tt")
    assert forced.returncode == 0 and "true" in forced.stdout
