"""Logging in to a node by SSH through a relay, with OpenSSH's own client (docs/ssh.md)."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.support import PATIENCE
from tests.uplinks import TOKEN, Net

pytest.importorskip("asyncssh")
pytestmark = pytest.mark.skipif(not shutil.which("ssh"), reason="OpenSSH's client is not here")
DENIED = "Permission denied (publickey,password)"


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    """A relay and a node; every test here uses a part of it that no other does."""
    net = Net("gevent")
    try:
        net.start()
        yield net
    finally:
        net.close()


def make_key(net: Net, name: str) -> Path:
    path = Path(net.client.path, name)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@test", "-f", str(path)]
    subprocess.run(command, check=True, timeout=PATIENCE)
    return path


def node_token(net: Net) -> str:
    lines = Path(net.node.data_dir, "config.toml").read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("relay_node_token"))


class Password:
    """Runs ssh with a password, which it asks a program for."""

    def __init__(self, net: Net) -> None:
        home = Path(net.client.path)
        self.net, self._asked = net, home / "asked"
        self._asked.unlink(missing_ok=True)
        self._program = home / "askpass"
        self._program.write_text(f'#!/bin/sh\necho x >> {self._asked}\necho "$PASSWORD"\n')
        self._program.chmod(0o755)

    def run(
        self, password: str, *command: str, user: str = "proj/dev-1", prompts: int = 1
    ) -> tuple[int, str, str]:
        """Return exit code, stdout, stderr."""
        words = self.net.client.cw("ssh", "dev-1", "--print").stdout.split()
        env = {
            **self.net.client.env,
            "PASSWORD": password,
            "SSH_ASKPASS": str(self._program),
            "SSH_ASKPASS_REQUIRE": "force",
        }
        options = ["-o", f"NumberOfPasswordPrompts={prompts}", "-o", "PubkeyAuthentication=no"]
        done = subprocess.run(
            [*words[:-1], "-F", "none", *options, f"{user}@127.0.0.1", *command],
            env=env, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def prompts(self) -> int:
        """Return how often a password was asked for since the last time."""
        count = len(self._asked.read_text().splitlines()) if self._asked.exists() else 0
        self._asked.unlink(missing_ok=True)
        return count


@pytest.mark.smoke
def test_a_key_opens_its_owners_node_until_it_is_removed(net: Net) -> None:
    client, key = net.client, make_key(net, "laptop")
    alone = ("--option", "BatchMode=yes", "-i", str(key))
    before = client.cw("ssh", "dev-1", *alone, "--", "true")
    assert before.returncode == 255 and DENIED in before.stderr
    assert client.cw("ssh-key", "add", f"{key}.pub").returncode == 0
    done = client.cw("ssh", "dev-1", *alone, "--", 'echo "$HOME"; exit 7')
    assert (done.returncode, done.stdout) == (7, f"{net.node.path}\n"), done
    # The same by what `ssh-config` prints, and with the client's own program for files.
    config = Path(client.path, "cw.conf")
    config.write_text(client.cw("ssh-config", "-i", str(key)).stdout)
    words = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "dev-1.cw", "cat"]
    copied = subprocess.run(words, input=b"bytes\0\xff", capture_output=True, timeout=PATIENCE)
    assert copied.stdout == b"bytes\0\xff", copied
    assert client.cw("ssh-key", "remove", "laptop@test").returncode == 0
    after = client.cw("ssh", "dev-1", *alone, "--", "true")
    assert after.returncode == 255 and DENIED in after.stderr


def test_another_host_key_is_not_spoken_to(net: Net) -> None:
    client, key = net.client, make_key(net, "careful")
    printed = client.cw("ssh", "dev-1", "--option", "BatchMode=yes", "--print").stdout.split()
    file = Path(client.data_dir, "ssh_known_hosts")
    pattern = file.read_text().split()[0]
    false = Path(client.path, "false_hosts")
    false.write_text(f"{pattern} {Path(f'{key}.pub').read_text()}")
    words = [word.replace(str(file), str(false)) for word in printed]
    done = subprocess.run([*words, "true"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_a_token_and_a_session_are_passwords(net: Net) -> None:
    password, token, session = Password(net), node_token(net), log_in(net)
    for user in ("proj/dev-1", "/dev-1", "dev-1"):
        for right in (token, session):
            assert password.run(right, "echo in", user=user)[:2] == (0, "in\n")
    assert password.prompts() == 6
    code, _, said = password.run(session, "true", user="other/dev-1")
    assert code == 255 and "Permission denied" in said


def log_in(net: Net) -> str:
    """Return a session of the admin, whose node it is."""
    begun = net.ask("POST", "/api/auth/device/authorize")
    form = {"user_code": begun["user_code"], "token": TOKEN, "decision": "confirm"}
    with urlopen(f"{net.url}/device", urlencode(form).encode(), timeout=PATIENCE) as page:
        assert page.status == 200
    polled = net.ask("POST", "/api/auth/device/token", {"device_code": begun["device_code"]})
    return str(polled["session_token"])


def test_wrong_passwords_wait(net: Net) -> None:
    """The admin's token is one; the last of six ends the connection, a second later."""
    password = Password(net)
    begin = time.monotonic()
    code, _, said = password.run(TOKEN, "true", prompts=7)
    assert code == 255 and "too many attempts to log in" in said
    assert time.monotonic() - begin >= 1.0
    assert password.prompts() == 6
    begin = time.monotonic()
    code, _, said = password.run("wrong", "true")
    assert code == 255 and DENIED in said
    assert time.monotonic() - begin >= 2.0
    assert password.run(node_token(net), "echo in")[:2] == (0, "in\n")
