"""Reading files of ours: regular ones only, and only so much of them.

A FIFO, a device or a huge file where a file of ours should be must neither block nor fill anybody.
Knows no contents. See open(2): O_NONBLOCK lets the open of a FIFO return.
"""

from __future__ import annotations

import errno
import os
import stat

# Larger than anything of ours that is read whole.
MAX_BYTES = 256 << 20


def open_regular(path: str, flags: int, mode: int = 0o600) -> int:
    """Return a descriptor (CLOEXEC) of the regular file at `path`; the caller closes it.

    Raises OSError, with EISDIR or EINVAL for what is no regular file.
    """
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, mode)
    try:
        kind = os.fstat(fd).st_mode
        if stat.S_ISDIR(kind):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "Not a regular file", path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_regular(path: str, limit: int = MAX_BYTES) -> bytes:
    """Return all of the regular file at `path`. Raises OSError, EFBIG beyond `limit` bytes."""
    fd = open_regular(path, os.O_RDONLY)
    with open(fd, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return data
