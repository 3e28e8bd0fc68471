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
from codewire.io.peers import peer_of
from codewire.paths import MAX_SOCKET_PATH, DataDir

# More than the 20 clients a swarm starts at once; the kernel caps it at net.core.somaxconn.
BACKLOG = 1024

# How often a full backlog is tried again.
BACKLOG_PAUSE = 0.05

# The kernel's SCM_MAX_FD is 253.
MAX_FDS = 253

# What paths are cut down by: a prime, so that all of their bytes count.
CLAIM_PRIME = 2**127 - 1


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
    return answering_peer(path) is not None


def answering_peer(path: str | bytes) -> tuple[int, int] | None:
    """Return (pid, uid) of whoever listens at `path` (abstract: bytes that begin with NUL).

    None when nobody does; (0, -1) when somebody does who cannot be asked: the backlog is full, or
    it is another user's. Never blocks. The pid is of the process that called listen(2) last.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with sock:
        sock.setblocking(False)
        try:
            sock.connect(path)
            return peer_of(sock)
        except BlockingIOError:
            return 0, -1
        except PermissionError:
            return (0, -1) if _is_bound(path) else None
        except OSError:
            return None


def _is_bound(path: str | bytes) -> bool:
    """Say whether the kernel knows a socket by this path (proc(5), /proc/net/unix)."""
    wanted = b" " + os.fsencode(path)
    try:
        with open("/proc/net/unix", "rb") as file:
            return any(line.rstrip(b"\n").endswith(wanted) for line in file)
    except OSError:
        return True


class SomebodyThere(CodewireError):
    """A program that is not this node answers where its socket should be."""

    def __init__(self, path: str, pid: int) -> None:
        who = f"pid {pid}" if pid else "pid unknown"
        super().__init__(
            f"something already answers at {path} ({who}), and it is left alone; "
            "end it, or choose another directory with CODEWIRE_DIR"
        )
        self.pid = pid


def listen_unix(data_dir: DataDir) -> tuple[socket.socket, str]:
    """Bind the node's socket, mode 0600; return it with the path it really has.

    The caller holds the node's lock, so what stands there and does not answer is stale and is
    removed. A path too long for the kernel goes to a short runtime directory, with a symlink at
    the usual place. Raises SomebodyThere, CodewireError; nothing of ours is left behind then.
    """
    path = data_dir.socket
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        path = os.path.join(_runtime_dir(data_dir.root), "codewire.sock")
    for place in {path, data_dir.real_socket()}:
        found = answering_peer(place)
        if found is not None:
            raise SomebodyThere(place, found[0])
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    is_bound = False
    try:
        sock.setblocking(False)
        _remove(path)
        mask = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(mask)
        is_bound = True
        os.chmod(path, 0o600)
        sock.listen(BACKLOG)
        link_socket(data_dir, path)
    except OSError as error:
        sock.close()
        if is_bound:
            _remove(path)
        cause = (error.strerror or str(error)).lower()
        raise CodewireError(
            f"listening on unix socket: listen unix {path}: bind: {cause}"
        ) from error
    return sock, path


def link_socket(data_dir: DataDir, path: str) -> None:
    """Have the usual place lead to a socket that is elsewhere. Raises OSError."""
    if path != data_dir.socket:
        _remove(data_dir.socket)
        os.symlink(path, data_dir.socket)


def listen_again(fd: int) -> None:
    """Call listen(2) once more: from now on clients see this process as the peer (peers.py)."""
    sock = socket.socket(fileno=fd)
    try:
        sock.listen(BACKLOG)
    finally:
        sock.detach()


def claim_of(root: str) -> str:
    """Return the abstract name that stands for a data directory of this user.

    An address has about 100 bytes, so a path is cut down to a remainder. Nobody is to be kept from
    forging it; hashlib would add a third to this process's memory.
    """
    path = os.fsencode(os.path.realpath(root))
    return f"codewire-{os.getuid()}-{int.from_bytes(path, 'big') % CLAIM_PRIME:032x}"


def claim_name(name: str) -> tuple[socket.socket | None, int]:
    """Hold an abstract socket address (unix(7)), which no cleaner reaches, as long as it is open.

    Return (socket, 0); (None, pid) when another process of this user has it, pid 0 if unknown;
    (None, -1) when a stranger sits on it or there are no such addresses: it says nothing then.
    Abstract addresses are one set for each network namespace.
    """
    address = b"\0" + name.encode()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(BACKLOG)
        return sock, 0
    except OSError:
        sock.close()
    found = answering_peer(address)
    if found is None or found[1] not in (os.getuid(), -1):
        return None, -1
    return None, found[0]


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
        raise CodewireError(_squatted(path, found))
    return path


def _squatted(path: str, found: os.stat_result) -> str:
    """Say what to do about something in the place of our runtime directory.

    What is another user's in /tmp only that one or root can remove (sticky bit, unlink(2)).
    """
    other = "a shorter CODEWIRE_DIR, or an XDG_RUNTIME_DIR of your own, needs no such place"
    if found.st_uid == os.getuid():
        what = "is open to others" if stat.S_ISDIR(found.st_mode) else "is no directory"
        return f"{path} {what}; remove it and try again ({other})"
    return f"{path} belongs to another user (uid {found.st_uid}); {other}"


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
    return receive_message(sock, limit)[:2]


def receive_message(sock: socket.socket, limit: int) -> tuple[bytes, list[int], bool]:
    """As `receive_with_fds`, and whether descriptors were lost on the way.

    The kernel drops those that this process has no room for (EMFILE) and says MSG_CTRUNC.
    """
    data, ancillary, flags, _address = sock.recvmsg(
        limit, socket.CMSG_SPACE(MAX_FDS * 4), getattr(socket, "MSG_CMSG_CLOEXEC", 0)
    )
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % 4])
    if not hasattr(socket, "MSG_CMSG_CLOEXEC"):
        for fd in fds:
            os.set_inheritable(fd, False)
    return data, list(fds), bool(flags & socket.MSG_CTRUNC)
