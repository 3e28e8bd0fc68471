"""How much address space threads take: they are what every client costs where gevent is missing."""

from __future__ import annotations

import threading

from codewire.io.wait import RUNTIME

# On threads every client has one or two. Enough for the deepest calls there are (json's scanner,
# 400 levels: wire/nesting.py), little enough for hundreds of clients: with the usual 8 MiB, a
# limit of 1 GB on address space is reached by nine.
STACK_BYTES = 512 << 10
# glibc gives each thread an arena of 64 MiB of address space, up to eight a processor.
ARENAS = 2
M_ARENA_MAX = -8


def spare_address_space() -> None:
    """Let threads take less of it. Must come before the first one starts."""
    threading.stack_size(STACK_BYTES)
    if RUNTIME != "threads":
        return
    try:
        import ctypes

        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
    except (ImportError, OSError, AttributeError):
        # No glibc: no arenas.
        pass
