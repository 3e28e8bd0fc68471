"""`cw kv --network`: keys of a network, on its relay, for all its members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands.network import asking, showing
from codewire.commands.network.asking import Asking
from codewire.errors import RelayRefused

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.wire.answers.messages import Entry

DEFAULT_NAMESPACE = "default"


class NetworkKeys:
    """A network's keys, by the methods that a node's client has. Each raises RelayError."""

    def __init__(self, args: dict[str, Any], context: Context) -> None:
        """Raises CodewireError where no network or login is known."""
        self._relay = asking.allowed(asking.configuration(args, context))
        self._user = self._relay.as_user()
        self._network = self._relay.required_network()

    def kv_set(self, key: str, value: bytes, *, namespace: str = "", ttl: str = "") -> None:
        """Set a key."""
        with Asking("set key", self._relay):
            self._user.kv_put(self._network, namespace or DEFAULT_NAMESPACE, key, value, ttl=ttl)

    def kv_get(self, key: str, *, namespace: str = "") -> bytes | None:
        """Return a key's value, None where there is none."""
        with Asking("get key", self._relay):
            try:
                return self._user.kv_get(self._network, namespace or DEFAULT_NAMESPACE, key)
            except RelayRefused as error:
                if error.status == 404 and error.text == "not found":
                    return None
                raise

    def kv_list(self, prefix: str = "", *, namespace: str = "") -> list[Entry]:
        """Return the entries whose keys begin with `prefix`."""
        from codewire.wire.answers.messages import Entry

        with Asking("list keys", self._relay):
            found = self._user.kv_list(self._network, namespace or DEFAULT_NAMESPACE, prefix)
        return [Entry(*one, sent=showing.shown(one)) for one in found]

    def kv_delete(self, key: str, *, namespace: str = "") -> bool | None:
        """Remove a key; say whether it was there."""
        was_there = self.kv_get(key, namespace=namespace) is not None
        with Asking("delete key", self._relay):
            self._user.kv_delete(self._network, namespace or DEFAULT_NAMESPACE, key)
        return was_there
