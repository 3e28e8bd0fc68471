"""Accepts clients and hands each request to its handler. One bad client harms only itself."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable

from codewire.errors import CodewireError, ConnectionLost, OutOfThreads, ProtocolError
from codewire.io.streams import FrameStream
from codewire.io.wait import spawn
from codewire.node.context import Message, Node
from codewire.node.handlers import (
    agents,
    attach,
    control,
    kv,
    messages,
    output,
    screens,
    typing,
    waiting,
)
from codewire.wire.control import control_frame, decode_control
from codewire.wire.frames import CONTROL
from codewire.wire.requests import parse_request

log = logging.getLogger(__name__)

# After an error of accept(2), which the next client would only meet again.
ACCEPT_PAUSE_SECONDS = 0.1
# What a client that is turned away may take to say what it wants; nobody is accepted meanwhile.
TURN_AWAY_SECONDS = 0.2
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
    "ReportTask": agents.report_task,
    "ExplainAgent": agents.explain_agent,
}

# One answer each, which may take a while: they are told when the client has left.
PATIENT: dict[str, Callable[[Node, Message, Callable[[], bool]], Message]] = {
    "SendInput": typing.send_input,
    "GetScreen": screens.get_screen,
    "GetStatus": control.get_status,
    "Approvals": agents.approvals,
}

STREAMING: dict[str, Callable[[Node, FrameStream, Message], None]] = {
    "Attach": attach.attach,
    "Logs": output.logs,
    "WatchSession": output.watch,
    "Subscribe": waiting.subscribe,
    "Wait": waiting.wait,
    "MsgRequest": messages.ask,
    "MsgListen": messages.listen,
    "Approve": agents.approve,
}


def accept_clients(node: Node, listener: socket.socket) -> None:
    """Serve clients for ever, each in its own greenlet or thread."""
    while True:
        try:
            sock, _ = listener.accept()
        except (OSError, MemoryError) as error:
            # Out of descriptors: those in use go on, the new ones wait in the backlog.
            log.warning("accepting a client failed: %s", error)
            time.sleep(ACCEPT_PAUSE_SECONDS)
            continue
        try:
            spawn(serve, node, FrameStream(sock))
        except (OutOfThreads, MemoryError):
            log.warning("a client was turned away: %s", NO_ROOM)
            turn_away(sock, control_frame({"type": "Error", "message": NO_ROOM}))


def turn_away(sock: socket.socket, answer: bytes) -> None:
    """Answer a client that nobody can serve, and close. Blocks for TURN_AWAY_SECONDS at most."""
    try:
        sock.settimeout(TURN_AWAY_SECONDS)
        # Read first: closing with bytes unread, or before they were sent, would be an error to it.
        sock.recv(1 << 16)
        sock.sendall(answer)
    except (OSError, MemoryError):
        pass
    finally:
        sock.close()


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
