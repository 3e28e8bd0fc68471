"""Which network this node is in, and under what name: as config.toml says now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codewire.config import load_settings
from codewire.errors import ConfigError, RequestError
from codewire.network.access import Access
from codewire.wire.codes import UNAVAILABLE

if TYPE_CHECKING:
    from codewire.network.configuration import Configuration

NOWHERE = "this node is in no relay's network"


class Me(NamedTuple):
    """A node as its network knows it."""

    relay: Configuration
    network: str
    name: str


class Membership:
    """What the file at `path` says, read when it has changed. Any thread may ask."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._access = Access(path)
        self._known: Me | None = None

    def now(self) -> Me:
        """Return network and name. Raises RequestError where there is none."""
        known = self._known
        try:
            relay = self._access.configuration()
            if known is None or relay is not known.relay:
                self._known = known = self._me(relay)
        except ConfigError as error:
            # A file that is being written, or a slip in it: what held until now goes on.
            if known is None:
                raise RequestError(NOWHERE, UNAVAILABLE) from error
        return known

    def _me(self, relay: Configuration | None) -> Me:
        network = "" if relay is None else relay.node_network or relay.network
        if relay is None or not (relay.node_token and network):
            raise RequestError(NOWHERE, UNAVAILABLE)
        return Me(relay, network, load_settings(self._path).node_name)
