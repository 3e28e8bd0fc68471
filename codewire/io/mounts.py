"""Which file systems may leave a call unanswered for ever: those that somebody else serves.

A dead NFS server, a network that is away, a FUSE process that is stuck. Only what kind a file
system is of is looked at, so nothing here waits for one. Imports little: the keeper uses it.
"""

from __future__ import annotations

import os

MOUNTS = "/proc/self/mountinfo"
# By their names in /proc/filesystems, without what FUSE puts behind a dot.
SERVED = frozenset(
    b"9p afs autofs beegfs ceph cifs coda davfs fuse gfs2 gpfs lustre nfs nfs4 ocfs2 orangefs "
    b"pvfs2 smb3 smbfs vboxsf virtiofs".split()
)


def is_served(device: int, mounts: str = MOUNTS) -> bool:
    """Say whether the file system with this `st_dev` is another machine's or a process's.

    What has a block device is this machine's own, and so is what is not listed, as everything is
    where there is no proc_pid_mountinfo(5).
    """
    if os.major(device):
        return False
    number = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        with open(mounts, "rb") as file:
            kinds = [_kind(line) for line in file if line.split(None, 3)[2:3] == [number]]
    except OSError:
        return False
    return any(kind in SERVED for kind in kinds)


def _kind(line: bytes) -> bytes:
    """Return the file system's type, which stands behind a lone hyphen."""
    words = line.partition(b" - ")[2].split(None, 1)
    return words[0].partition(b".")[0] if words else b""
