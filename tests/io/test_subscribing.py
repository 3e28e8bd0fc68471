"""Who may not listen to sessions does not learn by another request what they are told."""

from __future__ import annotations

import json
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from codewire.io.streams import FrameStream
from codewire.node.caller import Caller, local_caller, relay_caller
from codewire.node.handlers.waiting import subscribe
from codewire.session.events import EventBus
from codewire.wire import events

PATIENCE = 20.0


def next_types(caller: Any, count: int) -> list[str]:
    """Return the types of the first events a caller is sent after a message and an input."""
    bus = EventBus()
    node: Any = SimpleNamespace(sessions=SimpleNamespace(bus=bus))
    ours, theirs = socket.socketpair()
    stream, client = FrameStream(theirs), FrameStream(ours)
    ours.settimeout(PATIENCE)
    who: Caller = caller(stream)
    serving = threading.Thread(target=subscribe, args=(node, stream, {}, who))
    serving.start()
    found = []
    try:
        assert client.receive() is not None
        kinds = (events.MESSAGE, events.REQUEST, events.REPLY, events.INPUT)
        for kind in kinds:
            bus.publish(1, (), kind, {"body": "secret"})
        for _ in range(count):
            frame = client.receive()
            assert frame is not None
            found.append(json.loads(frame[1])["event"]["type"])
    finally:
        client.close()
        serving.join(PATIENCE)
        stream.close()
    return found


@pytest.mark.parametrize("is_local", [True, False])
def test_mail_is_shown_to_who_may_listen(is_local: bool) -> None:
    if is_local:
        wanted = [events.MESSAGE, events.REQUEST, events.REPLY, events.INPUT]
        assert next_types(local_caller, 4) == wanted
    else:
        assert next_types(lambda stream: relay_caller(stream, "owner"), 1) == [events.INPUT]
