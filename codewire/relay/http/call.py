"""One request on its way to a handler: who asks, what was sent, when, and what a handler may use.

`Service` is everything that is not in the store; handlers reach live connections through it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from codewire.relay.http.answers import unauthorized
from codewire.relay.http.identity import Identities, User, node_of
from codewire.relay.http.inputs import Given, read_query
from codewire.relay.http.limits import Limiter, Proxies
from codewire.relay.providers.github import GitHub
from codewire.relay.providers.oidc import Oidc
from codewire.relay.store.orders import MEMBER, NODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.relay.settings import Settings
    from codewire.relay.store.database import Database
    from codewire.relay.store.nodes import Node
    from codewire.web.request import Request, Takeover
    from codewire.wire.http import Answer


class Presence(Protocol):
    """Which nodes have an uplink here."""

    def is_connected(self, network: str, name: str) -> bool:
        """Say whether a node's uplink is open."""

    def drop(self, network: str, name: str) -> None:
        """End a node's uplink: its token is no longer good."""

    def accept(self, call: Call, node: Node) -> Answer | Takeover:
        """Turn a node's request into its uplink."""


class Coordination(Protocol):
    """The mesh's introductions."""

    def drop(self, network: str, name: str) -> None:
        """End a node's connections, as Presence does."""

    def drop_member(self, network: str, who: str) -> None:
        """End the connections of somebody who belongs to the network no more."""

    def accept(self, call: Call, network: str, kind: str, name: str) -> Answer | Takeover:
        """Turn an admitted peer's request into its connection."""


class Siblings(Protocol):
    """Other relays of the same database."""

    def accept(self, call: Call, network: str, name: str) -> Answer | Takeover:
        """Turn another relay's request into its way to a node that is connected here."""

    def connected(self, network: str) -> set[str] | None:
        """Return the nodes of a network that any relay has, None where that is not known."""


class Streams(Protocol):
    """Clients' streams to nodes."""

    def open(self, call: Call, network: str, name: str, ask: dict[str, Any]) -> Answer | Takeover:
        """Turn a client's request into a stream to a node, which is asked with `ask`."""

    def accept_back(self, call: Call, node: Node, ident: str) -> Answer | Takeover:
        """Turn a node's request into its side of a stream."""

    def drop(self, network: str, name: str) -> None:
        """End a node's streams, as Presence does."""

    def drop_member(self, network: str, who: str) -> None:
        """End the streams of somebody who belongs to the network no more."""


class Feeds(Protocol):
    """Streams of events of the store."""

    def open(
        self, network: str, stream: str, last: int | None, wants: Callable[[str], bool], who: str
    ) -> Takeover:
        """Return a reader's stream: what came after `last`, then what comes."""

    def drop(self, network: str, who: str) -> None:
        """End the streams of somebody who belongs to the network no more."""


@dataclass(slots=True)
class Service:
    """What handlers use besides the store. `clock` returns nanoseconds UTC."""

    settings: Settings
    clock: Callable[[], int]
    identities: Identities
    presence: Presence
    coordination: Coordination
    streams: Streams
    feeds: Feeds
    siblings: Siblings
    status: Callable[[], dict[str, object]] = dict
    limiter: Limiter = field(default_factory=Limiter)
    proxies: Proxies = field(default_factory=lambda: Proxies(()))
    github: GitHub = field(default_factory=GitHub)
    oidc: Oidc = field(default_factory=lambda: Oidc("", "", ""))
    # The public half of the SSH host key ("ssh-ed25519 AAAA…") and the port that was bound; ""
    # where SSH is not served.
    ssh_host_key: str = ""
    ssh_port: int = 0
    # Has the other relays of the database do something: network, what, whom (store/orders.py).
    order: Callable[[str, str, str], None] = lambda network, kind, whom: None
    # What the first visitor of a relay with GitHub has to know.
    setup_code: str = ""

    def drop_node(self, network: str, name: str) -> None:
        """End a node's connections, at all relays: its token is no longer good."""
        self.presence.drop(network, name)
        self.end_node(network, name)
        self.order(network, NODE, name)

    def end_node(self, network: str, name: str) -> None:
        """End here what hangs on a node's uplink."""
        self.coordination.drop(network, name)
        self.streams.drop(network, name)

    def drop_member(self, network: str, who: str) -> None:
        """End all that somebody has open in a network they belong to no more, at all relays."""
        self.end_member(network, who)
        self.order(network, MEMBER, who)

    def end_member(self, network: str, who: str) -> None:
        """The same, here."""
        self.feeds.drop(network, who)
        self.streams.drop_member(network, who)
        self.coordination.drop_member(network, who)


class Call:
    """One request. `user` and `node` are who asks, as far as the endpoint wants to know."""

    def __init__(self, request: Request, service: Service, store: Database) -> None:
        self.request = request
        self.service = service
        self.now = service.clock()
        self.given = Given({})
        self._store = store
        self._user: User | None = None
        self._node: Node | None = None
        self._query: Given | None = None

    # Who asks

    @property
    def user(self) -> User:
        """The user who asks. Raises Refusal (401)."""
        if self._user is None:
            raise unauthorized()
        return self._user

    @property
    def node(self) -> Node:
        """The node that asks. Raises Refusal (401)."""
        if self._node is None:
            raise unauthorized()
        return self._node

    @property
    def is_node(self) -> bool:
        """Say whether a node asks, and no user."""
        return self._node is not None

    def find_user(self) -> bool:
        """Look for a user; say whether there is one."""
        self._user = self.service.identities.user(self.request, self._store, self.now)
        return self._note(self._user is not None)

    def find_bearer(self) -> bool:
        """Look for a user by the Bearer token alone; say whether there is one."""
        self._user = self.service.identities.by_bearer(self.request, self._store, self.now)
        return self._note(self._user is not None)

    def find_node(self) -> bool:
        """Look for a node; say whether there is one."""
        self._node = node_of(self.request, self._store)
        return self._note(self._node is not None)

    def need_any(self) -> None:
        """Look for a node, then a user. Raises Refusal (401)."""
        if not self.find_node() and not self.find_user():
            raise unauthorized()

    def _note(self, is_known: bool) -> bool:
        if is_known:
            self.request.vouch()
        return is_known

    @property
    def actor(self) -> str:
        """Return who asks, for the audit."""
        if self._node is not None:
            return f"node:{self._node.name}"
        return self._user.subject if self._user is not None else ""

    @property
    def address(self) -> str:
        """Return the client's address, as far as it is known."""
        return self.service.proxies.client_address(self.request)

    # What was sent

    @property
    def query(self) -> Given:
        """The query's fields. Raises Refusal (400)."""
        if self._query is None:
            self._query = read_query(self.request.head.query)
        return self._query

    @property
    def network(self) -> str:
        """The network of the query. Raises Refusal (400)."""
        return self.query.needed("network_id")

    def value(self, name: str) -> str:
        """Return a named segment of the path. Raises Refusal (400)."""
        return Given(self.request.values).raw(name)
