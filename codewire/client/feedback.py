"""Showing a session on its own terminal would print its output again, for ever: refused.

The client sees to the plain case, and tells the node from which session it shows another, so that
the node can refuse circles.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codewire.client.inside import is_own_session, own_session
from codewire.errors import CodewireError, UsageError

if TYPE_CHECKING:
    from codewire.client.api import Client


def showing_session(client: Client) -> int | None:
    """Return the session whose terminal stdout is, None outside of this node's sessions."""
    return own_session(client.route)[0] if os.isatty(1) else None


def refuse_own(client: Client, session_id: int, doing: str) -> int | None:
    """Return `showing_session`; raise UsageError when that is the session to be shown."""
    shower = showing_session(client)
    if shower == session_id and is_own_session(
        client.route, session_id, _leader(client, session_id)
    ):
        raise UsageError(f"this is session {session_id}: {doing} would repeat its output for ever")
    return shower


def _leader(client: Client, session_id: int) -> int:
    """Return the pid of a session's first process, 0 where the node does not say."""
    try:
        return client.status(session_id).info.pid
    except CodewireError:
        return 0
