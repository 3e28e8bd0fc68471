"""Unix sockets: dial, bind where the path fits, pass descriptors. See unix(7).

The keeper imports this, so it stays light; who may listen is decided by the lock file (fds.py).
"""

from __future__ import annotations

import array
import errno
import os
import socket
import stat
import time

from codewire.errors import CodewireError, NodeSilent, NodeUnreachable
from codewire.paths import MAX_SOCKET_PATH, DataDir

# More than the 20 clients a swarm starts at once; the kernel caps it at net.core.somaxconn.
BACKLOG = 1024

# How often a full backlog is tried again.
BACKLOG_PAUSE = 0.05

# The kernel's SCM_MAX_FD is 253.
MAX_FDS = 253


def connect_unix(path: str, timeout: float | None = None) -> socket.socket:
    """Return a connected stream socket. Raises NodeUnreachable with the cause.

    Blocks while the listener's backlog is full, for at most `timeout` seconds (None: for ever);
    NodeSilent says that it was.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if timeout is None:
            sock.connect(path)
        else:
            _connect_within(sock, path, timeout)
    except OSError as error:
        sock.close()
        cause = error.strerror or str(error)
        # Who lets clients queue is there: nobody is to start another.
        kind = NodeSilent if isinstance(error, TimeoutError) else NodeUnreachable
        raise kind(f"connecting to local socket: {path}: {cause.lower()}") from error
    return sock


def _connect_within(sock: socket.socket, path: str, timeout: float) -> None:
    """Connect before `timeout` seconds are over; a full backlog is EAGAIN then (connect(2))."""
    deadline = time.monotonic() + timeout
    sock.setblocking(False)
    while True:
        try:
            sock.connect(path)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, "too many clients wait already") from None
            time.sleep(BACKLOG_PAUSE)
    sock.setblocking(True)


def is_answering(path: str) -> bool:
    """Say whether something accepts connections at `path`."""
    try:
        connect_unix(path).close()
    except NodeUnreachable:
        return False
    return True


def listen_unix(data_dir: DataDir) -> tuple[socket.socket, str]:
    """Bind the node's socket, mode 0600; return it with the path it really has.

    The caller holds the node's lock, so whatever stands there is stale and is removed. A path too
    long for the kernel goes to a short runtime directory, with a symlink at the usual place.
    """
    path = data_dir.socket
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        path = os.path.join(_runtime_dir(data_dir.root), "codewire.sock")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _remove(path)
        mask = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(mask)
        os.chmod(path, 0o600)
        sock.listen(BACKLOG)
        if path != data_dir.socket:
            _remove(data_dir.socket)
            os.symlink(path, data_dir.socket)
    except OSError as error:
        sock.close()
        cause = (error.strerror or str(error)).lower()
        raise CodewireError(
            f"listening on unix socket: listen unix {path}: bind: {cause}"
        ) from error
    return sock, path


def _runtime_dir(root: str) -> str:
    """Return a short directory of ours alone for the socket of the data directory `root`.

    Under $XDG_RUNTIME_DIR, else /tmp: the name is predictable there, so owner and mode are checked.
    """
    import hashlib

    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not (os.path.isabs(base) and os.path.isdir(base) and len(base) < 60):
        base = "/tmp"
    path = os.path.join(base, f"codewire-{os.getuid()}-{digest}")
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise CodewireError(f"{path} is not a private directory of yours; remove it and try again")
    return path


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def send_with_fds(sock: socket.socket, data: bytes, fds: list[int]) -> int:
    """Send `data`, the descriptors riding on its first byte; return how many bytes went out."""
    if not fds:
        return sock.send(data)
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    return sock.sendmsg([data], [rights])


def receive_with_fds(sock: socket.socket, limit: int) -> tuple[bytes, list[int]]:
    """Return the next bytes (b"" at the end) and the descriptors that came with them, CLOEXEC."""
    data, ancillary, _flags, _address = sock.recvmsg(
        limit, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
    )
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % 4])
    return data, list(fds)
