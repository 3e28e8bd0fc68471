"""What a keeper holds so that it outlives every worker, and hands to each at its hello."""

from __future__ import annotations

import os
import time

from codewire.io.pipes import open_memory, open_pipe
from codewire.keeper import protocol
from codewire.keeper.place.adoption import Adoption
from codewire.keeper.place.premises import Premises

CLAIM_NAME = f"{protocol.OWN_PREFIX}claim"


class Holdings:
    """Descriptors by number; a number stays for life, also where what it stands for changes.

    It may be under way to a worker, and must not come to mean something else.
    """

    def __init__(self, detached: bool) -> None:
        self.is_detached = detached
        self.started_ns = time.time_ns()
        # In the order of protocol.HELLO_FDS.
        self.shared: list[int] = []
        self.kept: dict[str, int] = {}

    def open(self, premises: Premises) -> None:
        """Make what a new node needs. Raises OSError."""
        read_end, write_end = open_pipe()
        note = open_memory("codewire-drain", 16)
        self.shared = [premises.listener, premises.lock, read_end, write_end, note]
        if premises.claim >= 0:
            self.kept[CLAIM_NAME] = premises.claim

    def adopt(self, adoption: Adoption) -> None:
        """Take over what another keeper held."""
        self.shared, self.kept = adoption.shared, adoption.kept
        self.started_ns = adoption.message["started_ns"]
        self.is_detached = adoption.message["detached"]

    def claim(self) -> int:
        """Return the lock outside the data directory, -1 when there is none."""
        return self.kept.get(CLAIM_NAME, -1)

    def keep(self, name: str, fds: list[int]) -> None:
        """Hold a listener; without the descriptor (no room for it) the next worker makes one."""
        if not fds:
            return
        if name in self.kept:
            os.dup2(fds[0], self.kept[name], inheritable=False)
            os.close(fds[0])
        else:
            self.kept[name] = fds[0]

    def fds(self) -> list[int]:
        """Return everything that goes with a hello."""
        return [*self.shared, *self.kept.values()]

    def doors(self) -> dict[int, bool]:
        """Return the listeners that clients come to, and whether they speak HTTP there."""
        kept = [fd for name, fd in self.kept.items() if not name.startswith(protocol.OWN_PREFIX)]
        return {self.shared[0]: False, **dict.fromkeys(kept, True)}

    def hello(self, restarts: int, socket_path: str, limits: tuple[int, int]) -> protocol.Message:
        """Return the answer to a worker's hello, which `fds` goes with."""
        return {
            "op": "hello",
            "version": protocol.VERSION,
            "keeper_pid": os.getpid(),
            "started_ns": self.started_ns,
            "restarts": restarts,
            "socket": socket_path,
            "detached": self.is_detached,
            "file_limit": limits,
            "kept": list(self.kept),
        }
