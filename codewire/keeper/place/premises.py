"""Where a node is found, and that it stays there: socket, pid file, locks.

What a cleaner removes from under a running node is put back; what belongs to somebody else is
left alone and named. Nothing here ever ends a keeper that has been serving.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable

from codewire.errors import CodewireError, NodeRunning
from codewire.io.fds import lock_file
from codewire.io.peers import names_peers
from codewire.io.procfs import read_process
from codewire.io.unix import (
    SomebodyThere,
    answering_peer,
    claim_name,
    claim_of,
    link_socket,
    listen_again,
    listen_unix,
)
from codewire.keeper.place.pidfile import read_pid, write_pid
from codewire.keeper.place.scout import Scout
from codewire.keeper.report import Report
from codewire.paths import DataDir

# How often a keeper looks after its files; a cleaner's damage is mended within twice that.
LOOK_SECONDS = 4.0


class Premises:
    """The keeper's hold on one data directory. Descriptors are -1 until `take` or `adopt`."""

    def __init__(self, paths: DataDir, report: Report) -> None:
        self._paths = paths
        self._report = report
        self.socket_path = paths.socket
        self.listener = -1
        self.lock = -1
        # The lock outside the directory; -1 where there is none (see claim_name).
        self.claim = -1
        self._socket_inode: tuple[int, int] | None = None
        # Complaints already made; each is made once until it is mended.
        self._said: dict[str, str] = {}
        self._scout = Scout(self._is_well)

    def take(self) -> None:
        """Become the node of the directory. Raises CodewireError, OSError; leaves nothing then."""
        root = self._paths.root
        # 1. The name outside first: it is there even when the directory was removed.
        claim, holder = claim_name(claim_of(root))
        if claim is not None:
            self.claim = claim.detach()
        elif holder >= 0:
            raise NodeRunning(holder or read_pid(self._paths.pid))
        # 2. The lock inside, which nodes in other network namespaces and older ones know.
        os.makedirs(root, mode=0o700, exist_ok=True)
        os.chmod(root, 0o700)
        lock = lock_file(self._paths.lock)
        if lock is None:
            raise NodeRunning(read_pid(self._paths.pid))
        self.lock = lock
        # 3. Who answers at the socket without a lock (a Go node) keeps its pid file, too.
        found = answering_peer(self._paths.real_socket())
        if found is not None:
            raise SomebodyThere(self._paths.real_socket(), found[0])
        # 4. Before the socket is there to promise a node: it fails when the disk is full.
        write_pid(self._paths.pid)
        try:
            self._bind()
        except (CodewireError, OSError):
            with contextlib.suppress(OSError):
                os.unlink(self._paths.pid)
            raise

    def adopt(self, socket_path: str, listener: int, lock: int, claim: int) -> None:
        """Go on where a keeper that died stopped."""
        self.socket_path = socket_path
        self.listener, self.lock, self.claim = listener, lock, claim
        for fd in (listener, claim):
            if fd >= 0:
                # Clients ask the socket who the node is: that is us now.
                with contextlib.suppress(OSError):
                    listen_again(fd)
        # What cannot be asked now is asked at the next look: taking over must not wait for it.
        with contextlib.suppress(OSError, MemoryError):
            self._recognise_socket()

    def _bind(self) -> None:
        sock, self.socket_path = listen_unix(self._paths)
        self._socket_inode = _inode(self.socket_path)
        if self.listener < 0:
            self.listener = sock.detach()
            return
        # The number stays: it may be under way to a worker.
        with sock:
            os.dup2(sock.fileno(), self.listener, inheritable=False)

    # Upkeep

    def need_a_look(self) -> bool:
        """Say whether `look` has something to mend.

        Not when the directory does not answer (a dead NFS server): `look` would not return. This
        does, within a fraction of a second.
        """
        self._empty_claim()
        is_well = self._scout.find()
        if is_well is None and self._scout.is_out():
            # Else there was no thread to send: the next look has one, or the one after that.
            self._complain("directory", f"{self._paths.root} does not answer; it is not looked at")
        return is_well is False or is_well is True and bool(self._said)

    def _is_well(self) -> bool:
        """Say whether everything stands where it should. Only reads; may hang."""
        paths, path = self._paths, self.socket_path
        return (
            os.path.isdir(paths.root)
            and (self.lock < 0 or _inode_of(self.lock) == _inode(paths.lock))
            and self._socket_inode is not None
            and _inode(path) == self._socket_inode
            and (path == paths.socket or paths.real_socket() == path)
            and read_pid(paths.pid) == os.getpid()
        )

    def look(self) -> bool:
        """Put back what is missing; return whether `listener` is another socket now."""
        self._try("directory", self._look_at_directory)
        self._try("lock", self._look_at_lock)
        before = _inode_of(self.listener) if self.listener >= 0 else None
        self._try("socket", self._look_at_socket)
        self._try("pid file", self._look_at_pid)
        return before is not None and _inode_of(self.listener) != before

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            step()
        except (CodewireError, OSError, MemoryError) as error:
            self._complain(name, str(error))
        else:
            self._said.pop(name, None)

    def _complain(self, name: str, text: str) -> None:
        if self._said.get(name) != text:
            self._said[name] = text
            self._report.line("ERROR", f"{name} of the node: {text}")

    def _look_at_directory(self) -> None:
        root = self._paths.root
        if not os.path.isdir(root):
            os.makedirs(root, mode=0o700)
            self._report.line(
                "ERROR",
                f"the data directory {root} was removed under the running node; it is made anew, "
                "sessions go on, but their files are gone",
            )

    def _look_at_lock(self) -> None:
        """Lock the file that stands there: older nodes know no other lock."""
        if self.lock < 0 or _inode_of(self.lock) == _inode(self._paths.lock):
            return
        lock = lock_file(self._paths.lock)
        if lock is None:
            raise CodewireError(f"{self._paths.lock} is another file and another process holds it")
        os.dup2(lock, self.lock, inheritable=False)
        os.close(lock)

    def _look_at_socket(self) -> None:
        path = self.socket_path
        if self._socket_inode is None or _inode(path) != self._socket_inode:
            if self._recognise_socket():
                # Moved there and back, or taken over from another keeper.
                return
            self._bind()
            self._report.line("WARN", f"socket {path} was gone and is bound anew")
        elif path != self._paths.socket and self._paths.real_socket() != path:
            link_socket(self._paths, path)
            self._report.line("WARN", f"link {self._paths.socket} was gone and is made anew")

    def _recognise_socket(self) -> bool:
        """Say whether we are who answers at the path; then that socket is ours.

        Where the kernel does not tell who answers, our listener's own name must do.
        """
        found = answering_peer(self.socket_path)
        if found is None or found[0] not in (os.getpid(), 0):
            return False
        if found[0] == 0 and (found[1] >= 0 or not self._is_bound_here()):
            return False
        self._socket_inode = _inode(self.socket_path)
        return True

    def _is_bound_here(self) -> bool:
        """Say whether our listener was bound to the path; somebody else may be there since."""
        if names_peers():
            return False
        sock = socket.socket(fileno=self.listener)
        try:
            return bool(sock.getsockname() == self.socket_path)
        finally:
            sock.detach()

    def _look_at_pid(self) -> None:
        if "socket" not in self._said and read_pid(self._paths.pid) != os.getpid():
            write_pid(self._paths.pid)

    def _empty_claim(self) -> None:
        """Let go whoever asked who holds the name: its queue must not fill up."""
        if self.claim < 0:
            return
        sock = socket.socket(fileno=self.claim)
        try:
            sock.setblocking(False)
            while True:
                sock.accept()[0].close()
        except (OSError, MemoryError):
            pass
        finally:
            sock.detach()

    def leave(self) -> None:
        """Remove what is ours, unless the directory does not answer. Never raises."""
        self._scout.find()
        if self._scout.is_out():
            return
        with contextlib.suppress(CodewireError, OSError):
            # A successor may not have been able to look yet.
            if self._socket_inode is None and self.listener >= 0:
                self._recognise_socket()
            there = _inode(self.socket_path)
            # What cannot be looked at was ours when it could.
            if self._socket_inode is not None and there in (self._socket_inode, None):
                if self._paths.real_socket() == self.socket_path != self._paths.socket:
                    os.unlink(self._paths.socket)
                os.unlink(self.socket_path)
        # Or of the keeper that we took over from. A node of another kind has its own there.
        if read_process(pid := read_pid(self._paths.pid)) is None or pid == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self._paths.pid)
        short_dir = os.path.dirname(self.socket_path)
        if short_dir != self._paths.root:
            with contextlib.suppress(OSError):
                os.rmdir(short_dir)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _inode_of(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
