"""What a subscription brings: its acknowledgement, events, and how many were missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from codewire.wire.answers.reading import NOTHING_SENT, read


class Subscribed(NamedTuple):
    """Events come from here on. A second one says that the worker was replaced meanwhile."""

    subscription_id: int = 0
    sent: Mapping[str, Any] = NOTHING_SENT


class Event(NamedTuple):
    """Something that happened in a session; `data` has what its `type` brings (spec/wire.md 13)."""

    session_id: int = 0
    type: str = ""
    timestamp: str = ""
    data: Mapping[str, Any] = NOTHING_SENT
    sent: Mapping[str, Any] = NOTHING_SENT


class EventsLost(NamedTuple):
    """This reader was too slow for `count` events."""

    count: int = 0  # type: ignore[assignment]
    sent: Mapping[str, Any] = NOTHING_SENT


Happening = Subscribed | Event | EventsLost


def read_event(frame: Mapping[str, Any]) -> Happening:
    """Return what a frame of a subscription says. Raises ProtocolError."""
    kind = frame.get("type")
    if kind == "EventsLost":
        return read(EventsLost, frame)
    if kind != "Event":
        return read(Subscribed, frame)
    event = frame.get("event")
    found = event if isinstance(event, dict) else {}
    return read(Event, found, session_id=frame.get("session_id") or 0)
