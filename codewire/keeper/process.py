"""The keeper process: owns session children and everything a killed worker must not take along.

One thread, the standard library, no client ever talks to it. It holds the listening socket, the
lock, the drain pipe and a duplicate of every PTY master; it starts and restarts the worker.
`cw node` becomes this process, so it may be PID 1: it reaps whatever is orphaned to it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from codewire.errors import CodewireError, KeeperError, NodeRunning
from codewire.io.fds import FileLimit, lock_file, raise_file_limit
from codewire.io.unix import listen_unix
from codewire.keeper import protocol
from codewire.keeper.children import (
    UNKNOWN_EXIT,
    Child,
    await_end,
    exit_of,
    spawn_child,
)
from codewire.keeper.link import Link
from codewire.keeper.pidfile import read_pid, say, write_pid
from codewire.paths import DataDir, data_dir, worker_command

# A worker that lived this long is no crash loop: start the next one at once.
STEADY_SECONDS = 5.0
# Quick deaths tolerated before the pause doubles from 50 ms up to a maximum: long for workers
# that never got as far as serving clients, short for those that did.
FREE_RESTARTS = 5
MAX_PAUSE_UNREADY = 5.0
MAX_PAUSE_READY = 0.5
# The worker's own ladder takes the grace time (5 s unless set) twice at most.
STOP_SECONDS = 30.0


class Keeper:
    """State and loop of the keeper."""

    def __init__(self, paths: DataDir, detached: bool) -> None:
        self._paths = paths
        self._detached = detached
        self._limit = FileLimit(*raise_file_limit())
        self._children: dict[int, Child] = {}
        self._by_pid: dict[int, Child] = {}
        self._shared: list[int] = []
        self._kept: dict[str, int] = {}
        self._socket_path = paths.socket
        self._started_ns = time.time_ns()
        self._restarts = 0
        self._worker_pid = 0
        self._worker_started = 0.0
        self._worker_ready = False
        self._quick_deaths = 0
        self._start_worker_at: float | None = None
        self._link: Link | None = None
        self._stop_deadline: float | None = None
        self._poller = select.poll()
        self._wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._poller.register(self._wake_read, select.POLLIN)

    def open(self) -> None:
        """Take the data directory: lock, socket, pid file, drain pipe. Raises CodewireError."""
        root = self._paths.root
        os.makedirs(root, mode=0o700, exist_ok=True)
        os.chmod(root, 0o700)
        lock = lock_file(self._paths.lock)
        if lock is None:
            raise NodeRunning(read_pid(self._paths.pid))
        # Before the socket is there to promise a node: it fails when the disk is full.
        write_pid(self._paths.pid)
        try:
            listener, self._socket_path = listen_unix(self._paths)
        except (CodewireError, OSError):
            os.unlink(self._paths.pid)
            raise
        read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        note = os.memfd_create("codewire-drain", os.MFD_CLOEXEC)
        os.ftruncate(note, 16)
        self._shared = [listener.detach(), lock, read_end, write_end, note]

    def run(self) -> int:
        """Serve until stopped; return the exit status."""
        if self._link is None:
            self._start_worker()
        while True:
            self._poll(self._timeout())
            self._reap()
            now = time.monotonic()
            if self._start_worker_at is not None and now >= self._start_worker_at:
                self._start_worker()
            if self._stop_deadline is not None and self._may_stop(now):
                return self._finish()

    def _timeout(self) -> float | None:
        moments = [m for m in (self._start_worker_at, self._stop_deadline) if m is not None]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _poll(self, timeout: float | None) -> None:
        events = self._poller.poll(None if timeout is None else timeout * 1000 + 1)
        link = self._link
        for fd, ready in events:
            if fd == self._wake_read:
                self._read_signals()
            elif link is not None and link is self._link and fd == link.fileno():
                self._serve_link(link, ready)
            else:
                self._on_adopted_exit(fd)

    @staticmethod
    def _on_signal(number: int, frame: object) -> None:
        """Do nothing here: the wakeup descriptor carries the number to the loop."""

    def _read_signals(self) -> None:
        for number in os.read(self._wake_read, 4096):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._begin_stop()
            elif number == signal.SIGHUP:
                self._replace_worker()

    # Worker

    def _start_worker(self) -> None:
        self._start_worker_at = None
        ours, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        command = [*worker_command(), str(theirs.fileno())]
        self._worker_pid = os.posix_spawn(
            command[0], command, os.environ, setsid=True, setsigdef=[signal.SIGHUP, signal.SIGPIPE]
        )
        theirs.close()
        self._worker_started = time.monotonic()
        self._worker_ready = False
        self.use_link(ours)

    def use_link(self, sock: socket.socket) -> None:
        """Talk to the worker at the other end of `sock`."""
        self._link = Link(sock, self._poller)

    def _serve_link(self, link: Link, ready: int) -> None:
        try:
            if ready & select.POLLOUT:
                link.flush()
            alive = not ready & ~select.POLLOUT or link.receive()
            for message, fds in link.messages():
                self._obey(link, message, fds)
        except (OSError, ValueError, KeyError, TypeError, KeeperError) as error:
            say("ERROR", f"worker link failed: {error!r}")
            alive = False
        if not alive and self._link is link:
            self._lose_worker()

    def _lose_worker(self) -> None:
        """The link is gone: make sure the worker is too, then schedule the next one."""
        assert self._link is not None
        self._link.close()
        self._link = None
        try:
            os.kill(self._worker_pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._restarts += 1
        lived = time.monotonic() - self._worker_started
        self._quick_deaths = self._quick_deaths + 1 if lived < STEADY_SECONDS else 0
        pause = 0.0
        if self._quick_deaths > FREE_RESTARTS:
            longest = MAX_PAUSE_READY if self._worker_ready else MAX_PAUSE_UNREADY
            pause = min(longest, 0.05 * 2 ** min(16, self._quick_deaths - FREE_RESTARTS))
        if self._stop_deadline is None:
            say("WARN", f"worker ended pid={self._worker_pid} restart_in={pause:.2f}s")
            self._start_worker_at = time.monotonic() + pause
        elif self._stop_deadline > time.monotonic():
            self._stop_without_worker()

    def _replace_worker(self) -> None:
        """End the worker (SIGHUP, `cw node restart`); losing its link starts the next one."""
        self._quick_deaths = 0
        if self._link is not None and self._worker_pid:
            os.kill(self._worker_pid, signal.SIGKILL)
        elif self._start_worker_at is not None:
            self._start_worker_at = time.monotonic()

    def _obey(self, link: Link, message: protocol.Message, fds: list[int]) -> None:
        op = message["op"]
        child = self._children.get(message.get("id", 0))
        if op == "hello":
            self._greet(link, message)
        elif op == "spawn":
            self._spawn(link, message)
        elif op == "ready":
            self._worker_ready = True
        elif op == "keep":
            if message["name"] in self._kept:
                os.close(self._kept[message["name"]])
            self._kept[message["name"]] = fds[0]
        elif op == "restart":
            self._replace_worker()
        elif op == "stopped":
            self._stop_deadline = 0.0
        elif op == "adopt":
            self._adopt(message, fds)
        elif op == "sessions":
            self._adopt_sessions(message["sessions"], fds)
        elif child is not None:
            self._care(op, child, message)

    def _care(self, op: str, child: Child, message: protocol.Message) -> None:
        if op == "signal":
            child.signal_group(message["signal"])
        elif op == "note":
            child.meta = message["meta"]
        elif op == "release":
            child.close_master()
        elif op == "forget":
            child.close()
            del self._children[child.id]

    def _greet(self, link: Link, message: protocol.Message) -> None:
        try:
            protocol.check_version(message.get("version"))
        except KeeperError as error:
            link.send({"op": "refuse", "error": str(error)})
            return
        link.send(self._hello(), [*self._shared, *self._kept.values()])
        link.send_sessions(list(self._children.values()))
        link.send({"op": "ready"})
        if self._stop_deadline is not None:
            link.send({"op": "stop"})

    def _hello(self) -> protocol.Message:
        return {
            "op": "hello",
            "version": protocol.VERSION,
            "keeper_pid": os.getpid(),
            "started_ns": self._started_ns,
            "restarts": self._restarts,
            "socket": self._socket_path,
            "detached": self._detached,
            "file_limit": self._limit.limits,
            "kept": list(self._kept),
        }

    # Sessions

    def _spawn(self, link: Link, order: protocol.Message) -> None:
        answer = {"seq": order["seq"], "id": order["id"]}
        try:
            child = spawn_child(order, self._limit)
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", None) or 0
            link.send({"op": "failed", "errno": number, "error": str(error), **answer})
            return
        self._children[child.id] = child
        self._by_pid[child.pid] = child
        link.send({"op": "spawned", "pid": child.pid, **answer}, [child.master])

    def _reap(self) -> None:
        """Collect every dead child: sessions, workers, and orphans when we are PID 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._by_pid.pop(pid, None)
            if child is not None:
                self._record_exit(child, exit_of(status))

    def _record_exit(self, child: Child, how: dict[str, Any]) -> None:
        child.exit = how
        if self._link is not None:
            self._link.send({"op": "exit", "id": child.id, "exit": how})

    # Taking over from a keeper that died

    def _adopt(self, message: protocol.Message, fds: list[int]) -> None:
        protocol.check_version(message.get("version"))
        count = protocol.HELLO_FDS
        self._shared, kept = fds[:count], fds[count:]
        self._kept = dict(zip(message["kept"], kept, strict=True))
        self._started_ns = message["started_ns"]
        self._restarts = message["restarts"]
        self._socket_path = message["socket"]
        self._detached = message["detached"]
        # Ours is what the first keeper had raised it to.
        self._limit = FileLimit(*message["file_limit"])
        self._worker_pid = message["worker_pid"]
        self._worker_started = time.monotonic()
        self._worker_ready = True
        write_pid(self._paths.pid)
        say("WARN", f"keeper replaced pid={os.getpid()} worker_pid={self._worker_pid}")

    def _adopt_sessions(self, records: list[dict[str, Any]], fds: list[int]) -> None:
        for record in records:
            master = fds.pop(0) if record["master"] else -1
            child = Child(record["id"], record["pid"], master, record["meta"])
            child.exit = record["exit"]
            self._children[child.id] = child
            if child.exit is None:
                self._watch_orphan(child)

    def _watch_orphan(self, child: Child) -> None:
        """Learn of the end of a process that is not our child; its exit code is unknowable."""
        try:
            child.pidfd = os.pidfd_open(child.pid)
        except OSError:
            self._record_exit(child, UNKNOWN_EXIT)
            return
        self._poller.register(child.pidfd, select.POLLIN)

    def _on_adopted_exit(self, fd: int) -> None:
        for child in self._children.values():
            if child.pidfd == fd:
                self._poller.unregister(fd)
                os.close(fd)
                child.pidfd = -1
                self._record_exit(child, UNKNOWN_EXIT)
                return

    # Stopping

    def _begin_stop(self) -> None:
        if self._stop_deadline is not None:
            self._stop_deadline = 0.0
            return
        sys.stderr.write("[cw] shutting down...\n")
        self._stop_deadline = time.monotonic() + STOP_SECONDS
        if self._link is not None:
            self._link.send({"op": "stop"})
        else:
            self._stop_without_worker()

    def _stop_without_worker(self) -> None:
        """Leave it to the next worker, who writes it down too; unless workers do not even start."""
        if self._worker_ready:
            self._start_worker_at = time.monotonic()
            return
        # Nobody to climb the ladder: one polite signal, then the end.
        self._start_worker_at = None
        self._stop_deadline = time.monotonic() + 2.0
        self._signal_all(signal.SIGTERM)
        self._signal_all(signal.SIGHUP)

    def _may_stop(self, now: float) -> bool:
        assert self._stop_deadline is not None
        is_alone = self._link is None and self._start_worker_at is None
        idle = is_alone and all(child.exit for child in self._children.values())
        return idle or now >= self._stop_deadline

    def _signal_all(self, number: int) -> None:
        for child in self._children.values():
            child.signal_group(number)

    def _finish(self) -> int:
        self._signal_all(signal.SIGKILL)
        if self._link is not None:
            self._link.wait_closed(2.0)
            self._lose_worker()
            await_end(self._worker_pid, 2.0)
        self._remove_own_files()
        return 0

    def _remove_own_files(self) -> None:
        """Remove socket and pid file, unless another node's stand there by now."""
        if read_pid(self._paths.pid) != os.getpid():
            return
        for path in {self._paths.socket, self._socket_path, self._paths.pid}:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        short_dir = os.path.dirname(self._socket_path)
        if short_dir != self._paths.root:
            with contextlib.suppress(OSError):
                os.rmdir(short_dir)


def main(argv: list[str]) -> int:
    """Run the keeper: `--foreground` or `--detached` as a new node, `--adopt FD` as a successor."""
    os.chdir("/")
    detached = argv[:1] != ["--foreground"]
    keeper = Keeper(data_dir(), detached)
    try:
        if argv[:1] == ["--adopt"]:
            keeper.use_link(socket.socket(fileno=int(argv[1])))
        else:
            keeper.open()
    except CodewireError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"Error: starting the node: {where}{error.strerror or error}\n")
        return 1
    return keeper.run()
