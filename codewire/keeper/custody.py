"""The worker's side of the keeper's protocol: typed calls, and a new keeper when the old one dies.

One greenlet or thread runs `run`; any may call the others. Descriptors that arrive are the
caller's to close.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codewire.errors import KeeperError
from codewire.io.unix import receive_with_fds, send_with_fds
from codewire.io.wait import wait_writable
from codewire.keeper import protocol
from codewire.paths import program


@dataclass(slots=True)
class Kept:
    """A session's process as the keeper has it. `master` is ours, -1 once released.

    `halted` says whether a signal has stopped it; None where the keeper does not know.
    """

    id: int
    pid: int
    meta: Any
    exit: dict[str, Any] | None
    master: int
    halted: bool | None = None


@dataclass(slots=True)
class Hello:
    """What the keeper hands a new worker. `listeners` are the sockets given to `keep`, by name."""

    keeper_pid: int
    started_ns: int
    restarts: int
    socket_path: str
    detached: bool
    file_limit: list[int]
    listeners: dict[str, int]
    listener: int
    lock: int
    pipe_read: int
    pipe_write: int
    note: int


@dataclass(slots=True)
class SpawnOrder:
    """What to start: `path` is the program, `env` complete, `meta` comes back after a crash."""

    id: int
    path: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    rows: int
    cols: int
    meta: Any


class SpawnFailed(KeeperError):
    """The process could not be started; `number` is its errno (0: see the text)."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(os.strerror(number).lower() if number else text)
        self.number = number


class _Reply:
    __slots__ = ("arrived", "fds", "message")

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.message: protocol.Message | None = None
        self.fds: list[int] = []


class Custody:
    """The link to the keeper. The callbacks run in `run`'s greenlet and must not block long."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_exit: Callable[[int, dict[str, Any]], None],
        on_stop: Callable[[], None],
        on_lost: Callable[[], list[Kept]],
        on_halted: Callable[[int, bool], None] = lambda session_id, halted: None,
    ) -> None:
        self._sock = sock
        self._on_exit = on_exit
        self._on_stop = on_stop
        self._on_lost = on_lost
        self._on_halted = on_halted
        self._reader = protocol.MessageReader()
        # Held across the send: a message's bytes may not interleave, and the keeper always reads.
        self._send_lock = threading.Lock()
        self._pending: dict[int, _Reply] = {}
        self._sequence = 0
        self._successor_pid = 0
        self.kept: list[Kept] = []
        self.hello = self._receive_hello()

    def _receive_hello(self) -> Hello:
        """Introduce this worker and take over the node's state. Raises KeeperError."""
        self._send({"op": "hello", "version": protocol.VERSION})
        message, fds = self._expect()
        if message["op"] == "refuse":
            raise KeeperError(message["error"])
        protocol.check_version(message.get("version"))
        hello = Hello(
            message["keeper_pid"],
            message["started_ns"],
            message["restarts"],
            message["socket"],
            message["detached"],
            message["file_limit"],
            dict(zip(message["kept"], fds[protocol.HELLO_FDS :], strict=True)),
            *fds[: protocol.HELLO_FDS],
        )
        while True:
            message, fds = self._expect()
            if message["op"] == "ready":
                return hello
            for record in message["sessions"]:
                master = fds.pop(0) if record["master"] else -1
                halted = record.get("halted")
                self.kept.append(
                    Kept(
                        record["id"], record["pid"], record["meta"], record["exit"], master, halted
                    )
                )

    def _expect(self) -> tuple[protocol.Message, list[int]]:
        while True:
            item = self._reader.next_message()
            if item is not None:
                return item
            if not self._fill():
                raise KeeperError("the keeper went away")

    def _fill(self) -> bool:
        try:
            data, fds = receive_with_fds(self._sock, 1 << 16)
        except OSError:
            return False
        self._reader.feed(data, fds)
        return bool(data)

    def run(self) -> None:
        """Handle what the keeper says until it says stop; survive the keeper itself."""
        while True:
            item = self._reader.next_message()
            if item is not None:
                self._handle(*item)
            elif not self._fill():
                self._replace_keeper()

    def _handle(self, message: protocol.Message, fds: list[int]) -> None:
        op = message["op"]
        if op == "exit":
            self._on_exit(message["id"], message["exit"])
        elif op == "halted":
            self._on_halted(message["id"], message["halted"])
        elif op == "stop":
            self._on_stop()
        elif "seq" in message:
            reply = self._pending.pop(message["seq"], None)
            if reply is None:
                for fd in fds:
                    os.close(fd)
                return
            reply.message, reply.fds = message, fds
            reply.arrived.set()

    def spawn(self, order: SpawnOrder) -> tuple[int, int]:
        """Start a session's process; return (pid, master). Raises SpawnFailed, KeeperError."""
        reply = _Reply()
        self._sequence += 1
        sequence = self._sequence
        try:
            self._order(
                reply,
                {
                    "op": "spawn",
                    "seq": sequence,
                    "id": order.id,
                    "path": order.path,
                    "argv": order.argv,
                    "env": order.env,
                    "cwd": order.cwd,
                    "rows": order.rows,
                    "cols": order.cols,
                    "meta": order.meta,
                },
            )
            reply.arrived.wait()
        finally:
            self._pending.pop(sequence, None)
        message = reply.message
        if message is None:
            raise KeeperError("the keeper was replaced while it started the session; try again")
        if message["op"] == "failed":
            raise SpawnFailed(message["errno"], message["error"])
        return message["pid"], reply.fds[0]

    def _order(self, reply: _Reply, message: protocol.Message) -> None:
        """Send what will be answered; under the lock, so that it is sure which keeper got it."""
        with self._send_lock:
            self._pending[message["seq"]] = reply
            self._send_locked(message)

    def signal(self, session_id: int, number: int) -> None:
        """Signal the session's process group, unless its leader has been reaped."""
        self._tell({"op": "signal", "id": session_id, "signal": number})

    def note(self, session_id: int, meta: Any) -> None:
        """Replace what the keeper gives the next worker about this session."""
        self._tell({"op": "note", "id": session_id, "meta": meta})

    def release(self, session_id: int) -> None:
        """Let the keeper close its duplicate of the master."""
        self._tell({"op": "release", "id": session_id})

    def forget(self, session_id: int) -> None:
        """Let the keeper drop the record: the exit is on disk."""
        self._tell({"op": "forget", "id": session_id})

    def keep(self, name: str, fd: int) -> None:
        """Have the keeper hold a listening socket, so that it outlives this worker."""
        self.hello.listeners[name] = fd
        with contextlib.suppress(OSError):
            self._send({"op": "keep", "name": name}, [fd])

    def ready(self) -> None:
        """Tell the keeper that clients are served."""
        self._tell({"op": "ready"})

    def restart(self) -> None:
        """Ask to be replaced: this process is killed soon after."""
        self._tell({"op": "restart"})

    def stopped(self) -> None:
        """Tell the keeper that every session has ended: it ends the node."""
        self._tell({"op": "stopped"})

    def _tell(self, message: protocol.Message) -> None:
        # Without a keeper `run` notices, and tells its successor everything.
        with contextlib.suppress(OSError):
            self._send(message)

    def _send(self, message: protocol.Message, fds: list[int] | None = None) -> None:
        with self._send_lock:
            self._send_locked(message, fds)

    def _send_locked(self, message: protocol.Message, fds: list[int] | None = None) -> None:
        if fds:
            message = {**message, "fds": len(fds)}
        data = protocol.encode(message)
        sent = self._send_some(data, fds or [])
        while sent < len(data):
            sent += self._send_some(data[sent:], [])

    def _send_some(self, data: bytes, fds: list[int]) -> int:
        while True:
            try:
                return send_with_fds(self._sock, data, fds)
            except BlockingIOError:
                wait_writable(self._sock.fileno())

    def _replace_keeper(self) -> None:
        """Start a new keeper and hand it everything the old one held."""
        if self._successor_pid:
            os.waitpid(self._successor_pid, 0)
        ours, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        command = [*program(), "keeper", "--adopt", str(theirs.fileno())]
        self._successor_pid = os.posix_spawn(command[0], command, os.environ, setsid=True)
        theirs.close()
        self._reader = protocol.MessageReader()
        # Nothing else may reach the new keeper before it has been told everything.
        with self._send_lock:
            old, self._sock = self._sock, ours
            old.close()
            lost, self._pending = self._pending, {}
            self._hand_over()
        for reply in lost.values():
            reply.arrived.set()

    def _hand_over(self) -> None:
        hello = self.hello
        hello.keeper_pid = self._successor_pid
        shared = [hello.listener, hello.lock, hello.pipe_read, hello.pipe_write, hello.note]
        self._send_locked(
            {
                "op": "adopt",
                "version": protocol.VERSION,
                "started_ns": hello.started_ns,
                "restarts": hello.restarts,
                "socket": hello.socket_path,
                "detached": hello.detached,
                "file_limit": hello.file_limit,
                "worker_pid": os.getpid(),
                "kept": list(hello.listeners),
            },
            [*shared, *hello.listeners.values()],
        )
        self._send_kept(self._on_lost())

    def _send_kept(self, kept: list[Kept]) -> None:
        for start in range(0, len(kept), protocol.BATCH):
            batch = kept[start : start + protocol.BATCH]
            records = [
                {"id": k.id, "pid": k.pid, "meta": k.meta, "exit": k.exit, "master": k.master >= 0}
                for k in batch
            ]
            masters = [k.master for k in batch if k.master >= 0]
            self._send_locked({"op": "sessions", "sessions": records}, masters)
