"""Which node a directory is, and when it is another one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from codewire.paths import DataDir
from codewire.session.identity import node_id


@pytest.fixture
def machine(tmp_path: Path) -> str:
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef\n")
    return str(path)


def made(root: Path) -> DataDir:
    root.mkdir()
    return DataDir(str(root))


def test_it_stays_and_clients_can_read_it(tmp_path: Path, machine: str) -> None:
    paths = made(tmp_path / "node")
    first = node_id(paths, machine)
    assert len(first) == 24 and node_id(paths, machine) == first
    assert paths.read_node_id() == first
    assert os.stat(paths.node_id).st_mode & 0o777 == 0o600


def test_a_copy_is_another_node(tmp_path: Path, machine: str) -> None:
    paths = made(tmp_path / "node")
    first = node_id(paths, machine)
    copy = DataDir(str(tmp_path / "copy"))
    shutil.copytree(paths.root, copy.root)
    assert copy.read_node_id() == first
    second = node_id(copy, machine)
    assert second != first and node_id(copy, machine) == second == copy.read_node_id()


def test_the_same_disk_in_another_machine_is_another_node(tmp_path: Path, machine: str) -> None:
    paths = made(tmp_path / "node")
    first = node_id(paths, machine)
    Path(machine).write_text("fedcba\n")
    assert node_id(paths, machine) != first


@pytest.mark.parametrize("content", [b"", b"\n", b"abc", b"\xff\xff\n", b"x" * 10000])
def test_a_damaged_file_is_made_anew(tmp_path: Path, machine: str, content: bytes) -> None:
    paths = made(tmp_path / "node")
    Path(paths.node_id).write_bytes(content)
    found = node_id(paths, machine)
    assert len(found) == 24 and paths.read_node_id() == found


def test_without_a_machine_id_or_a_place_for_it_there_is_one_all_the_same(tmp_path: Path) -> None:
    paths = made(tmp_path / "node")
    found = node_id(paths, str(tmp_path / "none"))
    assert node_id(paths, str(tmp_path / "none")) == found
    gone = DataDir(str(tmp_path / "gone"))
    assert len(node_id(gone)) == 24 and gone.read_node_id() == ""
