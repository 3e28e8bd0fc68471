"""Starting a process that leads a session of its own (setsid(2)), with or without a terminal.

posix_spawn(3) where it can do all of it; else fork and exec by hand, which costs about 1.5 ms of
processor time more. The keeper and the warden of SSH's shells call it, which have one thread that
runs Python: posix_spawn keeps that thread until the program is loaded, however long its file system
takes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import select
import signal
import termios
from typing import TYPE_CHECKING, NoReturn

from codewire.io.pipes import open_pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codewire.io.fds import FileLimit

# Children start with default dispositions: an ignored SIGPIPE or SIGHUP would be inherited.
DEFAULT_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
# A leader's controlling terminal is the first one it opens on Linux, whose epoll this is; BSD's
# descendants want to be asked (TIOCSCTTY, tty(4)), which posix_spawn cannot.
OPENING_CONTROLS = hasattr(select, "epoll")
PR_SET_PDEATHSIG = 1
# What a program's start may take where its file system may hang: it has just been looked at.
FAR_SECONDS = 2.0


def spawn_leader(argv: list[str], env: Mapping[str, str]) -> int:
    """Start a program as leader of a session without a terminal; return its pid. Raises OSError."""
    try:
        return os.posix_spawn(argv[0], argv, env, setsid=True, setsigdef=DEFAULT_SIGNALS)
    except NotImplementedError:
        # A C library without POSIX_SPAWN_SETSID.
        return _fork(os.setsid, argv[0], argv, env)


def spawn_on_terminal(
    path: str, argv: list[str], env: Mapping[str, str], slave_path: str, limit: FileLimit
) -> int:
    """Start a program whose controlling terminal is `slave_path`, which is also its 0, 1 and 2.

    `limit` is its limit of open files. Returns its pid; raises OSError when it cannot be run.
    """
    if not OPENING_CONTROLS:
        return _fork(lambda: _take_terminal(slave_path, limit), path, argv, env)
    # As session leader, opening the slave makes it the controlling terminal.
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, slave_path, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]
    with limit:
        return os.posix_spawn(
            path,
            argv,
            env,
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=DEFAULT_SIGNALS,
        )


def spawn_wired(
    path: str, argv: list[str], env: Mapping[str, str], cwd: str, fds: list[int], files: int
) -> int:
    """Start a program on `fds`: one is a terminal's slave, which it gets as its own; three are 0-2.

    `files` is its soft limit of open files; where `cwd` cannot be entered, it starts in /. It is
    killed when its parent dies, where the system can do that. Returns its pid; raises OSError.
    """

    def prepare() -> None:
        os.setsid()
        _die_with_parent()
        if len(fds) == 1:
            fcntl.ioctl(fds[0], termios.TIOCSCTTY, 0)
        for number, fd in enumerate(fds if len(fds) == 3 else fds * 3):
            os.dup2(fd, number, inheritable=True)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_least(files, hard), hard))
        try:
            os.chdir(cwd)
        except OSError:
            os.chdir("/")

    return _fork(prepare, path, argv, env)


def _least(wanted: int, hard: int) -> int:
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends: PR_SET_PDEATHSIG, prctl(2)."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn_far(
    path: str,
    argv: list[str],
    env: Mapping[str, str],
    directory: str,
    slave_path: str,
    limit: FileLimit,
) -> int:
    """As `spawn_on_terminal`, in a directory, where either may be on a file system that hangs.

    Only the child goes there. Blocks FAR_SECONDS at most; TimeoutError then, and it is killed.
    """

    def prepare() -> None:
        _take_terminal(slave_path, limit)
        os.chdir(directory)

    return _fork(prepare, path, argv, env, FAR_SECONDS)


def _take_terminal(slave_path: str, limit: FileLimit) -> None:
    os.setsid()
    fd = os.open(slave_path, os.O_RDWR)
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(fd, number, inheritable=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, limit.limits)


def _fork(
    prepare: Callable[[], None],
    path: str,
    argv: list[str],
    env: Mapping[str, str],
    seconds: float | None = None,
) -> int:
    """Fork; in the child prepare and exec. Returns once that has worked; raises OSError if not.

    Blocks `seconds` at most: TimeoutError, and the child is killed; whoever reaps will see it.
    """
    reader, writer = open_pipe()
    try:
        pid = os.fork()
        if pid == 0:
            _become(prepare, path, argv, env, writer)
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    try:
        # The write end closes at exec: nothing to read says that it went well.
        if not _has_news(reader, seconds):
            os.kill(pid, signal.SIGKILL)
            raise TimeoutError(errno.ETIMEDOUT, "its program or directory does not answer")
        os.set_blocking(reader, True)
        failure = os.read(reader, 16)
    finally:
        os.close(reader)
    if failure:
        os.waitpid(pid, 0)
        raise OSError(int(failure), os.strerror(int(failure)), path)
    return pid


def _has_news(reader: int, seconds: float | None) -> bool:
    """Block until there is something to read, or nobody who could write; False after `seconds`."""
    if seconds is None:
        return True
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _become(
    prepare: Callable[[], None], path: str, argv: list[str], env: Mapping[str, str], writer: int
) -> NoReturn:
    """Turn this forked process into the program."""
    try:
        # A signal that comes now must not be told to the parent's loop.
        signal.set_wakeup_fd(-1)
        for number in DEFAULT_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        prepare()
        os.execve(path, argv, env)
    except (OSError, ValueError) as error:
        os.write(writer, b"%d" % (getattr(error, "errno", None) or errno.EINVAL))
    finally:
        os._exit(127)
