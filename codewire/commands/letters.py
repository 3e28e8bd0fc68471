"""Messages between sessions as commands show them while they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codewire.commands import output
from codewire.wire import events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codewire.wire.answers.events import Event, Happening


def show_happenings(frames: Iterable[Happening], *, as_json: bool) -> int:
    """Print messages as they come; what a reader has missed is said on stderr."""
    from codewire.wire.answers.events import Event, EventsLost

    is_listening = False
    for frame in frames:
        if isinstance(frame, EventsLost):
            output.notice(f"{frame.count} messages lost: this reader was too slow")
        elif isinstance(frame, Event):
            _show_event(frame, as_json)
        elif is_listening:
            output.notice("the node's worker was replaced; messages in between may be missing")
        else:
            is_listening = True
            output.notice("listening for messages...")
    return 0


def _show_event(frame: Event, as_json: bool) -> None:
    event = dict(frame.sent)
    data = frame.data
    if as_json:
        found = output.compact_json({"session_id": frame.session_id, **event})
        output.write(found + "\n", flush=True)
        return
    sender, recipient, body = label(data, "from"), label(data, "to"), shown(data.get("body", ""))
    request_id = data.get("request_id", "")
    if event.get("type") == events.REQUEST:
        text = f"[{sender} → {recipient}] REQUEST ({request_id}): {body}"
    elif event.get("type") == events.REPLY:
        text = f"[{sender}] REPLY ({request_id}): {body}"
    else:
        text = f"[{sender} → {recipient}] {body}"
    output.write(text + "\n", flush=True)


def label(letter: Mapping[str, Any], kind: str) -> str:
    """Return the name of the sender or recipient, else its id; 0 is nobody."""
    return str(letter.get(f"{kind}_name") or letter.get(kind) or 0)


def shown(body: str) -> str:
    """Return a body that can do nothing to a terminal."""
    if body.isprintable():
        return body
    from codewire.term.paste import harmless

    return harmless(body)
