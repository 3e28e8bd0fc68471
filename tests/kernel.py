"""What a test needs of the kernel: marks for those that make no sense where it is missing."""

from __future__ import annotations

import ctypes
import os
import select
import socket

import pytest

# Who listens at a socket, or who asks: 0 where the kernel does not say.
PEER = os.getpid() if hasattr(socket, "SO_PEERCRED") else 0
UID = os.getuid() if hasattr(socket, "SO_PEERCRED") else -1

needs_peers = pytest.mark.skipif(not PEER, reason="the kernel does not say who a peer is")
needs_names = pytest.mark.skipif(not PEER, reason="there are no abstract socket addresses")
needs_holes = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "fallocate"), reason="the head of a file cannot be freed"
)
needs_hangups = pytest.mark.skipif(
    not hasattr(select, "POLLRDHUP"), reason="unread bytes hide the end of a connection"
)
needs_endings = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="the end of another's child can only be looked for"
)
