"""`cw ssh-key`: somebody's public keys, against a relay that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.io.network.commandline import CommandLine
from tests.io.relay.test_ssh_api import ED25519_PRINT
from tests.unit.credentials.test_sshkeys import ED25519, P256, RSA


def test_keys_come_and_go(ann: CommandLine, tmp_path: Path) -> None:
    assert ann.cw("ssh-key", "list").out == "No SSH keys (cw ssh-key add)\n"
    path = tmp_path / "k.pub"
    path.write_text(f"# mine\n\n{ED25519} ann@laptop\n")
    assert ann.cw("ssh-key", "add", str(path)).err == f"Added {ED25519_PRINT} (ann@laptop)\n"
    path.write_text(P256)
    added = ann.cw("ssh-key", "add", str(path), "--name", "work", "--json").json
    assert (added["name"], added["public_key"]) == ("work", P256)
    rows = [line.split()[:3] for line in ann.cw("ssh-key", "list").out.splitlines()]
    assert rows[0] == ["FINGERPRINT", "NAME", "TYPE"]
    assert rows[1] == [ED25519_PRINT, "ann@laptop", "ssh-ed25519"]
    assert ann.cw("ssh-key", "remove", "work").err == f"Removed {added['fingerprint']}\n"
    removed = ann.cw("ssh-key", "remove", ED25519_PRINT, "--json").json
    assert removed == {"status": "removed", "fingerprint": ED25519_PRINT}
    assert ann.cw("ssh-key", "list", "--json").json == []
    assert ann.run("ssh-key", "remove", "work").error == (
        'no SSH key of yours is "work": cw ssh-key list shows them'
    )


def test_two_keys_of_one_name_are_told_apart(ann: CommandLine, tmp_path: Path) -> None:
    for key in (ED25519, P256):
        (tmp_path / "k.pub").write_text(key)
        ann.cw("ssh-key", "add", str(tmp_path / "k.pub"), "--name", "laptop")
    error = ann.run("ssh-key", "remove", "laptop").error
    assert error.startswith('several keys are called "laptop": name one of SHA256:')
    ann.cw("ssh-key", "remove", ED25519_PRINT)
    ann.cw("ssh-key", "remove", "laptop")


def test_without_a_file_it_is_the_key_that_ssh_tries_first(ann: CommandLine) -> None:
    directory = ann.home / ".ssh"
    error = ann.run("ssh-key", "add").error
    assert error.startswith(f"no public key is in {directory}: make one (ssh-keygen")
    directory.mkdir()
    (directory / "id_rsa.pub").write_text(RSA)
    (directory / "id_ed25519.pub").write_text(ED25519)
    assert ED25519_PRINT in ann.cw("ssh-key", "add").err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no keys; give them one by one"),
        (f"{ED25519}\n{P256}\n", "has 2 keys; give them one by one"),
        ("hello\n", "not a public key in one line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "that is a private key"),
        (f'restrict {ED25519}\n', "not a public key in one line"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_told(ann: CommandLine, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "k"
    path.write_text(text)
    error = ann.run("ssh-key", "add", str(path)).error
    assert error.startswith(f"{path}: ") and words in error


def test_a_file_that_cannot_be_read(ann: CommandLine, tmp_path: Path) -> None:
    assert ann.run("ssh-key", "add", f"{tmp_path}/none").error == (
        f"open {tmp_path}/none: no such file or directory"
    )
    assert "is a directory" in ann.run("ssh-key", "add", str(tmp_path)).error
