"""Which file systems may leave a call unanswered for ever: those that somebody else serves.

A dead NFS server, a network that is away, a FUSE process that is stuck. Only what kind a file
system is of is looked at, so nothing here waits for one. Imports little: the keeper uses it.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import select
from collections.abc import Iterable, Iterator

MOUNTS = "/proc/self/mountinfo"
# By their names in /proc/filesystems, without what FUSE puts behind a dot.
SERVED = frozenset(
    b"9p afs autofs beegfs ceph cifs coda davfs fuse gfs2 gpfs lustre nfs nfs4 ocfs2 orangefs "
    b"pvfs2 smb3 smbfs vboxsf virtiofs".split()
)

# As many as the kernel follows (path_resolution(7)).
MAX_LINKS = 40
# Its links lead where their owner is, whatever their text says (proc_pid_root(5)).
PROC = "/proc/"
# What mountinfo writes in the place of characters that would end a word.
ESCAPES = ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\"))


class NearPaths:
    """Tells which paths lead through file systems of this machine's own alone.

    The mount table is read again when the kernel says that it has changed. Where there is none,
    nothing is near. Methods may be called from any greenlet or thread.
    """

    def __init__(self, mounts: str = MOUNTS) -> None:
        self._mounts = mounts
        self._lock = _thread.allocate_lock()
        self._table = -1
        self._news = select.poll()
        # Where served file systems are mounted; None where that is not known.
        self._served: frozenset[str] | None = None
        # Now, while there are descriptors to be had.
        self._look()

    def is_near(self, path: str) -> bool:
        """Say whether no call on an absolute path can hang. Blocks for nothing."""
        return any(True for _ in self.leading((path,)))

    def leading(self, paths: Iterable[str]) -> Iterator[str]:
        """Yield paths as long as they are near. The mount table is looked at once."""
        with self._lock:
            self._look()
            served = self._served
        if served is not None:
            for path in paths:
                if not path.startswith("/") or served and _crosses(path, served):
                    break
                yield path

    def close(self) -> None:
        """Close the mount table. Idempotent."""
        if self._table >= 0:
            self._news.unregister(self._table)
            os.close(self._table)
            self._table = -1

    def _look(self) -> None:
        """Know the mount table as it is."""
        try:
            if self._table < 0:
                self._table = os.open(self._mounts, os.O_RDONLY | os.O_CLOEXEC)
                self._news.register(self._table, select.POLLPRI)
            elif not self._news.poll(0):
                return
            # Not left as it was where reading fails.
            self._served = None
            os.lseek(self._table, 0, os.SEEK_SET)
            with open(self._table, "rb", closefd=False) as file:
                self._served = frozenset(map(_point, filter(_is_served_line, file)))
        except OSError:
            self.close()


def _is_served_line(line: bytes) -> bool:
    return _kind(line) in SERVED


def _point(line: bytes) -> str:
    """Return where a line of mountinfo mounts something."""
    point = line.split(None, 5)[4]
    for written, meant in ESCAPES:
        point = point.replace(written, meant)
    return os.fsdecode(point)


def _crosses(path: str, served: frozenset[str]) -> bool:
    """Say whether a path leads through one of these mount points, or who knows where.

    Goes from name to name as the kernel does (path_resolution(7)), and no step beyond one.
    """
    names, at, links = path.split("/")[::-1], "", 0
    while "/" not in served:
        if not names:
            return False
        name = names.pop()
        if name == "..":
            at = at.rpartition("/")[0]
        elif name not in ("", "."):
            at = f"{at}/{name}"
            if at in served:
                break
            with contextlib.suppress(OSError, ValueError):
                target = os.readlink(at)
                links += 1
                if links > MAX_LINKS or at.startswith(PROC):
                    break
                names += target.split("/")[::-1]
                at = "" if target.startswith("/") else at.rpartition("/")[0]
    return True


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
