"""Take away what only Linux has, before anything else is imported: PYTHONPATH=tests/bare.

What is left is what macOS and the BSDs have too, as far as that can be had on Linux. Names go from
the modules, and calls that are reached by a number or through ctypes fail as they would there.
"""

from __future__ import annotations

import select

# First: socket imports selectors, which chooses once.
for name in [name for name in vars(select) if name.startswith(("epoll", "EPOLL", "POLLRDHUP"))]:
    delattr(select, name)

import ctypes  # noqa: E402
import errno  # noqa: E402
import fcntl  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import termios  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

PREFIXES: dict[Any, tuple[str, ...]] = {
    os: (
        "splice SPLICE_ sendfile pidfd_ eventfd EFD_ memfd_ MFD_ pipe2 SEEK_DATA SEEK_HOLE "
        "posix_fallocate posix_fadvise POSIX_FADV_ copy_file_range O_TMPFILE O_PATH O_DIRECT "
        "getrandom GRND_ sched_ SCHED_ getresuid getresgid setresuid setresgid preadv pwritev "
        "RWF_ fdatasync waitid P_PIDFD getxattr setxattr listxattr removexattr unshare setns "
        "CLONE_ timerfd_ TFD_ ptsname posix_openpt"
    ).split(),
    signal: (
        "pidfd_send_signal SIGPWR SIGSTKFLT SIGPOLL SIGCLD SIGRTMIN SIGRTMAX sigtimedwait "
        "sigwaitinfo"
    ).split(),
    socket: (
        "SO_PEERCRED SO_PEERSEC SO_PASSCRED SOCK_NONBLOCK SOCK_CLOEXEC MSG_MORE MSG_NOSIGNAL "
        "MSG_CMSG_CLOEXEC MSG_ERRQUEUE TCP_USER_TIMEOUT TCP_KEEPIDLE TCP_QUICKACK TCP_DEFER_ACCEPT "
        "SO_DOMAIN SO_PROTOCOL SO_BINDTODEVICE SO_MARK SO_INCOMING_CPU"
    ).split(),
    time: ("CLOCK_BOOTTIME", "CLOCK_TAI"),
    fcntl: (
        "F_SETPIPE_SZ F_GETPIPE_SZ F_OFD_ F_SETLEASE F_GETLEASE F_NOTIFY F_ADD_SEALS F_GET_SEALS "
        "F_SEAL_ DN_"
    ).split(),
    resource: ("prlimit", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE"),
    termios: ("TIOCGPTPEER", "TIOCGPTN", "TIOCSPTLCK"),
}
for module, prefixes in PREFIXES.items():
    for name in [name for name in vars(module) if name.startswith(tuple(prefixes))]:
        delattr(module, name)

# Calls by number: what asm-generic/ioctls.h and linux/fcntl.h have and BSD's headers do not.
LINUX_IOCTLS = frozenset((0x5441, 0x80045430, 0x40045431))
LINUX_FCNTLS = frozenset((1031, 1032, 1033, 1034))
# What ctypes finds in this C library alone.
LINUX_CALLS = frozenset(
    "prctl fallocate fallocate64 posix_fallocate splice pidfd_open memfd_create mallopt syscall "
    "eventfd epoll_create1 pipe2 accept4 sendfile".split()
)
_ioctl, _fcntl = fcntl.ioctl, fcntl.fcntl


def ioctl(fd: Any, request: int, *args: Any) -> Any:
    """As fcntl.ioctl; ENOTTY for what other systems do not know."""
    if request & 0xFFFFFFFF in LINUX_IOCTLS:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
    return _ioctl(fd, request, *args)


def control(fd: Any, command: int, *args: Any) -> Any:
    """As fcntl.fcntl; EINVAL for what other systems do not know."""
    if command in LINUX_FCNTLS:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return _fcntl(fd, command, *args)


fcntl.ioctl, fcntl.fcntl = ioctl, control


class BareLibrary(ctypes.CDLL):
    """A C library without Linux's own calls."""

    def __getattr__(self, name: str) -> Any:
        if name in LINUX_CALLS:
            raise AttributeError(name)
        return super().__getattr__(name)


class BareSocket(socket.socket):
    """A socket without abstract addresses; what it accepts waits as little as it does itself."""

    def bind(self, address: Any) -> None:
        _check(address)
        super().bind(address)

    def connect(self, address: Any) -> None:
        _check(address)
        super().connect(address)

    def accept(self) -> tuple[Any, Any]:
        sock, address = super().accept()
        if not os.get_blocking(self.fileno()):
            os.set_blocking(sock.fileno(), False)
        return sock, address


def _check(address: Any) -> None:
    text = address if isinstance(address, (str, bytes)) else ""
    if text[:1] in ("\0", b"\0"):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


BareSocket.__module__ = "socket"
ctypes.CDLL = BareLibrary  # type: ignore[misc]
socket.socket = BareSocket  # type: ignore[misc]
os.environ.setdefault("CW_RUNTIME", "threads")
