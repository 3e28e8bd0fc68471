"""Accepts clients and hands each request to its handler. One bad client harms only itself."""

from __future__ import annotations

import logging
import socket

from codewire.errors import (
    CodewireError,
    ConnectionLost,
    OutOfThreads,
    ProtocolError,
    RequestError,
)
from codewire.io.accepting import accept_connections
from codewire.io.streams import FrameStream
from codewire.io.wait import spawn
from codewire.node.caller import Caller, authorise, local_caller
from codewire.node.context import Handler, Message, Node, Streamer, refusal
from codewire.node.handlers import (
    agents,
    attach,
    control,
    delegation,
    kv,
    messages,
    output,
    returning,
    screens,
    typing,
    waiting,
)
from codewire.wire.codes import BUSY, INTERNAL, UNKNOWN_REQUEST, code_of
from codewire.wire.control import control_frame, decode_control
from codewire.wire.frames import CONTROL
from codewire.wire.requests import REQUESTS, parse_request

log = logging.getLogger(__name__)

NO_ROOM = str(OutOfThreads())
# Made while there is memory for it.
NO_ROOM_FRAME = control_frame(refusal(NO_ROOM, BUSY))

# Request type -> who answers it; which of the two it is stands in its row (wire/requests.py).
ANSWERS: dict[str, Handler] = {
    **agents.ANSWERS,
    **control.ANSWERS,
    **delegation.ANSWERS,
    **kv.ANSWERS,
    **messages.ANSWERS,
    **returning.ANSWERS,
    **screens.ANSWERS,
    **typing.ANSWERS,
}
STREAMS: dict[str, Streamer] = {
    **agents.STREAMS,
    **attach.STREAMS,
    **messages.STREAMS,
    **output.STREAMS,
    **waiting.STREAMS,
}


def accept_clients(node: Node, listener: socket.socket) -> None:
    """Serve clients for ever, each in its own greenlet or thread. Raises OSError.

    That is when the listener is broken for good.
    """

    def start(sock: socket.socket, _: object) -> None:
        stream = FrameStream(sock)
        spawn(serve, node, stream, local_caller(stream))

    accept_connections(listener, start, NO_ROOM_FRAME)


def serve(node: Node, stream: FrameStream, caller: Caller) -> None:
    """Serve one client until it goes or its stream ends."""
    try:
        while _serve_one(node, stream, caller):
            stream.set_timeout(stream.linger_seconds)
    except (ConnectionLost, TimeoutError):
        pass
    finally:
        stream.close()


def _serve_one(node: Node, stream: FrameStream, caller: Caller) -> bool:
    """Answer one request; return whether another may follow on this connection."""
    request: Message = {}
    try:
        frame = stream.receive()
        if frame is None:
            return False
        stream.set_timeout(None)
        request.update(_parse(*frame))
        return _dispatch(node, stream, request, caller)
    except CodewireError as error:
        if isinstance(error, ConnectionLost):
            raise
        _refuse(stream, request, str(error), code_of(error))
        return not isinstance(error, ProtocolError)
    except TimeoutError:
        raise
    except OSError as error:
        # Of the machine, not of the connection: those are ConnectionLost.
        log.warning("request failed: %s", error)
        _refuse(stream, request, f"request failed: {error}", INTERNAL)
        return False
    except Exception:
        log.exception("request failed")
        _refuse(stream, request, "internal error; the node's log has the details", INTERNAL)
        return False


def _refuse(stream: FrameStream, request: Message, text: str, code: str) -> None:
    row = REQUESTS.get(request.get("type", ""))
    is_plain = not request or (row is not None and not row.streams)
    stream.send_control(refusal(text, code, None if is_plain else request))


def _parse(kind: int, payload: bytes) -> Message:
    if kind != CONTROL:
        raise ProtocolError("expected control message")
    return parse_request(decode_control(payload))


def _dispatch(node: Node, stream: FrameStream, request: Message, caller: Caller) -> bool:
    """Have a request answered; return whether another may follow."""
    name = request["type"]
    log.debug("request %s", name)
    row = REQUESTS.get(name)
    if row is None:
        raise RequestError(f"unknown request type: {name}", UNKNOWN_REQUEST)
    authorise(caller, row.verb, request.get("id") if row.session else None)
    if row.streams:
        STREAMS[name](node, stream, request, caller)
    else:
        stream.send_control(ANSWERS[name](node, request, caller))
    return not row.streams
