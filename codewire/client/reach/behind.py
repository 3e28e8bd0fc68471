"""The way to a node behind a relay, by its name in a network there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.client.reach.remote import WebRoute
from codewire.client.reach.servers import find_server, server_route
from codewire.errors import ConfigError, NodeRefused, NodeUnreachable
from codewire.network.caller import encode_query, encode_segment
from codewire.network.configuration import NO_USER, Given, load_configuration
from codewire.network.exchange import parse_base
from codewire.network.websocket import reason_in
from codewire.paths import data_dir, has_relay

if TYPE_CHECKING:
    from codewire.client.reach.servers import Options
    from codewire.network.configuration import Configuration
    from codewire.network.peers import PeerWay


class RelayRoute(WebRoute):
    """A node behind a relay: a stream that the relay joins to the node's own connection."""

    __slots__ = ("_relay", "network", "relay_url")

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
        self.network = relay.network
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
            words = f"the relay knows no such node in network {self.network}"
            return NodeRefused(words if "node" in text else text or "404")
        if status == 501:
            return NodeRefused(text or "the node cannot be reached this way; use ssh")
        if status == 503 and text:
            return NodeUnreachable(text)
        return super().refusal(status, body)


def configuration(options: Options) -> Configuration:
    """Return what is configured of the relay, under what the command line says of its network.

    Without a network there a token and certificates are another server's. Raises ConfigError.
    """
    given = Given()
    if options.network:
        ca, insecure = options.ca or "", options.insecure
        given = Given("", options.network, options.token or "", ca, insecure)
    return load_configuration(data_dir().config, given)


def route_behind(name: str, options: Options) -> RelayRoute:
    """Return the way to a node of the network that the options name, or that is selected.

    Nobody is asked yet. Raises ConfigError where no relay, login or network is known.
    """
    relay = configuration(options)
    relay.as_user()
    relay.required_network()
    return RelayRoute(relay, name, options)


def named_route(server: str, options: Options) -> WebRoute:
    """Return the way to a saved server, a URL, or else a node of the relay by its name.

    Raises UsageError, ConfigError.
    """
    path = data_dir().servers
    is_name = not options.token and not any(mark in server for mark in ":/.")
    if options.network or (is_name and has_relay() and find_server(path, server) is None):
        try:
            return route_behind(server, options)
        except ConfigError:
            # Without a network there is no such node, and the word may be anything.
            if options.network:
                raise
    return server_route(path, server, options)
