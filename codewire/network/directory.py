"""The nodes of the selected network by name, as a command line needs them: remembered for a minute.

A word that a user typed may be a node's name; to find out must cost next to nothing, and the answer
must not depend on who else is in the network.
"""

from __future__ import annotations

import json
import os
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.errors import RelayError
from codewire.files import read_regular

if TYPE_CHECKING:
    from codewire.network.configuration import Configuration

FRESH_SECONDS = 60.0
# A relay that was not there is not asked again at once: each command would wait for it.
AWAY_SECONDS = 10.0
# What a word that may be a node's name is worth, and what a name that must be one.
WORD_SECONDS = 1.0
NAME_SECONDS = 10.0
MAX_BYTES = 4 << 20
FILE = "relay_nodes.json"


class Known(NamedTuple):
    """What is remembered: when (UTC seconds) it was asked, each node's name and whether it is the
    user's own; `problem` is why the last asking failed."""

    at: float = 0.0
    nodes: dict[str, bool] = {}
    problem: str = ""

    def is_fresh(self, now: float) -> bool:
        """Say whether to believe it without asking."""
        return 0 <= now - self.at < (AWAY_SECONDS if self.problem else FRESH_SECONDS)


class Directory:
    """The nodes of one network, to one user. `root` is the data directory."""

    def __init__(self, root: str, relay: Configuration) -> None:
        self._path = os.path.join(root, FILE)
        self._relay = relay
        # Another user's list is another list; the token itself is nowhere kept.
        key = "\0".join((relay.url, relay.network, relay.user_token))
        self._key = sha256(key.encode("utf-8", "replace")).hexdigest()

    def is_own(self, name: str) -> bool:
        """Say whether one of the user's own nodes has this name; asks for a second at most."""
        known = self._load()
        if not known.is_fresh(time.time()):
            known = self._ask(known, WORD_SECONDS)
        return known.nodes.get(name, False)

    def has(self, name: str) -> bool:
        """Say whether a node has this name. Raises RelayError where that cannot be found out."""
        known = self._load()
        if name in known.nodes and known.is_fresh(time.time()):
            return True
        known = self._ask(known, NAME_SECONDS)
        if known.problem and name not in known.nodes:
            raise RelayError(known.problem)
        return name in known.nodes

    def names(self) -> list[str]:
        """Return the names that are remembered; asks nobody."""
        return sorted(self._load().nodes)

    def problem(self) -> str:
        """Return why the relay could not be asked the last time, "" if it could."""
        return self._load().problem

    def _ask(self, before: Known, seconds: float) -> Known:
        """Return what the relay says now; where it says nothing, what was known stays."""
        from codewire.network.relay import Relay

        relay = Relay(self._relay.server, self._relay.user_token, seconds)
        try:
            found = relay.nodes(self._relay.required_network())
        except RelayError as error:
            known = before._replace(at=time.time(), problem=str(error))
        else:
            known = Known(time.time(), {node.name: node.owned for node in found})
        self._save(known)
        return known

    def _load(self) -> Known:
        try:
            value: Any = json.loads(read_regular(self._path, MAX_BYTES))
            if value["key"] != self._key:
                return Known()
            nodes = {str(name): own is True for name, own in value["nodes"].items()}
            return Known(float(value["at"]), nodes, str(value["problem"]))
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return Known()

    def _save(self, known: Known) -> None:
        """Remember it, where that is possible: without, the relay is asked each time."""
        from codewire.disk.filing import write_atomically

        try:
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            write_atomically(
                self._path, json.dumps({"key": self._key, **known._asdict()}), is_synced=False
            )
        except OSError:
            pass
