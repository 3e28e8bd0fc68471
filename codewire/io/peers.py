"""Who is at the other end of a socket, as the kernel tells it: pid and user, and whether still.

Of a Unix socket Linux tells by SO_PEERCRED (unix(7)), macOS by LOCAL_PEERPID and getpeereid(3), the
BSDs by the latter alone. Where the kernel does not say, a pid is 0 and a uid -1. Clients import it.
"""

from __future__ import annotations

import select
import socket
from typing import Any

UNKNOWN = (0, -1)
UCRED_BYTES, PID_BYTES = 12, 4
# <sys/un.h> of macOS, known by its process calls (libproc.h).
SOL_LOCAL = 0
LOCAL_PEERPID = 2
# Typed for Linux, which has no kqueue.
_select: Any = select


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """Return (pid, uid) of who called listen(2) last, or connected; UNKNOWN parts: 0 and -1.

    Raises OSError where the socket is not connected.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return _ask_library(sock)
    # struct ucred: three ints. A client is started often, and would load struct for this alone.
    packed = sock.getsockopt(socket.SOL_SOCKET, option, UCRED_BYTES)
    pid, uid, _ = memoryview(packed).cast("i")
    # 0 of a process in a pid namespace that cannot be seen from here.
    return max(0, pid), uid


def names_peers() -> bool:
    """Say whether the kernel tells pids of peers, as far as can be known without one."""
    return hasattr(socket, "SO_PEERCRED") or _library("proc_pidinfo") is not None


def peer_pid(sock: socket.socket) -> int:
    """As `peer_of`, the pid alone; 0 also for what is no connected Unix socket. Never raises."""
    try:
        return peer_of(sock)[0] if sock.family == socket.AF_UNIX else 0
    except (OSError, ValueError, TypeError):
        return 0


def _ask_library(sock: socket.socket) -> tuple[int, int]:
    getpeereid = _library("getpeereid")
    if getpeereid is None:
        return UNKNOWN
    import ctypes

    uid, gid = ctypes.c_uint(), ctypes.c_uint()
    if getpeereid(sock.fileno(), ctypes.byref(uid), ctypes.byref(gid)):
        return UNKNOWN
    pid = 0
    if _library("proc_pidinfo") is not None:
        try:
            (pid,) = memoryview(sock.getsockopt(SOL_LOCAL, LOCAL_PEERPID, PID_BYTES)).cast("i")
        except (OSError, ValueError, TypeError):
            pid = 0
    return max(0, pid), uid.value


def _library(name: str) -> Any:
    """Return a function of the C library, None where it has none of that name."""
    try:
        import ctypes

        return getattr(ctypes.CDLL(None, use_errno=True), name, None)
    except (ImportError, OSError):
        return None


def has_hung_up(fd: int) -> bool:
    """Say whether a socket's peer sends nothing more, or is gone. Never blocks; raises OSError.

    poll(2) says it on Linux (POLLRDHUP), a kqueue elsewhere (EV_EOF). Where there is neither, what
    has not been read may hide it.
    """
    poller = select.poll()
    if hasattr(select, "POLLRDHUP"):
        poller.register(fd, select.POLLRDHUP)
        return bool(poller.poll(0))
    if hasattr(select, "kqueue"):
        return _is_at_end(fd)
    poller.register(fd, select.POLLIN)
    for _, events in poller.poll(0):
        if events & (select.POLLHUP | select.POLLERR):
            return True
        return not _peek(fd)
    return False


def _is_at_end(fd: int) -> bool:
    queue = _select.kqueue()
    try:
        wanted = _select.kevent(fd, _select.KQ_FILTER_READ, _select.KQ_EV_ADD)
        return any(found.flags & _select.KQ_EV_EOF for found in queue.control([wanted], 1, 0))
    finally:
        queue.close()


def _peek(fd: int) -> bytes:
    sock = socket.socket(fileno=fd)
    try:
        return sock.recv(1, socket.MSG_PEEK)
    except OSError:
        return b""
    finally:
        sock.detach()
