"""A row of the API's table, and how a request goes through it.

The order is the same for all: who asks, the body, then the handler (network, role, fields). The
OpenAPI document is made of the same rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.errors import BadValue, StoreError, Unavailable
from codewire.relay.http.answers import JSON, Refusal, json_answer, unauthorized
from codewire.relay.http.call import Call, Service
from codewire.relay.http.inputs import Body
from codewire.relay.http.limits import Limit
from codewire.relay.store.database import Database
from codewire.web.router import Router
from codewire.wire.http import MAX_BODY, Answer, plain

if TYPE_CHECKING:
    from codewire.web.request import Request, Takeover

log = logging.getLogger(__name__)

Handler = Callable[[Call, Database], Any]

# The store cannot be reached for a moment: whoever asks should try again.
TRY_AGAIN = (("Retry-After", "1"),)


class Who(Enum):
    """Who may ask: anybody, a user, a node, one of both."""

    PUBLIC = "public"
    USER = "user"
    NODE = "node"
    EITHER = "either"


class Endpoint(NamedTuple):
    """One method of one path.

    A handler returns an Answer, something that takes over the connection, or a JSON value. `query`
    and `answers` are JSON schemas, for the document; `errors` are the statuses besides 200 (or
    `status`) that it may answer.
    """

    method: str
    path: str
    handler: Handler
    who: Who
    summary: str
    query: tuple[str, ...] = ()
    body: Body | None = None
    # Bytes of a body that is none of JSON; 0: none is read.
    raw_limit: int = 0
    answers: dict[str, Any] | None = None
    kind: str = JSON
    status: int = 200
    errors: tuple[int, ...] = ()
    # Other statuses of the same kind of answer.
    also: tuple[int, ...] = ()
    # Header fields that count.
    fields: tuple[str, ...] = ()
    # How often an address may call; every call counts, also a malformed one.
    limit: Limit | None = None

    @property
    def body_limit(self) -> int:
        """Return how many bytes of a body are read; more are refused (413)."""
        return MAX_BODY if self.body is not None else self.raw_limit


def respond(
    endpoint: Endpoint, service: Service, store: Database, request: Request
) -> Answer | Takeover:
    """Answer a request. What goes wrong in the store is a 503, anything unforeseen a 500."""
    call = Call(request, service, store)
    try:
        _identify(endpoint.who, call)
        if endpoint.limit is not None:
            service.limiter.hit(endpoint.limit, call.address, call.now)
        if endpoint.body is not None:
            call.given = endpoint.body.read(request.body)
        result = endpoint.handler(call, store)
    except Refusal as refusal:
        return refusal.answer()
    except BadValue as error:
        return plain(400, str(error))
    except Unavailable as error:
        log.warning("%s %s: %s", request.head.method, request.head.path, error)
        return plain(503, "the store cannot be reached; try again", TRY_AGAIN)
    except StoreError as error:
        log.error("%s %s: %s", request.head.method, request.head.path, error)
        return plain(500, "internal error")
    if isinstance(result, Answer) or hasattr(result, "run"):
        return result  # type: ignore[no-any-return]
    return json_answer(result)


def _identify(who: Who, call: Call) -> None:
    if who is Who.USER and not call.find_user():
        raise unauthorized()
    if who is Who.NODE and not call.find_node():
        raise unauthorized()
    if who is Who.EITHER:
        call.need_any()


def add_to(router: Router, endpoints: list[Endpoint], service: Service, store: Database) -> Router:
    """Have a router serve the endpoints; return it."""
    for endpoint in endpoints:
        router.add(
            endpoint.method,
            endpoint.path,
            _bound(endpoint, service, store),
            body_limit=endpoint.body_limit,
        )
    return router


def _bound(
    endpoint: Endpoint, service: Service, store: Database
) -> Callable[[Request], Answer | Takeover]:
    return lambda request: respond(endpoint, service, store, request)
