"""Who is at the other end of a Unix socket, as the kernel tells it: pid and user.

Linux has SO_PEERCRED (unix(7)); macOS LOCAL_PEERPID and getpeereid(3); the BSDs the latter alone.
Where the kernel does not say, a pid is 0 and a uid -1. Clients import it.
"""

from __future__ import annotations

import socket
import struct

UNKNOWN = (0, -1)
# <sys/un.h> of macOS, known by its process calls (libproc.h).
SOL_LOCAL = 0
LOCAL_PEERPID = 2


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Return (pid, uid) of who called listen(2) last, or connected; UNKNOWN parts: 0 and -1.

    Raises OSError where the socket is not connected.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return _ask_library(sock)
    packed = sock.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", packed)
    # 0 of a process in a pid namespace that cannot be seen from here.
    return max(0, pid), uid


def peer_pid(sock: socket.socket) -> int:
    """As `peer_of`, the pid alone; 0 also for what is no connected Unix socket. Never raises."""
    try:
        return peer_of(sock)[0] if sock.family == socket.AF_UNIX else 0
    except (OSError, struct.error):
        return 0


def _ask_library(sock: socket.socket) -> tuple[int, int]:
    try:
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        getpeereid = library.getpeereid
    except (ImportError, OSError, AttributeError):
        return UNKNOWN
    uid, gid = ctypes.c_uint(), ctypes.c_uint()
    if getpeereid(sock.fileno(), ctypes.byref(uid), ctypes.byref(gid)):
        return UNKNOWN
    pid = 0
    if hasattr(library, "proc_pidinfo"):
        try:
            packed = sock.getsockopt(SOL_LOCAL, LOCAL_PEERPID, struct.calcsize("i"))
            (pid,) = struct.unpack("i", packed)
        except (OSError, struct.error):
            pid = 0
    return max(0, pid), uid.value
