"""Pipes, a few bytes of shared memory, and a bell that one thread rings for another.

Linux has a call for each (pipe2, memfd_create, eventfd); elsewhere older calls do. Imports little:
the keeper uses it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# The sizes of a pipe's buffer, F_SETPIPE_SZ and F_GETPIPE_SZ in fcntl(2); Linux alone has them.
WANTED_PIPE_BYTES = 256 * 1024
# What POSIX lets nobody have less of, times four: every system of today has this much.
LEAST_PIPE_BYTES = 16 * 1024


def open_pipe() -> tuple[int, int]:
    """Return (read end, write end), both CLOEXEC and non-blocking. Raises OSError."""
    if hasattr(os, "pipe2"):
        return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    return ends


def open_memory(name: str, size: int) -> int:
    """Return a descriptor of `size` zero bytes that mmap(2) can share. Raises OSError.

    Without memfd_create it is a file that has no name any more.
    """
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
    else:
        fd = _open_unlinked(name)
    os.ftruncate(fd, size)
    return fd


def _open_unlinked(name: str) -> int:
    directory = os.environ.get("TMPDIR") or "/tmp"
    path = os.path.join(directory, f"{name}-{os.getpid()}-{os.urandom(8).hex()}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return fd


def enlarge_pipe(pipe: int) -> int:
    """Make the pipe's buffer larger where that is possible; return how many bytes it holds."""
    with contextlib.suppress(AttributeError, OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, WANTED_PIPE_BYTES)
    with contextlib.suppress(AttributeError, OSError):
        return int(fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ))
    return LEAST_PIPE_BYTES


def move_to_pipe(fd: int, pipe: int, count: int) -> int:
    """Move at most `count` bytes from a descriptor into a pipe, splice(2); 0 at its end.

    Raises OSError: ENOSYS where there is no such call.
    """
    return _splice()(fd, pipe, count)


def move_to_file(pipe: int, fd: int, count: int, offset: int) -> int:
    """Move at most `count` bytes from a pipe to an offset of a file; as `move_to_pipe`."""
    return _splice()(pipe, fd, count, offset_dst=offset)


def _splice() -> Callable[..., int]:
    try:
        return os.splice
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None


class Bell:
    """Wakes whoever waits for `fd` to be readable. Any thread may ring."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._counts = hasattr(os, "eventfd")
        if self._counts:
            self.fd = self._rung = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        else:
            self.fd, self._rung = open_pipe()

    def ring(self) -> None:
        """Make `fd` readable. Raises OSError."""
        if self._counts:
            os.eventfd_write(self._rung, 1)
            return
        # A full pipe is readable already.
        with contextlib.suppress(BlockingIOError):
            os.write(self._rung, b"\0")

    def silence(self) -> None:
        """Make `fd` wait for the next ring. Raises OSError; it is then still readable."""
        with contextlib.suppress(BlockingIOError):
            if self._counts:
                os.eventfd_read(self.fd)
                return
            while len(os.read(self.fd, 4096)) == 4096:
                pass
