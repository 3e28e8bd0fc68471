"""The file of a relay's secret key: made once, whole, for its owner alone."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from codewire.credentials.vault import Vault
from codewire.errors import ConfigError


def test_a_key_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    before = os.umask(0)
    try:
        first = Vault.open(str(path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert Vault.open(str(path)).open_sealed(first.seal(b"x", "c"), "c") == b"x"
    assert os.listdir(tmp_path) == ["secret.key"]


def test_of_many_who_make_it_all_have_the_same(tmp_path: Path) -> None:
    path = str(tmp_path / "secret.key")
    vaults: list[Vault] = []
    threads = [threading.Thread(target=lambda: vaults.append(Vault.open(path))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(vaults) == 20
    sealed = vaults[0].seal(b"x", "c")
    assert [vault.open_sealed(sealed, "c") for vault in vaults] == [b"x"] * 20
    assert os.listdir(tmp_path) == ["secret.key"]


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"", 0o600, "must have exactly 32 bytes, not 0"),
        (b"x" * 31, 0o600, "not 31"),
        (b"x" * 33, 0o600, "not 33"),
        (b"x" * 32, 0o640, "can be read by others: chmod 600"),
    ],
)
def test_a_bad_key_file_is_told_and_left(
    tmp_path: Path, content: bytes, mode: int, words: str
) -> None:
    path = tmp_path / "secret.key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=words):
        Vault.open(str(path))
    assert path.read_bytes() == content


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="Not a regular file"):
        Vault.open(str(path))
    with pytest.raises(ConfigError, match="No such file or directory"):
        Vault.open(str(tmp_path / "none" / "secret.key"))
    dangling = tmp_path / "link"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="No such file"):
        Vault.open(str(dangling))
