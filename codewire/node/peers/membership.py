"""Which network this node is in, and under what name: as config.toml says now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codewire.config import load_settings
from codewire.errors import ConfigError, RequestError
from codewire.network.access import signature
from codewire.network.configuration import load_configuration
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
        self._known: tuple[object, Me] | None = None

    def now(self) -> Me:
        """Return network and name. Raises RequestError where there is none."""
        seen, known = signature(self._path), self._known
        if known is not None and known[0] == seen:
            return known[1]
        try:
            me = self._read()
        except ConfigError as error:
            # A file that is being written, or a slip in it: what held until now goes on.
            if known is not None:
                return known[1]
            raise RequestError(NOWHERE, UNAVAILABLE) from error
        # A node without a token may get one any moment, from its environment, too.
        self._known = (seen, me)
        return me

    def _read(self) -> Me:
        relay = load_configuration(self._path)
        network = relay.node_network or relay.network
        if not (relay.url and relay.node_token and network):
            raise RequestError(NOWHERE, UNAVAILABLE)
        return Me(relay, network, load_settings(self._path).node_name)
