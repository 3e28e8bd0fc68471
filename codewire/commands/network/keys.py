"""`cw kv --network`: keys of a network, on its relay, for all its members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands.network import asking
from codewire.commands.network.asking import Asking
from codewire.network.shared import Shared

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.wire.answers.messages import Entry


class NetworkKeys:
    """A network's keys, by the methods that a node's client has. Each raises RelayError."""

    def __init__(self, args: dict[str, Any], context: Context) -> None:
        """Raises CodewireError where no network or login is known."""
        self._relay = asking.allowed(asking.configuration(args, context))
        self._shared = Shared(relay=self._relay)

    def kv_set(self, key: str, value: bytes, *, namespace: str = "", ttl: str = "") -> None:
        with Asking("set key", self._relay):
            self._shared.kv_set(key, value, namespace=namespace, ttl=ttl)

    def kv_get(self, key: str, *, namespace: str = "") -> bytes | None:
        with Asking("get key", self._relay):
            return self._shared.kv_get(key, namespace=namespace)

    def kv_list(self, prefix: str = "", *, namespace: str = "") -> list[Entry]:
        with Asking("list keys", self._relay):
            return self._shared.kv_list(prefix, namespace=namespace)

    def kv_delete(self, key: str, *, namespace: str = "") -> bool | None:
        with Asking("delete key", self._relay):
            return self._shared.kv_delete(key, namespace=namespace)
