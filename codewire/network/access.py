"""The relay that this machine's node belongs to, as config.toml has it at the moment.

Asked often, so the file is read again only when it is another one, or after a while: the login that
may name the relay is in a file of its own.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from codewire.io.wait import run_blocking
from codewire.network.configuration import Configuration, load_configuration
from codewire.network.relay import Relay

FRESH_SECONDS = 30.0


class _Read(NamedTuple):
    """What was read, of which version of the file and when (monotonic)."""

    seen: object
    at: float
    found: Configuration | None


class Access:
    """Any thread may call; no lock is held while the file is read. `path` is config.toml."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read = _Read(None, float("-inf"), None)

    def configuration(self) -> Configuration | None:
        """Return what is configured, None without a relay; the same object while it is the same.

        Raises ConfigError.
        """
        read, now = self._read, time.monotonic()
        seen = signature(self._path)
        if seen == read.seen and now - read.at < FRESH_SECONDS:
            return read.found
        found = load_configuration(self._path)
        if found == read.found:
            found = read.found
        self._read = _Read(seen, now, found if found.url else None)
        return self._read.found

    def as_node(self, seconds: float) -> Relay:
        """Return the relay to this node, for calls of so many seconds. Raises ConfigError."""
        found = self.configuration() or load_configuration(self._path)
        found.as_node()
        return Relay(found.server, found.node_token, seconds)


def signature(path: str) -> object:
    """Return what tells one version of a file from another, None without a file."""
    try:
        found = run_blocking(os.stat, path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
