"""The worker's side of the keeper's protocol: typed calls, and a new keeper when the old one dies.

One greenlet or thread runs `run`, which starts another that writes; any may call the others.
Nobody waits for the keeper without a deadline. Descriptors that arrive are the caller's to close.
"""

from __future__ import annotations

import collections
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from codewire.errors import KeeperError
from codewire.io.transient import PAUSE_SECONDS
from codewire.io.wait import spawn_essential
from codewire.keeper import protocol
from codewire.keeper.workerside.channel import Channel
from codewire.keeper.workerside.orders import (
    Hello,
    Kept,
    SpawnFailed,
    SpawnOrder,
    hello_from,
    kept_from,
)
from codewire.keeper.workerside.succession import Succession, describe
from codewire.wire.exits import Exit, read_exit

__all__ = ["Custody", "Hello", "Kept", "SpawnFailed", "SpawnOrder"]

log = logging.getLogger(__name__)

# A keeper starts a process in milliseconds; one that was stopped or swapped out gets this long.
SPAWN_SECONDS = 30.0
# The last word of a worker must be out before it ends.
LAST_WORD_SECONDS = 5.0
# Orders to a keeper that reads nothing: beyond this, launches are refused.
MAX_WAITING = 1000


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
        on_exit: Callable[[int, Exit], None],
        on_stop: Callable[[], None],
        on_lost: Callable[[], list[Kept]],
        on_halted: Callable[[int, bool], None] = lambda session_id, halted: None,
        on_listener: Callable[[int], None] | None = None,
        grace_seconds: float | None = None,
    ) -> None:
        """`on_listener` gets the node's new listening socket when the old one's path was removed;
        without it the worker is replaced then. `grace_seconds` is what a stop must allow."""
        self._channel = Channel(sock)
        self._on_exit = on_exit
        self._on_stop = on_stop
        self._on_halted = on_halted
        self._on_listener = on_listener
        self._introduction: protocol.Message = {
            "features": [protocol.FEATURE_LISTENER] if on_listener else []
        }
        if grace_seconds is not None:
            self._introduction["grace_seconds"] = grace_seconds
        self._lock = threading.Lock()
        # Held by the writer while it sends, and by `run` to close a channel under nobody.
        self._sending = threading.Lock()
        # What the writer has still to send, the first perhaps in part.
        self._outbox: collections.deque[tuple[protocol.Message, list[int]]] = collections.deque()
        self._has_work = threading.Event()
        self._pending: dict[int, _Reply] = {}
        self._sequence = 0
        self._early: list[tuple[protocol.Message, list[int]]] = []
        self.kept: list[Kept] = []
        self.hello = self._receive_hello()
        self._succession = Succession(self.hello, on_lost)
        # False while there is no keeper: then this process must not end, or every session does.
        self.has_keeper = True

    def _receive_hello(self) -> Hello:
        """Introduce this worker and take over the node's state. Raises KeeperError."""
        self._channel.send({"op": "hello", "version": protocol.VERSION, **self._introduction})
        hello: Hello | None = None
        while True:
            message, fds = self._expect()
            op = message["op"]
            if op == "refuse":
                raise KeeperError(message["error"])
            if op == "hello":
                hello = hello_from(message, fds)
            elif hello is not None and op == "sessions":
                self.kept += kept_from(message, fds)
            elif hello is not None and op == "ready":
                break
            else:
                # Meant for whom we follow, or too soon: an older keeper does not wait for us.
                self._early.append((message, fds))
        self._settle_early_exits()
        return hello

    def _settle_early_exits(self) -> None:
        """Put ends that were told before their session was into its record."""
        kept = {entry.id: entry for entry in self.kept}
        for message, _ in self._early:
            entry = kept.get(message.get("id", 0))
            if message["op"] == "exit" and entry is not None:
                entry.exit = read_exit(message["exit"]) if entry.exit is None else entry.exit
        self._early = [item for item in self._early if item[0]["op"] != "exit"]

    def _expect(self) -> tuple[protocol.Message, list[int]]:
        item = self._channel.receive()
        if item is None:
            raise KeeperError("the keeper went away")
        return item

    def run(self) -> None:
        """Handle what the keeper says until this process ends; survive the keeper itself."""
        spawn_essential(self.while_kept, self._write_all)
        for item in self._early:
            self._handle(*item)
        while True:
            received = self._channel.receive()
            if received is not None:
                self._handle(*received)
            else:
                self._until_replaced()

    def while_kept(self, loop: Callable[..., object], *args: Any) -> None:
        """Run a loop; if it ends, not before there is a keeper: else all sessions would go, too."""
        try:
            loop(*args)
        finally:
            while not self.has_keeper:
                _pause()

    def _handle(self, message: protocol.Message, fds: list[int]) -> None:
        op = message["op"]
        if op == "exit":
            self._on_exit(message["id"], read_exit(message["exit"]))
        elif op == "halted":
            self._on_halted(message["id"], message["halted"])
        elif op == "stop":
            self._on_stop()
        elif op == "listener":
            self._take_listener(fds)
        elif "seq" in message:
            self._take_reply(message, fds)

    def _take_listener(self, fds: list[int]) -> None:
        if not fds or self._on_listener is None:
            # No room for it here; there is in a new worker.
            self.restart()
            return
        # A number may be under way to a keeper, so it stays.
        os.dup2(fds[0], self.hello.listener, inheritable=False)
        os.close(fds[0])
        self._on_listener(self.hello.listener)

    def _take_reply(self, message: protocol.Message, fds: list[int]) -> None:
        with self._lock:
            reply = self._pending.pop(message["seq"], None)
        if reply is None:
            # Nobody waits any more; the keeper has been told to end it.
            for fd in fds:
                os.close(fd)
            return
        reply.message, reply.fds = message, fds
        reply.arrived.set()

    def spawn(self, order: SpawnOrder) -> tuple[int, int]:
        """Start a session's process; return (pid, master). Raises SpawnFailed, KeeperError.

        Blocks SPAWN_SECONDS at most. After an error the process is not there, or ends.
        """
        reply = _Reply()
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
            if len(self._outbox) >= MAX_WAITING:
                raise KeeperError(f"the keeper ({self._keeper()}) takes no orders; try again later")
            self._pending[sequence] = reply
            self._outbox.append((order.message(sequence), []))
        self._has_work.set()
        if not reply.arrived.wait(SPAWN_SECONDS):
            self._give_up(sequence, order, reply)
        message = reply.message
        if message is None:
            raise KeeperError("the keeper was replaced while it started the session; try again")
        if message["op"] == "failed":
            raise SpawnFailed(message["errno"], message["error"])
        if not reply.fds:
            self._tell({"op": "abandon", "seq": sequence, "id": order.id})
            raise KeeperError("too many open files in the node: the session was ended again")
        return message["pid"], reply.fds[0]

    def _give_up(self, sequence: int, order: SpawnOrder, reply: _Reply) -> None:
        """Stop waiting for a spawn, unless its answer came just now. Raises KeeperError."""
        with self._lock:
            if self._pending.pop(sequence, None) is None:
                return
            unsent = [item for item in self._outbox if item[0].get("seq") == sequence]
            if unsent and unsent[0] is not self._outbox[0]:
                self._outbox.remove(unsent[0])
                words = "the session was not started"
            else:
                self._outbox.append(({"op": "abandon", "seq": sequence, "id": order.id}, []))
                words = "if it starts the session after all, it ends it at once"
        self._has_work.set()
        raise KeeperError(
            f"the keeper ({self._keeper()}) has not answered for {SPAWN_SECONDS:.0f}s; {words}"
        )

    def _keeper(self) -> str:
        return describe(self.hello.keeper_pid) if self.has_keeper else "gone, a new one is starting"

    # Orders that nobody answers

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
        self._tell({"op": "keep", "name": name}, [fd])

    def ready(self) -> None:
        """Tell the keeper that clients are served."""
        self._tell({"op": "ready"})

    def restart(self) -> None:
        """Ask to be replaced: this process is killed soon after."""
        self._tell({"op": "restart"})

    def stopped(self) -> None:
        """Tell the keeper that every session has ended: it ends the node. Blocks until it is out,
        LAST_WORD_SECONDS at most."""
        self._tell({"op": "stopped"})
        deadline = time.monotonic() + LAST_WORD_SECONDS
        while self._outbox and time.monotonic() < deadline:
            time.sleep(0.005)

    def _tell(self, message: protocol.Message, fds: list[int] | None = None) -> None:
        with self._lock:
            self._outbox.append((message, fds or []))
        self._has_work.set()

    # The writer

    def _write_all(self) -> None:
        while True:
            self._has_work.wait()
            self._has_work.clear()
            while self._outbox:
                with self._sending:
                    if not self._write_one():
                        break

    def _write_one(self) -> bool:
        """Send the oldest message; False when there is no keeper: `run` finds another."""
        with self._lock:
            if not self._outbox:
                return True
            message, fds = self._outbox[0]
        try:
            self._channel.send(message, fds)
        except KeeperError:
            return False
        except MemoryError:
            time.sleep(PAUSE_SECONDS)
            return True
        except (TypeError, ValueError):
            log.exception("an order to the keeper cannot be written: %s", message["op"])
        with self._lock:
            # `run` may have taken it out: a spawn whose keeper is gone.
            if self._outbox and self._outbox[0][0] is message:
                self._outbox.popleft()
        return True

    # Another keeper

    def _until_replaced(self) -> None:
        """Replace the keeper, whatever goes wrong: nobody else can."""
        self.has_keeper = False
        while not self.has_keeper:
            try:
                self._replace_keeper()
            except Exception as error:  # noqa: BLE001 - ending now would end every session
                _pause()
                log.error("replacing the keeper failed: %s; trying on", error or "no memory")

    def _replace_keeper(self) -> None:
        """Start a new keeper and hand it everything the old one held. Blocks until that is done.

        What was still to be said to the old one is said to the new one, but not what its waiters
        have been told is lost.
        """
        self._channel.shut_down()
        self._tell_waiters()
        channel = self._succession.next_keeper(self._introduction)
        with self._sending:
            old, self._channel = self._channel, channel
            old.close()
        self.has_keeper = True
        self._has_work.set()

    def _tell_waiters(self) -> None:
        """Tell those who wait for a spawn that its answer does not come, and order none again."""
        with self._lock:
            lost, self._pending = self._pending, {}
            for item in [i for i in self._outbox if i[0].get("seq") in lost]:
                self._outbox.remove(item)
        for reply in lost.values():
            reply.arrived.set()


def _pause() -> None:
    try:
        time.sleep(PAUSE_SECONDS)
    except MemoryError:
        # gevent's timer needs some.
        pass
