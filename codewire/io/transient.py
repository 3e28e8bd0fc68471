"""Which errors pass by themselves, and what to do meanwhile: pause, then try again.

An error is not a lost partner. Only EOF, EPIPE and ECONNRESET say that the other side has gone;
what the machine is short of for a moment (memory, descriptors, processes) says nothing about it.
The keeper imports this, so it stays light.
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# errno(3). EAGAIN is here for fork and kin (RLIMIT_NPROC); a non-blocking read treats it itself.
TRANSIENT = frozenset(
    (
        errno.EINTR,
        errno.EAGAIN,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EMFILE,
        errno.ENFILE,
        # Too many descriptors on their way through sockets (unix(7)).
        errno.ETOOMANYREFS,
    )
)
GONE = frozenset((errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN))

# Long enough not to burn a processor, short enough that nobody notices.
PAUSE_SECONDS = 0.05


def is_transient(error: BaseException) -> bool:
    """Say whether the call that raised `error` may well succeed in a moment."""
    return isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno in TRANSIENT
    )


def is_gone(error: OSError) -> bool:
    """Say whether `error` means that the peer of a socket or pipe has gone."""
    return error.errno in GONE


def persist(function: Callable[..., T], *args: Any) -> T:
    """Call until it succeeds or fails for good; blocks PAUSE_SECONDS after each transient error.

    Not for what may rightly say EAGAIN (a non-blocking descriptor). Raises what is not transient.
    """
    while True:
        try:
            return function(*args)
        except (OSError, MemoryError) as error:
            if not is_transient(error):
                raise
        time.sleep(PAUSE_SECONDS)
