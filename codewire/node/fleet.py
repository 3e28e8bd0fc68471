"""The node's place in the fleet: its bridge runs beside the worker, which only knows how it is."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from codewire.io.island import Island
from codewire.paths import bridge_command
from codewire.term.width import printable

if TYPE_CHECKING:
    from codewire.node.context import Node

log = logging.getLogger(__name__)

# What of a bridge's words is shown in `cw node status`.
SHOWN = ("state", "server", "user", "tls", "error", "last_error", "name")
MAX_WORDS = 300
INSTANCE_DIGITS = 12


class Fleet:
    """The bridge of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        settings = node.settings
        argv = [*bridge_command(), settings.node_name, instance_of(node), settings.external_url]
        self._island = Island("the fleet bridge", argv, self._hear, self._lose)
        self._last_words = ""

    def run(self) -> None:
        """Keep the bridge running. Blocks."""
        self._node.fleet.update(state="starting")
        self._island.run()

    def stop(self) -> None:
        """Have the bridge say goodbye."""
        self._island.stop()

    def _hear(self, line: bytes) -> None:
        """Take in what the bridge says: how it is, or something for the log."""
        try:
            said: Any = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        if isinstance(said.get("log"), str):
            log.warning("fleet: %s", _plain(said["log"]))
            return
        self._node.fleet.clear()
        self._node.fleet.update(
            {key: said[key] for key in SHOWN if said.get(key) not in ("", None)}
        )
        words = f"{said.get('state')}: {_plain(str(said.get('error') or said.get('server') or ''))}"
        if words != self._last_words:
            self._last_words = words
            log.info("fleet %s", words)

    def _lose(self) -> None:
        """Show that the bridge is not there, unless it has said why it cannot be."""
        if self._node.fleet.get("state") != "refused":
            self._node.fleet.clear()
            self._node.fleet.update(state="starting")


def _plain(words: str) -> str:
    """Return what others had a hand in as one line of the log."""
    return printable(words)[:MAX_WORDS]


def instance_of(node: Node) -> str:
    """Return what tells this node from another one of its name: from its id, the same each time."""
    return hashlib.sha256(node.sessions.node_id.encode()).hexdigest()[:INSTANCE_DIGITS]
