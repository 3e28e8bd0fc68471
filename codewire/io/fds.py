"""Small facts about descriptors: limits, locks. Imports little: the keeper uses it."""

from __future__ import annotations

import fcntl
import os
import resource


def lock_file(path: str, mode: int = 0o600) -> int | None:
    """Return a descriptor that holds an exclusive flock(2) on `path`, None when it is taken.

    The lock belongs to the open file: it lives as long as any process holds a duplicate.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def raise_file_limit() -> tuple[int, int]:
    """Raise the soft limit of open files to the hard one; return the limits as they were."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass
    return soft, hard


class FileLimit:
    """While entered, children inherit the soft limit the user had, not the raised one."""

    def __init__(self, soft: int, hard: int) -> None:
        self.limits = (soft, hard)

    def __enter__(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)

    def __exit__(self, *_: object) -> None:
        raise_file_limit()
