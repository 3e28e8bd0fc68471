"""A way to a node, and what follows from it: whether it may be started, whose files are shared.

Here are what all ways have in common and the one to this machine's node. Others are modules of
their own, imported when a name leads to them; rooms above bring more (commands/places.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from codewire.io.deadline import NEVER
from codewire.paths import data_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.io.deadline import Deadline
    from codewire.io.streams import FrameStream
    from codewire.network.peers import PeerWay
    from codewire.paths import DataDir

# A keeper that is itself being replaced is back within this time, or nobody will be.
PATIENCE = 3.0
PAUSE = 0.05
# A network may be away for longer than that, and is not to be knocked at that fast: the pause
# doubles up to the longest.
REMOTE_PATIENCE = 600.0
LONGEST_PAUSE = 5.0
# To be let in by a node on this machine.
CONNECT_SECONDS = 10.0


class Route:
    """A way to a node; as it stands, to one on another machine. Subclasses say what differs.

    `key` is the same for all ways to the same place: what a node is found to know is remembered by
    it. `str` names the node in errors.
    """

    __slots__ = ("key",)

    # How long a node that went away is looked for before it counts as gone.
    patience = REMOTE_PATIENCE
    # Whether open() may wait for a network: who must not wait calls it from a thread.
    may_block = True
    # Whether a command there runs where this process does, so that its environment fits.
    shares_environment = False
    # Whether start() can bring up a node that does not run.
    can_start = False
    # Where a launch starts whose caller named no directory and has none there ("": the node's say).
    start_directory = ""

    def __init__(self, key: str) -> None:
        self.key = key

    def open(self, deadline: Deadline = NEVER) -> FrameStream:
        """Return a new connection; the caller closes it. Blocks, until the deadline at most.

        Raises NodeUnreachable, and NodeRefused where trying again is of no use.
        """
        raise NotImplementedError

    def start(self, notify: Callable[[str], None]) -> None:
        """Return once the node answers; `notify` gets one line if it was started for that.

        Asked only where can_start, after open() failed. Raises NodeUnreachable.
        """
        raise NotImplementedError

    def pause(self, attempts: int) -> float:
        """Return the seconds to wait before another attempt, when so many have failed in a row."""
        # Some spread: the clients of a node that comes back do not all come at once.
        spread = 0.75 + time.monotonic() % 0.5
        return min(PAUSE * (1 << min(attempts, 10)), LONGEST_PAUSE) * spread

    def peer(self) -> PeerWay | None:
        """Return the way to what sessions there are told and asked, where that is another one.

        Then it takes a grant to read it, a delegation to write to it; None: the node's own word.
        """
        return None

    def warning(self) -> str:
        """Return what the user is to know before anything is sent, "" for nothing."""
        return ""

    def lost(self) -> str:
        """Return what to say when the node went away and is looked for, "" for nothing."""
        return f"connection to {self.key} lost; trying again"

    def path_there(self, path: str) -> str | None:
        """Return what an absolute path of this process is for the node's; None if not shared."""
        return None

    def node_id(self) -> str | None:
        """Return the id of the node whose sessions this process may run in, "" if not known.

        None where its sessions are elsewhere: what the environment says of sessions is not of it.
        """
        return None


class LocalRoute(Route):
    """The Unix socket in a data directory: a node of this user, started when none runs."""

    __slots__ = ("data_dir",)

    patience = PATIENCE
    may_block = False
    shares_environment = True
    can_start = True

    def __init__(self, directory: DataDir) -> None:
        super().__init__(directory.socket)
        self.data_dir = directory

    def __str__(self) -> str:
        return "the local node"

    def open(self, deadline: Deadline = NEVER) -> FrameStream:
        """See Route. Only a backlog full of clients that wait for a stuck worker makes it block."""
        from codewire.io.streams import FrameStream
        from codewire.io.unix import connect_unix

        left = deadline.within(CONNECT_SECONDS).left()
        return FrameStream(connect_unix(self.data_dir.real_socket(), left))

    def start(self, notify: Callable[[str], None]) -> None:
        from codewire.client.reach.autostart import ensure_node

        ensure_node(self.data_dir, notify)

    def pause(self, attempts: int) -> float:
        return PAUSE

    def lost(self) -> str:
        return ""

    def path_there(self, path: str) -> str | None:
        return path

    def node_id(self) -> str | None:
        return self.data_dir.read_node_id()


def local_route() -> LocalRoute:
    """Return the way to the node of this user's data directory."""
    return LocalRoute(data_dir())
