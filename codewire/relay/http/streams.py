"""Streams of a network's events to one of its members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.relay.http.answers import bad_request
from codewire.relay.http.identity import need_member

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.relay.http.call import Call
    from codewire.relay.store.database import Database
    from codewire.web.request import Takeover


def open_feed(
    call: Call, store: Database, stream: str, wants: Callable[[str], bool] = lambda data: True
) -> Takeover:
    """Return a stream of the network of the query. Raises Refusal.

    `wants` is asked with each event's data.
    """
    network, user = call.network, call.user
    last = read_last_event_id(call)
    store.read(lambda tx: need_member(tx, user, network))
    feed = call.service.feeds.open(network, stream, last, wants, user.subject)
    try:
        # Who was removed since is not among those whose streams ended with that.
        store.read(lambda tx: need_member(tx, user, network))
    except BaseException:
        call.service.feeds.drop(network, user.subject)
        raise
    return feed


def read_last_event_id(call: Call) -> int | None:
    """Return the last event a returning reader has, None for a new one. Raises Refusal (400)."""
    given = call.request.last_event_id.strip()
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise bad_request("invalid Last-Event-ID")
    return int(given)
