"""Which session this process runs in, as it was told at launch. Proves nothing; nodes check it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codewire.client.reach.route import Route


def own_session(route: Route) -> tuple[int | None, str | None]:
    """Return (id, node id) for a sender: `from_node` is "" in sessions of before there were any.

    (None, None) outside sessions, and for a node that is not the one whose session it is: to that
    the id means nothing.
    """
    text = os.environ.get("CW_SESSION_ID", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None, None
    number, home, node = int(text) or None, os.environ.get("CW_NODE_ID", ""), route.node_id()
    if number is None or node is None or (home and node not in ("", home)):
        return None, None
    return number, home


def as_sender(route: Route) -> dict[str, Any]:
    """Return the session this process runs in as `sender` and `sender_node` of a call."""
    return dict(zip(("sender", "sender_node"), own_session(route), strict=True))


def is_own_session(route: Route, session_id: int, leader: int) -> bool:
    """Say whether this process runs in that session of the node; `leader` is its pid, 0 unknown.

    Without a CW_NODE_ID the number alone might be another node's: then descent must tell.
    """
    number, home = own_session(route)
    if number != session_id:
        return False
    if leader <= 0 or (home and route.node_id()):
        return True
    from codewire.io.processes import ancestors

    return leader in ancestors(os.getpid())
