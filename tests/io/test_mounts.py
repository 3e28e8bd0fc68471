"""Which paths are near: that lead through nothing that another machine or a process serves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewire.io.mounts import NearPaths

# Mounting is for root, in a user name space or outside.
WAY = ["-m"] if os.getuid() == 0 else ["-Urm"]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[NearPaths]:
    """A table in which `far` and `a b` below the directory are served, `near` is not."""
    table = tmp_path / "mountinfo"
    root = str(tmp_path).encode()
    table.write_bytes(
        b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        b"45 27 0:41 / %s/far rw shared:3 - nfs4 server:/x rw,hard\n"
        b"46 27 0:42 / %s/near rw - tmpfs nfs rw\n"
        b"47 27 0:43 / %s/a\\040b rw - fuse.sshfs host:/ rw\n" % (root, root, root)
    )
    paths = NearPaths(str(table))
    yield paths
    paths.close()


@pytest.mark.parametrize(
    "path, near",
    [
        ("near/x", True),
        ("farther", True),
        ("far/../near", False),
        ("near/../far/x", False),
        ("a b/c", False),
        ("a", True),
        ("to-near/x", True),
        ("to-far", False),
        ("to-far/../near", False),
        ("round", False),
        ("none/\0", True),
        ("../" * 50 + "proc/self/cwd/x", False),
        ("../" * 50 + "proc/version", True),
    ],
)
def test_what_is_near_leads_through_nothing_served(
    path: str, near: bool, tmp_path: Path, mounted: NearPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step is made beyond a mount point of somebody else's."""
    (tmp_path / "near").mkdir()
    os.symlink(str(tmp_path / "near"), tmp_path / "to-near")
    os.symlink("near/../far/x", tmp_path / "to-far")
    os.symlink("round", tmp_path / "round")
    asked, readlink = [], os.readlink

    def note(at: str) -> str:
        asked.append(at)
        return readlink(at)

    monkeypatch.setattr(os, "readlink", note)
    assert mounted.is_near(f"{tmp_path}/{path}") is near
    assert not [at for at in asked if at.startswith((f"{tmp_path}/far/", f"{tmp_path}/a b"))]


def test_where_mounts_are_not_known_nothing_is_near(tmp_path: Path, mounted: NearPaths) -> None:
    assert not NearPaths(str(tmp_path / "none")).is_near("/")
    assert not mounted.is_near("near")


def test_a_mount_that_comes_later_is_seen(tmp_path: Path) -> None:
    """In name spaces of its own, where nobody needs to be root; the kernel says what changed."""
    words = "import sys, subprocess; from codewire.io.mounts import NearPaths, SERVED, MOUNTS"
    check = f"""{words}
import codewire.io.mounts as mounts
mounts.SERVED = SERVED | {{b"ramfs"}}
near, path = NearPaths(), sys.argv[1]
before = near.is_near(path)
subprocess.run(["mount", "-t", "ramfs", "none", path], check=True)
during = near.is_near(path + "/x")
subprocess.run(["umount", path], check=True)
print(before, during, near.is_near(path + "/x"))
"""
    argv = ["unshare", *WAY, sys.executable, "-c", check, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["True", "False", "True"], done.stderr
