"""Nodes of the relay's network: their names, and the way to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.client.reach.remote import WebRoute
from codewire.errors import NodeRefused, NodeUnreachable, RelayError
from codewire.network.caller import encode_query, encode_segment
from codewire.network.configuration import NO_RELAY, NO_USER, load_configuration
from codewire.network.directory import Directory
from codewire.network.exchange import parse_base
from codewire.network.websocket import reason_in
from codewire.paths import data_dir

if TYPE_CHECKING:
    from codewire.client.reach.servers import Options
    from codewire.network.configuration import Configuration
    from codewire.network.peers import PeerWay


class RelayRoute(WebRoute):
    """A node behind a relay: a stream that the relay joins to the node's own connection."""

    __slots__ = ("_relay", "relay_url")

    def __init__(self, relay: Configuration, name: str, options: Options) -> None:
        base = parse_base(relay.url)
        scheme = "wss" if base.is_secure else "ws"
        query = encode_query({"network_id": relay.network, "service": "node"})
        path = f"{base.path}/api/v1/nodes/{encode_segment(name)}/ws{query}"
        super().__init__(
            f"{scheme}://{base.authority}{path}",
            relay.user_token,
            ca=options.ca or "",
            insecure=options.insecure,
            name=name,
        )
        self.relay_url = relay.url
        self._relay = relay

    def peer(self) -> PeerWay:
        from codewire.network.peers import PeerWay

        return PeerWay(self._relay, self.name, data_dir().root)

    def lost(self) -> str:
        return f"connection to node {self.name} lost; trying again"

    def where(self) -> str:
        return f"node {self.name} through relay {self.relay_url}"

    def refusal(self, status: int, body: bytes) -> NodeUnreachable:
        text = reason_in(body)
        if status == 401 and self._relay.user_token == self._relay.node_token:
            return NodeRefused(NO_USER)
        if status == 401:
            return NodeRefused("the relay does not accept your token: log in to it again")
        if status == 403:
            return NodeRefused(text or "not allowed (403)")
        if status == 404:
            return NodeRefused("the relay knows no such node" if "node" in text else text or "404")
        if status == 501:
            return NodeRefused(text or "the node cannot be reached this way; use ssh")
        if status == 503 and text:
            return NodeUnreachable(text)
        return super().refusal(status, body)


def _load() -> Configuration | None:
    """Return the relay's configuration where there is enough of it to look for nodes.

    Where nobody has logged in, a node of this machine knows those of its network: its sessions may
    write to theirs, and that is all.
    """
    found = load_configuration(data_dir().config)
    if found.url and found.network and found.user_token:
        return found
    if found.url and found.node_network and found.node_token:
        return found._replace(network=found.node_network, user_token=found.node_token)
    return None


def find_word(name: str, options: Options) -> RelayRoute | None:
    """Return the way to one of the user's own nodes, None if none is known by that name."""
    relay = _load()
    if relay is None or not Directory(data_dir().root, relay).is_own(name):
        return None
    return RelayRoute(relay, name, options)


def find_by_name(name: str, options: Options) -> RelayRoute | None:
    """Return the way to a node of the selected network, None if it has none of that name.

    Where the relay cannot be asked, the other places may know the name: see `words`.
    """
    relay = _load()
    try:
        is_there = relay is not None and Directory(data_dir().root, relay).has(name)
    except RelayError:
        return None
    return RelayRoute(relay, name, options) if relay is not None and is_there else None


def names() -> list[str]:
    """Return the names that are remembered."""
    relay = _load()
    return Directory(data_dir().root, relay).names() if relay is not None else []


def words() -> str:
    """Return what to say of a name that was looked for in vain."""
    relay = load_configuration(data_dir().config)
    if not relay.url:
        return NO_RELAY
    if not relay.user_token:
        return NO_USER
    if not relay.network:
        return "no network of the relay is selected (run: cw network use NAME)"
    problem = Directory(data_dir().root, relay).problem()
    return problem or f"network {relay.network} of relay {relay.url} has no node of that name"
