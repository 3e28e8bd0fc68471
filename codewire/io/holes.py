"""Free the head of a file without moving its offsets, and find where what is left begins.

fallocate(2) with FALLOC_FL_PUNCH_HOLE on Linux, fcntl(2) with F_PUNCHHOLE on macOS; and lseek(2)
with SEEK_DATA.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import Any

FALLOC_FL_KEEP_SIZE = 0x01
FALLOC_FL_PUNCH_HOLE = 0x02
# <sys/fcntl.h> of macOS: the command, and fpunchhole_t, whose bounds must be whole blocks.
F_PUNCHHOLE = 99
PUNCHHOLE = struct.Struct("IIqq")
BLOCK_BYTES = 4096
SCAN_BYTES = 1 << 16


def find_data(fd: int, offset: int) -> int:
    """Return where the first byte from `offset` on is that is not in a hole.

    Raises OSError: ENXIO when there is none, EINVAL where holes cannot be seen.
    """
    if not hasattr(os, "SEEK_DATA"):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return os.lseek(fd, offset, os.SEEK_DATA)


def find_written(fd: int, offset: int) -> int:
    """As `find_data`; where holes cannot be seen, the first byte that is not 0. Blocks."""
    if hasattr(os, "SEEK_DATA"):
        return find_data(fd, offset)
    while data := os.pread(fd, SCAN_BYTES, offset):
        if rest := data.lstrip(b"\0"):
            return offset + len(data) - len(rest)
        offset += len(data)
    raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))


def punch_head(fd: int, length: int) -> bool:
    """Free the first `length` bytes of the file; False where the file system cannot."""
    # ctypes costs 2 MB: only a log that outgrew its budget pays for it.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fallocate: Any = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    if fallocate is None:
        return _punch_whole_blocks(fd, length)
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    result: int = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length)
    return result == 0


def _punch_whole_blocks(fd: int, length: int) -> bool:
    # What macOS has beside it tells that the number means this.
    if not hasattr(fcntl, "F_FULLFSYNC"):
        return False
    try:
        fcntl.fcntl(fd, F_PUNCHHOLE, PUNCHHOLE.pack(0, 0, 0, length // BLOCK_BYTES * BLOCK_BYTES))
    except OSError:
        return False
    return True
