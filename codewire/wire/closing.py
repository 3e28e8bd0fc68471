"""How a WebSocket comes to its end (RFC 6455 7.1): the states, and what may follow what.

Pure, for either side: io/websockets.py keeps the state of each connection.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Who has closed so far."""

    OPEN = "open"
    # Our close frame is out; the peer's is awaited, and what comes before it not wanted.
    CLOSING = "closing"
    # The peer has closed, or is gone; ours is not out.
    LEFT = "left"
    CLOSED = "closed"
    # The peer broke the protocol: nothing of it is read any more.
    BROKEN = "broken"
    # And it has been told so.
    FAILED = "failed"


class Event(Enum):
    """What happens to a connection."""

    SAID_CLOSE = "our close frame goes out"
    PEER_ENDED = "the peer's close frame, or the end of its bytes"
    VIOLATED = "the peer breaks the protocol"


TRANSITIONS = {
    (State.OPEN, Event.SAID_CLOSE): State.CLOSING,
    (State.OPEN, Event.PEER_ENDED): State.LEFT,
    (State.OPEN, Event.VIOLATED): State.BROKEN,
    (State.CLOSING, Event.PEER_ENDED): State.CLOSED,
    (State.CLOSING, Event.VIOLATED): State.FAILED,
    (State.LEFT, Event.SAID_CLOSE): State.CLOSED,
    (State.BROKEN, Event.SAID_CLOSE): State.FAILED,
}
# More may come from the peer.
LISTENING = frozenset((State.OPEN, State.CLOSING))
# Nothing may be sent any more, the close frame was the last.
SAID_ALL = frozenset((State.CLOSING, State.CLOSED, State.FAILED))
# The peer is past understanding.
VIOLATED = frozenset((State.BROKEN, State.FAILED))
