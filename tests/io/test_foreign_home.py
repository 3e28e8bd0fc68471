"""Root with the HOME of somebody else, as under sudo: it makes no files there, and says why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codewire.client.local.integrations import Change
from codewire.client.reach.autostart import ensure_node
from codewire.client.reach.servers import Server, add_server
from codewire.commands.system import completion
from codewire.errors import CodewireError
from codewire.paths import DataDir, check_data_dir, check_owner, data_dir

STRANGER = 54321

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "ada"
    home.mkdir()
    os.chown(home, STRANGER, STRANGER)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("CODEWIRE_DIR", raising=False)
    return home


def start(paths: DataDir) -> None:
    ensure_node(paths, lambda _: None)


def save_server(paths: DataDir) -> None:
    add_server(paths.servers, "gpu", Server("ws://gpu:9100"))


def install_completion(paths: DataDir) -> None:
    completion._install("bash")


def integrate(paths: DataDir) -> None:
    Change(f"{os.environ['HOME']}/.claude/settings.json", None, "{}").make()


@pytest.mark.parametrize("action", [start, save_server, install_completion, integrate])
def test_nothing_is_made_there(theirs: Path, action: object) -> None:
    assert callable(action)
    with pytest.raises(CodewireError) as refused:
        action(data_dir())
    assert f"{theirs} belongs to user {STRANGER}" in str(refused.value)
    assert "'sudo -H cw'" in str(refused.value)
    assert "CODEWIRE_DIR" in str(refused.value)
    assert list(theirs.iterdir()) == []


def test_their_data_directory_is_theirs_too(theirs: Path) -> None:
    (theirs / ".codewire").mkdir()
    os.chown(theirs / ".codewire", STRANGER, STRANGER)
    with pytest.raises(CodewireError, match="belongs to user"):
        check_data_dir()


def test_what_is_meant_is_done(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEWIRE_DIR", str(theirs / "mine"))
    check_data_dir()
    check_owner("/root/.codewire")


def test_a_directory_that_is_roots_already(theirs: Path) -> None:
    (theirs / ".codewire").mkdir()
    check_data_dir()
