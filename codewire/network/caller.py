"""Asking a relay: who asks, how a path is made, what an answer means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from codewire import __version__
from codewire.errors import RelayError, RelayRefused
from codewire.network.exchange import MAX_BODY, Exchange, Request, Server
from codewire.wire.nesting import is_deep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from codewire.wire.http import Fields

# All of one call: name look-up, connect, proxy, TLS, answer.
CALL_SECONDS = 15.0
API = "/api/v1"
# Of a refusal's text, in characters.
MAX_TEXT = 400
# What net/http answers for a path it does not know.
UNKNOWN_PATH = "404 page not found"
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Caller:
    """One relay and the token to show it: a user's or a node's, "" for none.

    Every method blocks for `seconds` at most and raises RelayUnreachable (it may answer later),
    RelayRefused (it said no, with `status` and `text`) or RelayError.
    """

    def __init__(
        self, server: Server | str, token: str = "", seconds: float = CALL_SECONDS
    ) -> None:
        self.server = Server(server) if isinstance(server, str) else server
        self._token = token
        self._seconds = seconds

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON that GET answers."""
        return self.json_of(Request("GET", path + encode_query(query)))

    def post(
        self, path: str, value: Mapping[str, Any], query: Mapping[str, str] | None = None
    ) -> Any:
        """Return the JSON that POST answers; members that are None are left out."""
        return self.json_of(_with_json("POST", path + encode_query(query), value))

    def put(self, path: str, value: Mapping[str, Any]) -> Any:
        """Return the JSON that PUT answers."""
        return self.json_of(_with_json("PUT", path, value))

    def delete(self, path: str, query: Mapping[str, str]) -> Any:
        """Return the JSON that DELETE answers, None where there is none (204)."""
        return self.json_of(Request("DELETE", path + encode_query(query)))

    def json_of(self, request: Request, limit: int = MAX_BODY) -> Any:
        """Return the JSON in the answer to a request, None for an empty one."""
        body = self.ask(request, limit)
        if not body:
            return None
        try:
            if is_deep(body):
                raise ValueError("nested too deeply")
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise RelayError(
                f"relay {self.server.url} answered what is no JSON: {error}"
            ) from error

    def ask(self, request: Request, limit: int = MAX_BODY) -> bytes:
        """Return the body of a good answer."""
        with self.exchange(request) as exchange:
            return exchange.read(limit)

    def exchange(self, request: Request) -> Exchange:
        """Return an exchange whose status is good; the caller closes it."""
        fields: Fields = (("User-Agent", f"codewire/{__version__}"), *request.fields)
        if self._token:
            fields = (*fields, ("Authorization", f"Bearer {self._token}"))
        exchange = Exchange(self.server, request._replace(fields=fields), self._seconds)
        try:
            if not 200 <= exchange.status < 300:
                raise self._refusal(request, exchange)
        except BaseException:
            exchange.close()
            raise
        return exchange

    def _refusal(self, request: Request, exchange: Exchange) -> RelayError:
        status, url = exchange.status, self.server.url
        if 300 <= status < 400:
            return RelayRefused(
                f"relay {url} redirects elsewhere ({status}); use the final URL", status
            )
        text = _first_line(exchange.beginning(4 * MAX_TEXT))
        path = request.path.partition("?")[0]
        if (status == 404 and text in (UNKNOWN_PATH, "")) or status in (405, 501):
            words = f"relay {url} is older than what is asked of it, or none at all"
            return RelayRefused(f"{words}: it does not know {request.method} {path}", status, text)
        if status == 401:
            has = "does not accept this token" if self._token else "asks for a token"
            return RelayRefused(f"relay {url} {has}", status, text)
        if status == 429:
            return RelayRefused(
                f"relay {url} was asked too often; try again in a minute", status, text
            )
        return RelayRefused(text or f"HTTP {status} from {url}", status, text)


def _with_json(method: str, path: str, value: Mapping[str, Any]) -> Request:
    present = {name: one for name, one in value.items() if one is not None}
    body = json.dumps(present, separators=(",", ":")).encode()
    return Request(method, path, body, (("Content-Type", "application/json"),))


def encode_query(query: Mapping[str, str] | None) -> str:
    """Return `?name=value&…`, "" for nothing; empty values are left out."""
    pairs = [f"{name}={encode_segment(value)}" for name, value in (query or {}).items() if value]
    return f"?{'&'.join(pairs)}" if pairs else ""


def encode_segment(text: str) -> str:
    """Return text as one segment of a path, or a value of a query (RFC 3986 2).

    >>> encode_segment("a/b é")
    'a%2Fb%20%C3%A9'
    """
    data = text.encode("utf-8", "replace")
    encoded = "".join(chr(byte) if byte in UNRESERVED else f"%{byte:02X}" for byte in data)
    # A whole segment of dots would be taken for a place in the tree.
    return encoded.replace(".", "%2E") if encoded in (".", "..") else encoded


def _first_line(body: bytes) -> str:
    """Return what a refusal says in one line; a proxy's page of HTML is of no use to anyone."""
    line = body.decode("utf-8", "replace").strip().partition("\n")[0][:MAX_TEXT]
    return line if line.isprintable() and not line.startswith("<") else ""
