"""The way to a node over TCP: proxy, TLS, WebSocket handshake, and plain words for what fails.

Imported for nodes on other machines only. Which URL and token is not its business (servers.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from codewire.client.reach.route import Route
from codewire.errors import ConnectionLost, NodeRefused, NodeUnreachable, ProtocolError
from codewire.io.deadline import NEVER, Deadline
from codewire.io.dialling import Declined, Trust, dial_websocket
from codewire.io.outbound import TRANSIENT, Address, parse_address

if TYPE_CHECKING:
    from codewire.io.websockets import WebSocketStream

# All of it: name look-up, connect, proxy, TLS, handshake.
DIAL_SECONDS = 10.0

DEFAULT_PORTS = {"ws": 80, "wss": 443}
MAX_REASON = 400


class WebRoute(Route):
    """A WebSocket, opened by an HTTP request that carries `token`, if any, as its bearer.

    `url` is ws:// or wss:// with its path. `name` is what people call the node. Of wss, `ca` is a
    file of authorities to trust instead of the system's ("" for those); `insecure` trusts anyone.
    With `token_in_query` a node that refuses the bearer is asked once more with the token in the
    URL, as nodes of before there were bearers want it (spec/fleet.md 4.1).
    """

    __slots__ = ("ca", "insecure", "name", "token", "token_in_query")

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        ca: str = "",
        insecure: bool = False,
        name: str = "",
        token_in_query: bool = False,
    ) -> None:
        super().__init__(url)
        self.name = name or url
        self.token = token
        self.ca = ca
        self.insecure = insecure
        self.token_in_query = token_in_query

    def __str__(self) -> str:
        return f"node {self.name}"

    @property
    def url(self) -> str:
        """Return what is dialled."""
        return self.key

    def warning(self) -> str:
        return f"the certificate of {self.url} is not checked" if self.insecure else ""

    def where(self) -> str:
        """Return what errors say was dialled."""
        return f"remote server: {self.url}"

    def open(self, deadline: Deadline = NEVER) -> WebSocketStream:
        """See Route. Blocks for DIAL_SECONDS at most."""
        where = f"connecting to {self.where()}"
        timeout = deadline.within(DIAL_SECONDS).left() or 0.0
        try:
            return self._open(parse_url(self.url), time.monotonic() + timeout)
        except NodeRefused as error:
            raise NodeRefused(f"{where}: {error}") from error
        except (NodeUnreachable, ConnectionLost) as error:
            raise NodeUnreachable(f"{where}: {error}") from error
        except ProtocolError as error:
            raise NodeRefused(f"{where}: {error}") from error
        except TimeoutError as error:
            raise NodeUnreachable(f"{where}: no answer within {timeout:.3g}s") from error

    def _open(self, address: Address, deadline: float) -> WebSocketStream:
        try:
            return _dial(self, address, deadline)
        except TokenRefused as error:
            if not (self.token and self.token_in_query and error.status == 401):
                raise
        from urllib.parse import quote

        path = f"{address.path}?token={quote(self.token, safe='')}"
        return _dial(self, address._replace(path=path), deadline)

    def refusal(self, status: int, body: bytes) -> NodeUnreachable:
        """Return the error that says what an answer other than the upgrade means.

        A NodeRefused where trying again is of no use. `body` is what came of it with the head.
        """
        if status == 401 or (status == 429 and self.token):
            if self.token:
                return TokenRefused(status)
            return NodeRefused("the node asks for a token: use --token, or save it with the server")
        if status == 403:
            return NodeRefused("the node, or a proxy in front of it, refuses this client (403)")
        if status == 404:
            return NodeRefused("there is no node at this URL (404)")
        if 300 <= status < 400:
            return NodeRefused(f"the URL redirects elsewhere ({status}); use the final one")
        if status in TRANSIENT:
            return NodeUnreachable(f"the server answered {status}{_reason(body)}")
        return NodeRefused(f"the server answered {status} instead of opening a WebSocket")


class TokenRefused(NodeRefused):
    """The node wants another token, or (after a 401) wants it said elsewhere."""

    def __init__(self, status: int) -> None:
        super().__init__("the node does not accept this token")
        self.status = status


def parse_url(url: str) -> Address:
    """Take a ws:// or wss:// URL apart. Raises NodeRefused for one that cannot be dialled."""
    return parse_address(url, DEFAULT_PORTS, "not a URL of a node, such as wss://host:9100")


def _dial(route: WebRoute, address: Address, deadline: float) -> WebSocketStream:
    fields: tuple[tuple[str, str], ...] = ()
    if route.token and "?token=" not in address.path:
        fields = (("Authorization", f"Bearer {route.token}"),)
    try:
        return dial_websocket(address, fields, deadline, Trust(route.ca, route.insecure))
    except Declined as error:
        raise route.refusal(error.status, error.body) from error


def _reason(body: bytes) -> str:
    """Return a node's words for why it has no worker; a proxy's page of HTML is of no use."""
    line = body[:MAX_REASON].decode("utf-8", "replace").partition("\n")[0].strip()
    return f": {line}" if line.isprintable() and line and "<" not in line else ""
