"""Two clients that talk through the node: how long a question takes to be answered."""

from __future__ import annotations

import threading
import time

from bench.report import Results
from bench.systems import Ours
from bench.wire import Connection, call


def round_trips(results: Results, system: Ours, count: int) -> None:
    """Milliseconds from sending a request to having its reply.

    One client listens and answers, each answer on a connection of its own; both inboxes are
    written to disk each time.
    """
    asker = int(system.launch(["sleep", "100000"]))
    replier = int(system.launch(["sleep", "100000"]))
    with Connection(system.socket) as listener:
        listener.send({"type": "MsgListen", "id": replier})
        listener.answer()
        answering = threading.Thread(target=_answer, args=(listener, system.socket, count))
        answering.start()
        question = {"type": "MsgRequest", "id": asker, "to_id": replier, "body": "ready?"}
        for _ in range(count):
            start = time.perf_counter()
            call(system.socket, question)
            results.add("request_reply", system.name, (time.perf_counter() - start) * 1e3)
        answering.join()
    for session in (asker, replier):
        system.end_session(str(session))


def _answer(listener: Connection, path: str, count: int) -> None:
    answered = 0
    while answered < count:
        event = listener.answer()["event"]
        if event["type"] == "message.request":
            data = event["data"]
            reply = {"type": "MsgReply", "request_id": data["request_id"], "body": "yes"}
            call(path, {**reply, "id": data["to"]})
            answered += 1
