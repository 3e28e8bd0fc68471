"""Which system calls can fail how: the families a fault is injected into, and the cells of a sweep.

A family is one call under its names on various kernels and C libraries. Its errors are those among
the sweep's six that section 2 of the manual, or a file system below, really allows, the likeliest
first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

ERRORS = ("ENOMEM", "EAGAIN", "EMFILE", "ENOSPC", "EIO", "EROFS")

# What a disk says. Such a fault is in the data directory only: no pipe is ever full of disk.
DISK_ERRORS = ("ENOSPC", "EIO", "EROFS")


class Family(NamedTuple):
    """System calls that do the same, and the errors they may give; `errors` is blank-separated.

    `is_disk`: only calls that have to do with a file in the data directory can give any of them.
    `real`: what marks, in strace's words, those calls that can; a fault hits one of these, once.
    """

    calls: tuple[str, ...]
    errors: str
    is_disk: bool = False
    real: str = ""


FAMILIES = {
    "open": Family(("openat", "open"), "EMFILE ENOMEM ENOSPC EIO EROFS"),
    "stat": Family(("newfstatat", "fstatat64", "stat", "lstat", "statx"), "EIO ENOMEM"),
    "fstat": Family(("fstat",), "EIO ENOMEM"),
    "read": Family(("read", "pread64", "readv"), "EIO ENOMEM", is_disk=True),
    "write": Family(("write", "pwrite64", "writev"), "ENOSPC ENOMEM EIO", is_disk=True),
    "lseek": Family(("lseek",), "EIO"),
    "fsync": Family(("fsync", "fdatasync"), "ENOSPC EIO EROFS"),
    "truncate": Family(("ftruncate", "fallocate"), "ENOSPC ENOMEM EIO"),
    "rename": Family(("rename", "renameat", "renameat2"), "ENOSPC ENOMEM EIO EROFS"),
    "unlink": Family(("unlink", "unlinkat", "rmdir"), "EROFS ENOMEM EIO"),
    "link": Family(("link", "linkat", "symlink", "symlinkat"), "ENOSPC ENOMEM EIO EROFS"),
    "mkdir": Family(("mkdir", "mkdirat"), "ENOSPC ENOMEM EIO EROFS"),
    "chmod": Family(("chmod", "fchmod", "fchmodat"), "EROFS ENOMEM EIO"),
    "getdents": Family(("getdents64", "getdents"), "EIO ENOMEM"),
    "readlink": Family(("readlink", "readlinkat"), "EIO ENOMEM"),
    "access": Family(("access", "faccessat", "faccessat2"), "EROFS ENOMEM EIO"),
    "chdir": Family(("chdir", "fchdir"), "EIO ENOMEM"),
    "flock": Family(("flock",), "ENOMEM"),
    "clone": Family(("clone", "clone3", "vfork", "fork"), "EAGAIN ENOMEM"),
    "execve": Family(("execve",), "EAGAIN ENOMEM EMFILE EIO"),
    "pidfd_open": Family(("pidfd_open",), "EMFILE ENOMEM"),
    "socketpair": Family(("socketpair",), "EMFILE ENOMEM"),
    "socket": Family(("socket",), "EMFILE ENOMEM"),
    "bind": Family(("bind",), "ENOSPC ENOMEM EIO EROFS"),
    "accept": Family(("accept4", "accept"), "EMFILE ENOMEM EAGAIN"),
    "connect": Family(("connect",), "EAGAIN"),
    "send": Family(("sendto", "sendmsg"), "ENOMEM EAGAIN"),
    "recv": Family(("recvfrom", "recvmsg"), "ENOMEM EAGAIN"),
    "pipe": Family(("pipe2", "pipe"), "EMFILE ENOMEM"),
    "memfd_create": Family(("memfd_create",), "EMFILE ENOMEM"),
    "eventfd": Family(("eventfd2", "eventfd"), "EMFILE ENOMEM"),
    "dup": Family(("dup", "dup2", "dup3", "fcntl"), "EMFILE", real=r" dup|F_DUPFD"),
    "ioctl": Family(("ioctl",), "EIO", real="TIOC|TC[GS]ET"),
    "poll": Family(("poll", "ppoll", "select", "pselect6"), "ENOMEM"),
    "epoll_create": Family(("epoll_create1", "epoll_create"), "EMFILE ENOMEM"),
    "epoll_ctl": Family(("epoll_ctl",), "ENOMEM ENOSPC"),
    "splice": Family(("splice",), "ENOMEM EAGAIN ENOSPC EIO"),
    "sendfile": Family(("sendfile", "sendfile64"), "ENOMEM EAGAIN EIO"),
    "inotify": Family(("inotify_init1", "inotify_add_watch"), "ENOMEM EMFILE ENOSPC"),
    "mmap": Family(("mmap", "mmap2", "mprotect"), "ENOMEM"),
}

_NAMES = {name: family for family, entry in FAMILIES.items() for name in entry.calls}


def family_of(call: str) -> str:
    """Return the family of a system call, "" when none of its errors is in the sweep."""
    return _NAMES.get(call, "")


def is_in_data(family: str, error: str) -> bool:
    """Say whether the fault is in the data directory only."""
    # strace does not know the path in a socket's address.
    return family != "bind" and (FAMILIES[family].is_disk or error in DISK_ERRORS)


def first_error(family: str) -> str:
    """Return the error that is tried where one must do: the likeliest."""
    return FAMILIES[family].errors.split()[0]


# Which process meets the fault in which phase. In a take-over one of the two has been killed: the
# fault is in what the other does about it, or in what is started in its place.
PHASES = {
    "start": ("keeper", "worker"),
    "spawn": ("keeper", "worker"),
    "reap": ("keeper", "worker"),
    "takeover-worker": ("keeper", "worker"),
    "takeover-keeper": ("worker", "keeper"),
    "stop": ("keeper", "worker"),
}
DURATIONS = ("once", "2s")


class Cell(NamedTuple):
    """One fault at one moment. `at` is the number of the first call to fail, from 1."""

    phase: str
    process: str
    family: str
    error: str
    duration: str
    at: int = 1

    def __str__(self) -> str:
        place = "" if self.at == 1 else f" at {self.at}"
        return f"{self.phase} {self.process} {self.family} {self.error} {self.duration}{place}"


def parse_cell(text: str) -> Cell:
    """Read what `str` of a cell says. Raises ValueError."""
    words = text.replace(" at ", " ").split()
    if not 5 <= len(words) <= 6:
        raise ValueError(f"not a cell: {text!r} (phase process family error once|2s [at N])")
    phase, process, family, error, duration = words[:5]
    if process not in PHASES.get(phase, ()) or duration not in DURATIONS or family not in FAMILIES:
        raise ValueError(f"no such cell: {text!r}")
    if error not in FAMILIES[family].errors.split():
        raise ValueError(f"{family} does not fail with {error}")
    return Cell(phase, process, family, error, duration, int(words[5]) if words[5:] else 1)


def cells_of(
    phase: str, process: str, places_of: Callable[[str, str], list[int]], places: int
) -> list[Cell]:
    """Return the cells for the calls that `process` makes in `phase`.

    `places_of` says of a family and an error which of the calls, from 1, can fail so. A single
    fault is put at up to `places` of them, the first and the last among these; one of two seconds
    begins with the first.
    """
    cells = []
    for family, entry in FAMILIES.items():
        for error in entry.errors.split():
            found = places_of(family, error)
            cells += [
                Cell(phase, process, family, error, "once", at) for at in _spread(found, places)
            ]
            if found and not entry.real:
                cells.append(Cell(phase, process, family, error, "2s"))
    return cells


def _spread(found: list[int], places: int) -> list[int]:
    """Return up to `places` of the numbers, evenly apart, the first among them."""
    if len(found) <= places or places < 2:
        return found[:places]
    return [found[round(n * (len(found) - 1) / (places - 1))] for n in range(places)]
