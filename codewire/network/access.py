"""The relay that this machine's node belongs to, as config.toml has it at the moment.

Asked often, so the file is read again only when it is another one, or after a while: the login that
may name the relay is in a file of its own.
"""

from __future__ import annotations

import os
import threading
import time

from codewire.network.configuration import Configuration, load_configuration
from codewire.network.relay import Relay

FRESH_SECONDS = 30.0


class Access:
    """Any thread may call. `path` is config.toml."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: object = None
        self._read_at = float("-inf")
        self._found: Configuration | None = None

    def configuration(self) -> Configuration | None:
        """Return what is configured, None without a relay. Raises ConfigError."""
        seen, now = signature(self._path), time.monotonic()
        with self._lock:
            if seen == self._seen and now - self._read_at < FRESH_SECONDS:
                return self._found
            found = load_configuration(self._path)
            self._found = found if found.url else None
            self._seen, self._read_at = seen, now
            return self._found

    def as_node(self, seconds: float) -> Relay:
        """Return the relay to this node, for calls of so many seconds. Raises ConfigError."""
        found = self.configuration() or load_configuration(self._path)
        found.as_node()
        return Relay(found.server, found.node_token, seconds)


def signature(path: str) -> object:
    """Return what tells one version of a file from another, None without a file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
