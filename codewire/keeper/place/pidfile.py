"""The pid file (spec/files.md 2)."""

from __future__ import annotations

import contextlib
import os


def read_pid(path: str) -> int:
    """Return the pid in a pid file, 0 when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return int(os.read(fd, 32).strip() or b"0")
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return 0


def write_pid(path: str) -> None:
    """Write our pid, atomically, mode 0600. Raises OSError and leaves nothing behind then."""
    temporary = f"{path}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, str(os.getpid()).encode())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        os.close(fd)
