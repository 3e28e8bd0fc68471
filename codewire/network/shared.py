"""What the members of a network share: its nodes, and keys that its relay keeps for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.errors import RelayRefused
from codewire.network.configuration import Given, load_configuration
from codewire.paths import data_dir
from codewire.wire.answers.messages import Entry
from codewire.wire.control import encode_bytes

if TYPE_CHECKING:
    from codewire.network.answers import Node
    from codewire.network.configuration import Configuration

DEFAULT_NAMESPACE = "default"


class Shared:
    """A network of the relay that `cw` uses, to whoever is logged in; "" is the selected one.

    Its keys have the methods that a node's client has. Each method is one exchange and may raise
    RelayError, with the relay's own text RelayRefused.
    """

    def __init__(self, network: str = "", *, relay: Configuration | None = None) -> None:
        """Raises ConfigError where no relay, login or network is known."""
        relay = relay or load_configuration(data_dir().config, Given(network=network))
        self._user = relay.as_user()
        self.network = relay.required_network()

    def nodes(self) -> list[Node]:
        """Return the network's nodes."""
        return self._user.nodes(self.network)

    def kv_set(self, key: str, value: bytes, *, namespace: str = "", ttl: str = "") -> None:
        """Have a key be this value, for as long as `ttl` (1h) says."""
        self._user.kv_put(self.network, namespace or DEFAULT_NAMESPACE, key, value, ttl=ttl)

    def kv_get(self, key: str, *, namespace: str = "") -> bytes | None:
        """Return a key's value, None where there is none."""
        try:
            return self._user.kv_get(self.network, namespace or DEFAULT_NAMESPACE, key)
        except RelayRefused as error:
            if error.status == 404 and error.text == "not found":
                return None
            raise

    def kv_list(self, prefix: str = "", *, namespace: str = "") -> list[Entry]:
        """Return the entries whose keys begin with `prefix`."""
        found = self._user.kv_list(self.network, namespace or DEFAULT_NAMESPACE, prefix)
        entries = []
        for key, value, expires in found:
            sent = {"key": key, "value": encode_bytes(value)}
            sent |= {"expires_at": expires} if expires else {}
            entries.append(Entry(key, value, expires, sent))
        return entries

    def kv_delete(self, key: str, *, namespace: str = "") -> bool | None:
        """Remove a key; say whether it was there."""
        was_there = self.kv_get(key, namespace=namespace) is not None
        self._user.kv_delete(self.network, namespace or DEFAULT_NAMESPACE, key)
        return was_there
