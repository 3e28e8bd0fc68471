"""Accepts clients and hands each request to its handler. One bad client harms only itself."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

from codewire.errors import CodewireError, ConnectionLost, OutOfThreads, ProtocolError
from codewire.io.accepting import accept_connections
from codewire.io.streams import FrameStream
from codewire.io.wait import spawn
from codewire.node.context import Message, Node
from codewire.node.handlers import attach, control, kv, messages, output, screens, typing, waiting
from codewire.wire.control import control_frame, decode_control
from codewire.wire.frames import CONTROL
from codewire.wire.requests import parse_request

log = logging.getLogger(__name__)

NO_ROOM = str(OutOfThreads())

ONE_SHOT: dict[str, Callable[[Node, Message], Message]] = {
    "ListSessions": control.list_sessions,
    "Launch": control.launch,
    "Kill": control.kill,
    "KillAll": control.kill_all,
    "KillByTags": control.kill_by_tags,
    "Resize": control.resize_nothing,
    "Detach": control.detach_nothing,
    "NodeStatus": control.node_status,
    "NodeRestart": control.node_restart,
    "MsgSend": messages.send,
    "MsgRead": messages.read,
    "MsgReply": messages.reply,
    "KVSet": kv.set_key,
    "KVGet": kv.get_key,
    "KVDelete": kv.delete_key,
    "KVList": kv.list_keys,
}

# One answer each, which may take a while: they are told when the client has left.
PATIENT: dict[str, Callable[[Node, Message, Callable[[], bool]], Message]] = {
    "SendInput": typing.send_input,
    "GetScreen": screens.get_screen,
    "GetStatus": control.get_status,
}

STREAMING: dict[str, Callable[[Node, FrameStream, Message], None]] = {
    "Attach": attach.attach,
    "Logs": output.logs,
    "WatchSession": output.watch,
    "Subscribe": waiting.subscribe,
    "Wait": waiting.wait,
    "MsgRequest": messages.ask,
    "MsgListen": messages.listen,
}


def accept_clients(node: Node, listener: socket.socket) -> None:
    """Serve clients for ever, each in its own greenlet or thread. Raises OSError.

    That is when the listener is broken for good.
    """

    def start(sock: socket.socket, _: object) -> None:
        spawn(serve, node, FrameStream(sock))

    accept_connections(listener, start, control_frame({"type": "Error", "message": NO_ROOM}))


def serve(node: Node, stream: FrameStream) -> None:
    """Serve one client until it goes or its stream ends."""
    try:
        while _serve_one(node, stream):
            stream.set_timeout(stream.linger_seconds)
    except (ConnectionLost, TimeoutError):
        pass
    finally:
        stream.close()


def _serve_one(node: Node, stream: FrameStream) -> bool:
    """Answer one request; return whether another may follow on this connection."""
    try:
        frame = stream.receive()
        if frame is None:
            return False
        stream.set_timeout(None)
        return _dispatch(node, stream, *frame)
    except CodewireError as error:
        if isinstance(error, ConnectionLost):
            raise
        stream.send_control({"type": "Error", "message": str(error)})
        return not isinstance(error, ProtocolError)
    except TimeoutError:
        raise
    except OSError as error:
        # Of the machine, not of the connection: those are ConnectionLost.
        log.warning("request failed: %s", error)
        stream.send_control({"type": "Error", "message": f"request failed: {error}"})
        return False
    except Exception:
        log.exception("request failed")
        message = "internal error; the node's log has the details"
        stream.send_control({"type": "Error", "message": message})
        return False


def _dispatch(node: Node, stream: FrameStream, kind: int, payload: bytes) -> bool:
    if kind != CONTROL:
        raise ProtocolError("expected control message")
    request = parse_request(decode_control(payload))
    name = request["type"]
    log.debug("request %s", name)
    handler = ONE_SHOT.get(name)
    if handler is not None:
        stream.send_control(handler(node, request))
        return True
    patient = PATIENT.get(name)
    if patient is not None:
        stream.send_control(patient(node, request, stream.has_left))
        return True
    streamer = STREAMING.get(name)
    if streamer is None:
        raise CodewireError(f"unknown request type: {name}")
    streamer(node, stream, request)
    return False
