"""The end of a process that is not our child, as a descriptor that becomes readable.

Linux has pidfd_open(2); the BSDs and macOS tell a kqueue (EVFILT_PROC, NOTE_EXIT). Where there is
neither, the caller has to look now and then. Imports little: the keeper uses it.
"""

from __future__ import annotations

import errno
import os
import select
from typing import Any

# Typed for Linux, which has no kqueue.
_select: Any = select


def open_end(pid: int) -> int:
    """Return a descriptor, CLOEXEC, that is readable once the process has ended.

    Raises ProcessLookupError when it has already; OSError when the system cannot tell, or has no
    descriptor to spare. The caller closes it.
    """
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    if hasattr(select, "kqueue"):
        return _open_queue(pid)
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _open_queue(pid: int) -> int:
    queue = _select.kqueue()
    try:
        flags = _select.KQ_EV_ADD | _select.KQ_EV_ONESHOT
        end = _select.kevent(pid, _select.KQ_FILTER_PROC, flags, _select.KQ_NOTE_EXIT)
        # ESRCH, where there is no such process, is ProcessLookupError.
        queue.control([end], 0)
        # The object closes its own descriptor when it goes.
        return os.dup(queue.fileno())
    finally:
        queue.close()


def has_ended(end: int) -> bool:
    """Say whether the process of such a descriptor has ended. Raises OSError."""
    poller = select.poll()
    poller.register(end, select.POLLIN)
    return bool(poller.poll(0))
