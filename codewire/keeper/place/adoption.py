"""Taking over from a keeper that died: its worker hands over everything, piece by piece.

Until all of it has come nothing is touched, the worker least of all: if something is missing, this
keeper goes, and the worker starts another.
"""

from __future__ import annotations

import time

from codewire.errors import KeeperError
from codewire.keeper import protocol
from codewire.keeper.processes.roster import Roster

# A worker hands over within this.
ADOPT_SECONDS = 30.0


class Adoption:
    """What has come so far. `message` is the worker's `adopt`, {} until it is there."""

    def __init__(self) -> None:
        self.until = time.monotonic() + ADOPT_SECONDS
        self.message: protocol.Message = {}
        self.shared: list[int] = []
        self.kept: dict[str, int] = {}
        self._awaited = 0

    def begin(self, message: protocol.Message, fds: list[int]) -> None:
        """Take the node's descriptors. Raises KeeperError."""
        protocol.check_version(message.get("version"))
        if not protocol.is_whole(message, fds):
            raise KeeperError("no room for the descriptors of the node")
        self.shared, kept = fds[: protocol.HELLO_FDS], fds[protocol.HELLO_FDS :]
        self.kept = dict(zip(message["kept"], kept, strict=True))
        # An older worker does not say how many records follow: what it says now is all we wait for.
        self._awaited = int(message.get("count", 0))
        self.message = message

    def add(self, roster: Roster, message: protocol.Message, fds: list[int]) -> None:
        """Take sessions. Raises KeeperError."""
        if not protocol.is_whole(message, fds):
            raise KeeperError("no room for the terminals of the sessions")
        self._awaited -= len(message["sessions"])
        roster.adopt(message["sessions"], fds)

    def is_complete(self) -> bool:
        """Say whether everything has come."""
        return bool(self.message) and self._awaited <= 0
