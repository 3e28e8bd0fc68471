"""Starting a process that is nobody's child: a node for a client that may end at any moment.

The client may have any of its descriptors 0, 1 and 2 closed; the node gets all three.
"""

from __future__ import annotations

import fcntl
import os

from codewire.errors import NodeUnreachable
from codewire.files import open_regular
from codewire.paths import node_environment


def open_log(path: str) -> int:
    """Return a descriptor to append to a node's log, /dev/null's where it cannot be opened.

    A log is never worth a node. The caller closes it. Raises OSError only without descriptors.
    """
    try:
        return open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def spawn_detached(argv: list[str], output: int) -> int:
    """Start a process that is nobody's child, and return its pid. Raises OSError, NodeUnreachable.

    Forked twice, so that a long-lived client has no zombie to reap when the node ends.
    posix_spawn cannot change the directory, and a node must not keep the client's busy.
    """
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
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
        # The child ends as soon as it has written; it may be reaped by others (SIGCHLD ignored).
        pid = os.read(reader, 32)
        try:
            os.waitpid(child, 0)
        except ChildProcessError:
            pass
    finally:
        os.close(reader)
    if not pid:
        raise NodeUnreachable("node cannot be started: the system has no room for a process")
    return int(pid)


def _become(argv: list[str], output: int) -> None:
    """Turn this forked process into the node. Never returns."""
    environment = node_environment()
    try:
        # 1. Out of the way of 0, 1 and 2: a dup2 onto itself would leave it to be closed at exec.
        if output < 3:
            output = fcntl.fcntl(output, fcntl.F_DUPFD, 3)
        # 2. What the client's parent left open (a pipe, say) would live as long as the node; and
        # there may be no room for another descriptor.
        os.closerange(3, output)
        os.closerange(output + 1, max(os.sysconf("SC_OPEN_MAX"), output + 1))
        # 3. The node's own three.
        null = fcntl.fcntl(os.open(os.devnull, os.O_RDONLY), fcntl.F_DUPFD, 3)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3, max(null, output) + 1)
        os.chdir("/")
        os.execvpe(argv[0], argv, {**environment, "CODEWIRE_AUTOSTART": "1"})
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(127)
