"""Where another relay of the same database asks for a node (uplinks/siblings.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.relay.http.endpoint import Endpoint, Who

if TYPE_CHECKING:
    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database


def ask_node(call: Call, store: Database) -> Any:
    """Open another relay's way to a node."""
    return call.service.siblings.accept(call, call.network, call.value("name"))


ENDPOINTS = [
    Endpoint(
        "GET",
        "/internal/ask/{name}",
        ask_node,
        Who.PUBLIC,
        "Another relay's way to a node (WebSocket)",
        query=("network_id",),
        status=101,
        errors=(400, 401, 403, 404, 426),
    ),
]
