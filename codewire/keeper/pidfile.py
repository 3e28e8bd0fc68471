"""The pid file (spec/files.md 2) and the keeper's few lines in the node's log."""

from __future__ import annotations

import os
import sys
import time


def read_pid(path: str) -> int:
    """Return the pid in a pid file, 0 when there is none."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read().strip() or "0")
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
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)


def say(level: str, text: str) -> None:
    """Write one line to the node's log (stderr), in the format of the worker's lines."""
    stamp = time.strftime("%Y/%m/%d %H:%M:%S")
    try:
        sys.stderr.write(f"{stamp} {level} {text}\n")
        sys.stderr.flush()
    except OSError:
        pass
