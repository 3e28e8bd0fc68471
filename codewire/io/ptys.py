"""Pseudo-terminals: open a pair, set and read the window size. See pty(7), ioctl_tty(2)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios

# In termios only since Python 3.13; most architectures have this number (asm-generic/ioctls.h).
TIOCGPTPEER: int = getattr(termios, "TIOCGPTPEER", 0x5441)
# Longer than any path of a terminal.
MAX_NAME = 128


def open_pty(rows: int, cols: int) -> tuple[int, int, str]:
    """Return (master, slave, path of the slave) with the window size set; the caller closes both.

    Both are CLOEXEC, the master is non-blocking.
    """
    master, slave = os.openpty()
    try:
        os.set_blocking(master, False)
        set_window_size(master, rows, cols)
        return master, slave, os.ttyname(slave)
    except BaseException:
        os.close(master)
        os.close(slave)
        raise


def set_window_size(fd: int, rows: int, cols: int) -> None:
    """Set the terminal's size (TIOCSWINSZ); its foreground processes get SIGWINCH if it changed."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def window_size(fd: int) -> tuple[int, int]:
    """Return (rows, cols) of the terminal. Raises OSError when `fd` is none."""
    packed = fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8)
    rows, cols, _, _ = struct.unpack("HHHH", packed)
    return rows, cols


def slave_device(master: int) -> tuple[int, int]:
    """Return (st_dev, st_rdev) of the slave of a PTY: no other terminal has both.

    Raises OSError.
    """
    slave = open_slave(master)
    try:
        status = os.fstat(slave)
    finally:
        os.close(slave)
    return status.st_dev, status.st_rdev


def open_slave(master: int) -> int:
    """Open the slave of a PTY, not as controlling terminal; the caller closes it. Raises OSError.

    Through the master where the kernel can (TIOCGPTPEER, ioctl_tty(2)): then it does not matter
    which /dev/pts is mounted here. Else by its name, ptsname(3).
    """
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return int(fcntl.ioctl(master, TIOCGPTPEER, flags))
    except OSError as error:
        if error.errno != errno.ENOTTY:
            raise
    return os.open(_slave_name(master), flags)


def _slave_name(master: int) -> bytes:
    if hasattr(os, "ptsname"):
        return os.fsencode(os.ptsname(master))
    try:
        import ctypes

        name = ctypes.create_string_buffer(MAX_NAME)
        failure = ctypes.CDLL(None, use_errno=True).ptsname_r(master, name, MAX_NAME)
    except (ImportError, AttributeError) as error:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error
    if failure:
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
    return name.value


def unread_bytes(fd: int) -> int:
    """Return how many bytes may be read from a terminal or pipe right now. Raises OSError."""
    (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))
    return int(count)


def unread_input(master: int) -> int:
    """Return how many typed bytes the program has not read: all in raw mode, else whole lines.

    The master cannot tell (TIOCOUTQ is always 0): its slave is opened for a moment, FIONREAD.
    At most 4095, the rest waits behind them. Raises OSError.
    """
    slave = open_slave(master)
    try:
        return unread_bytes(slave)
    finally:
        os.close(slave)


def local_flags(fd: int) -> int:
    """Return the terminal's c_lflag (ICANON, ECHO; termios(3)). Raises OSError."""
    try:
        return int(termios.tcgetattr(fd)[3])
    except termios.error as error:
        raise OSError(*error.args) from error
