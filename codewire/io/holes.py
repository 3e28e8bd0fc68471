"""Free the head of a file without moving its offsets: fallocate(2) with FALLOC_FL_PUNCH_HOLE."""

from __future__ import annotations

FALLOC_FL_KEEP_SIZE = 0x01
FALLOC_FL_PUNCH_HOLE = 0x02


def punch_head(fd: int, length: int) -> bool:
    """Free the first `length` bytes of the file; False where the file system cannot."""
    # ctypes costs 2 MB: only a log that outgrew its budget pays for it.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fallocate = libc.fallocate64
    except AttributeError:
        fallocate = libc.fallocate
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    result: int = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length)
    return result == 0
