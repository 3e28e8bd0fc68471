"""Showing a session on its own terminal would print its output again, for ever: refused.

The client sees to the plain case, and tells the node from which session it shows another, so that
the node can refuse circles.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from codewire.errors import UsageError

if TYPE_CHECKING:
    from codewire.client.api import Client

MAX_ID = (1 << 32) - 1


def showing_session(client: Client) -> int | None:
    """Return the session whose terminal stdout is, None outside of this node's sessions."""
    word = os.environ.get("CW_SESSION_ID", "")
    is_number = word.isascii() and word.isdigit() and len(word) < 11
    if not is_number or not client.target.is_local or not os.isatty(1):
        return None
    return int(word) if int(word) <= MAX_ID else None


def refuse_own(client: Client, session_id: int, doing: str) -> int | None:
    """Return `showing_session`; raise UsageError when that is the session to be shown."""
    shower = showing_session(client)
    if shower == session_id:
        raise UsageError(f"this is session {session_id}: {doing} would repeat its output for ever")
    return shower
