"""Starts a node for a client that finds none; many clients at once start exactly one.

A lock file serialises the starters, and the socket, not a pid file, says whether a node lives
(spec/files.md 2). The node is detached: own OS session, no inherited descriptors, cwd /, and the
cgroup that scope.py names.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

from codewire.errors import NodeUnreachable
from codewire.io.fds import lock_file
from codewire.io.unix import is_answering
from codewire.paths import node_environment, self_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.paths import DataDir

START_SECONDS = 5.0
POLL_SECONDS = 0.02
# Enough for the last line of a traceback.
LOG_TAIL_BYTES = 8192
# On a full disk its words have no room in the log.
NO_WORDS = "it could not say why; run 'cw node' to see"


def ensure_node(data_dir: DataDir, notify: Callable[[str], None]) -> None:
    """Return once a node answers; start one if none does. Blocks up to START_SECONDS.

    `notify` gets one line when a node was started. Raises NodeUnreachable with the node's own last
    words when it does not come up.
    """
    if is_answering(data_dir.real_socket()):
        return
    try:
        os.makedirs(data_dir.root, mode=0o700, exist_ok=True)
        lock = _lock_or_node(data_dir)
    except OSError as error:
        raise NodeUnreachable(
            f"node cannot be started: {error.filename or data_dir.root}: {error.strerror}"
        ) from error
    if lock is None:
        return
    try:
        # Someone else may have started it while this client waited for the lock.
        if not is_answering(data_dir.real_socket()):
            _start(data_dir, notify)
    finally:
        os.close(lock)


def _lock_or_node(data_dir: DataDir) -> int | None:
    """Return the held start lock; None when a node answers before the lock is free."""
    deadline = time.monotonic() + 2 * START_SECONDS
    while True:
        lock = lock_file(data_dir.start_lock)
        if lock is not None:
            return lock
        if is_answering(data_dir.real_socket()):
            return None
        if time.monotonic() > deadline:
            raise NodeUnreachable("node failed to start (another client has been starting it)")
        time.sleep(POLL_SECONDS)


def _start(data_dir: DataDir, notify: Callable[[str], None]) -> None:
    from codewire.client.reach import scope

    command = [*self_command(), "node"]
    prefix = scope.own_scope(os.environ)
    if prefix:
        try:
            return _start_as([*prefix, *command], data_dir, notify)
        except NodeUnreachable:
            # Better a node in the login's scope than none; if the fault is its own, it says so now.
            pass
    return _start_as(command, data_dir, notify)


def _start_as(command: list[str], data_dir: DataDir, notify: Callable[[str], None]) -> None:
    """Start a node with this argv and return once it answers. Raises NodeUnreachable."""
    log = os.open(data_dir.node_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        log_start = os.fstat(log).st_size
        pid = _spawn_detached(command, log)
    finally:
        os.close(log)
    deadline = time.monotonic() + START_SECONDS
    while not is_answering(data_dir.real_socket()):
        words = ""
        if not is_alive(pid):
            words = _last_line(data_dir.node_log, log_start)
            # A node started by hand a moment ago holds the lock already: its socket comes next.
            if "node already running" not in words:
                raise NodeUnreachable(f"node failed to start: {words or NO_WORDS}")
        if time.monotonic() > deadline:
            words = words or _last_line(data_dir.node_log, log_start)
            text = "node failed to start (socket not available after 5s)"
            raise NodeUnreachable(f"{text}: {words}" if words else text)
        time.sleep(POLL_SECONDS)
    if is_alive(pid):
        notify(f"[cw] node started (pid {pid})")


def _spawn_detached(argv: list[str], output: int) -> int:
    """Start a process that is nobody's child, and return its pid.

    Forked twice, so that a long-lived client has no zombie to reap when the node ends.
    posix_spawn cannot change the directory, and a node must not keep the client's busy.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            grandchild = os.fork()
            if grandchild == 0:
                _become(argv, output)
            os.write(writer, b"%d" % grandchild)
        finally:
            os._exit(0)
    os.close(writer)
    try:
        os.waitpid(child, 0)
        pid = os.read(reader, 32)
    finally:
        os.close(reader)
    if not pid:
        raise NodeUnreachable("node cannot be started: the system has no room for a process")
    return int(pid)


def _become(argv: list[str], output: int) -> None:
    """Turn this forked process into the node. Never returns."""
    environment = node_environment()
    try:
        # Where the client was started without one of 0 to 2, the log may have that very number.
        output = fcntl.fcntl(output, fcntl.F_DUPFD, 3)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        # What the client's parent left open (a pipe, say) would otherwise live as long as the node.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.chdir("/")
        os.execvpe(argv[0], argv, {**environment, "CODEWIRE_AUTOSTART": "1"})
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] != [b"Z"]
    except OSError:
        # Gone meanwhile; or a system without /proc, where the signal's word has to do.
        return not os.path.isdir("/proc/self")


def _last_line(path: str, start: int) -> str:
    """Return the last line that was written to a log after `start`, without its `Error: `."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start if start <= end else 0, end - LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    words = [line.strip() for line in lines if line.strip()]
    return words[-1].removeprefix("Error: ") if words else ""
