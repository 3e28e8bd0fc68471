"""The keeper's records of sessions' processes, and what a worker may ask to be done with one."""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Callable
from typing import Any

from codewire.io.fds import FileLimit
from codewire.io.mounts import NearPaths
from codewire.io.processes import Process, signal_process
from codewire.keeper import protocol
from codewire.keeper.place.scout import is_far
from codewire.keeper.processes.children import (
    UNKNOWN_EXIT,
    Child,
    members_of,
    spawn_child,
)
from codewire.keeper.processes.orphans import Orphans

LOOK_SECONDS = 0.01


class Roster:
    """Every session's process, until the worker has its end on disk."""

    def __init__(self, poller: select.poll, limit: FileLimit) -> None:
        self.limit = limit
        self.children: dict[int, Child] = {}
        # Our own children; those of a keeper that died are `orphans`.
        self.by_pid: dict[int, Child] = {}
        self.orphans = Orphans(poller)
        self._near = NearPaths()

    def spawn(self, order: protocol.Message) -> tuple[protocol.Message, list[int]]:
        """Start a session's process; return the answer for the worker, with its descriptors."""
        answer = {"seq": order["seq"], "id": order["id"]}
        try:
            far = is_far(order["path"], order["cwd"], self._near)
            if far is None:
                raise OSError("its program or directory does not answer")
            child = spawn_child(order, self.limit, far)
        except (OSError, ValueError, MemoryError) as error:
            number = getattr(error, "errno", None) or 0
            return {"op": "failed", "errno": number, "error": str(error), **answer}, []
        child.sequence = order["seq"]
        earlier = self.children.get(child.id)
        if earlier is not None:
            # Whoever gives a number away again has given up who had it.
            self._disown(earlier)
        self.children[child.id] = child
        self.by_pid[child.pid] = child
        return {"op": "spawned", "pid": child.pid, **answer}, [child.master]

    def abandon(self, message: protocol.Message) -> None:
        """End a process whose launch was given up: nobody knows of it."""
        child = self.children.get(message["id"])
        if child is not None and child.sequence == message["seq"]:
            self._disown(child)

    def _disown(self, child: Child) -> None:
        if child.exit is None:
            _signal([child], signal.SIGKILL)
        self._remove(child)

    def _remove(self, child: Child) -> None:
        del self.children[child.id]
        self.orphans.drop(child)
        child.close()

    def care(self, op: str, message: protocol.Message) -> None:
        """Do what a worker orders for one session; nothing if there is no such session."""
        child = self.children.get(message.get("id", 0))
        if child is None:
            return
        if op == "signal":
            child.signal_group(message["signal"])
        elif op == "note":
            child.meta = message["meta"]
        elif op == "release":
            child.close_master()
        elif op == "forget":
            self._remove(child)

    def adopt(self, records: list[dict[str, Any]], fds: list[int]) -> None:
        """Take records over from a keeper that died."""
        for record in records:
            master = fds.pop(0) if record["master"] else -1
            child = Child(record["id"], record["pid"], master, record["meta"])
            child.exit = record["exit"]
            # No child of ours: wait(2) tells nothing of it.
            child.halted = None
            self.children[child.id] = child
            if child.exit is None:
                self.orphans.add(child)

    def owns(self, child: Child) -> bool:
        """Say whether the record still stands for its session."""
        return self.children.get(child.id) is child

    def alive(self) -> list[Child]:
        """Return those that have not ended."""
        return [child for child in self.children.values() if child.exit is None]

    def signal_all(self, number: int) -> None:
        """Signal every process of every session that has not ended."""
        _signal(self.alive(), number)

    def kill_all(self, seconds: float, reap: Callable[[], None]) -> list[Child]:
        """SIGKILL everything and wait for it to be gone; return what is not, after so long."""
        deadline = time.monotonic() + seconds
        everybody = self.alive()
        while _signal(everybody, signal.SIGKILL) or self.alive():
            if time.monotonic() > deadline:
                break
            time.sleep(LOOK_SECONDS)
            reap()
            for child in self.alive():
                if child.pid not in self.by_pid and child.is_gone():
                    child.exit = UNKNOWN_EXIT
        return [child for child in everybody if child.exit is None]


def _signal(children: list[Child], number: int) -> list[Process]:
    """Signal the processes of these sessions, also of such that ended; return who got it."""
    found = members_of(children)
    for process in found:
        signal_process(process, number)
    for child in children:
        child.signal_group(number)
    return found
