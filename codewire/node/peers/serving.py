"""Serves the peer RPC on a byte stream, whoever carries it: a hello, then requests one by one.

Of a connection that has not said who it is, little is taken and for not long, and there are not
many of them.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from codewire.errors import CodewireError, ConnectionLost, OutOfThreads, ProtocolError, RequestError
from codewire.io.clock import CLOCK, Clock
from codewire.io.messagesocket import MessageStream
from codewire.io.wait import spawn
from codewire.node.peers import letters, reading
from codewire.node.peers.gate import Gate
from codewire.node.peers.visit import PeerHandler, PeerStreamer, Visit
from codewire.wire.codes import INTERNAL, code_of
from codewire.wire.control import decode_control
from codewire.wire.frames import CONTROL, MAX_PAYLOAD
from codewire.wire.peers import ACK, ERROR, REQUESTS, parse_hello, parse_peer_request

if TYPE_CHECKING:
    from codewire.io.streams import FrameStream
    from codewire.io.websockets import WebSocketStream
    from codewire.node.context import Message, Node
    from codewire.node.peers.gate import Visitor

log = logging.getLogger(__name__)

HELLO_SECONDS = 10.0
# The longest token there is, with room for the JSON around it.
MAX_HELLO = 300 * 1024
# A visitor that asks for nothing.
IDLE_SECONDS = 60.0
# Those who have not said who they are, all and of one address; those who have, all and of each.
MAX_STRANGERS, STRANGERS_EACH = 64, 16
MAX_VISITORS, VISITORS_EACH = 256, 64

ANSWERS: dict[str, PeerHandler] = {**letters.ANSWERS, **reading.ANSWERS}
STREAMS: dict[str, PeerStreamer] = {**letters.STREAMS, **reading.STREAMS}


class Places:
    """So many places, of which each has its share. Any thread may take one."""

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, each
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, who: str) -> Iterator[None]:
        """Have a place. Raises ProtocolError where there is none."""
        with self._lock:
            if self._taken[who] >= self._each or self._taken.total() >= self._most:
                raise ProtocolError(f"{who} has to wait: too many connections")
            self._taken[who] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[who] -= 1
                self._taken += Counter()


class Peers:
    """The peer RPC of a node, for whatever brings a connection."""

    def __init__(self, node: Node, clock: Clock = CLOCK) -> None:
        self._node = node
        self.gate = Gate(node.paths, clock, node.sessions.scribe)
        self.strangers = Places(MAX_STRANGERS, STRANGERS_EACH)
        self._visitors = Places(MAX_VISITORS, VISITORS_EACH)

    def serve_messages(self, messages: WebSocketStream, address: str = "") -> None:
        """Serve a WebSocket whose binary messages are the bytes of the RPC; see `serve`."""
        self.serve(MessageStream(messages), address)

    def serve(self, stream: FrameStream, address: str = "") -> None:
        """Serve one visitor until it goes. Blocks; closes the stream.

        `address` is where a stranger comes from; "" for one whom the relay has let in.
        """
        try:
            with self.strangers.take(address) if address else nullcontext(), _in_time(stream):
                visitor = _shake_hands(self.gate, stream)
            if visitor is not None:
                log.info("a peer comes in: %s", visitor)
                with self._visitors.take(str(visitor)):
                    _serve_requests(Visit(self._node, self.gate, stream, visitor))
        except (ConnectionLost, TimeoutError):
            pass
        except ProtocolError as error:
            log.info("a peer is dropped: %.200s", error)
        except OutOfThreads as error:
            log.warning("a peer is turned away: %s", error)
        finally:
            stream.close()


@contextmanager
def _in_time(stream: FrameStream) -> Iterator[None]:
    """End a connection whose hello takes too long, however busily its bytes drip in."""
    is_over = threading.Event()

    def wait() -> None:
        if not is_over.wait(HELLO_SECONDS):
            stream.shutdown()

    spawn(wait)
    try:
        yield
    finally:
        is_over.set()


def _shake_hands(gate: Gate, stream: FrameStream) -> Visitor | None:
    """Return who has come; None after an answer that says why not. Raises as a stream does."""
    stream.bound_frames(MAX_HELLO)
    message = _receive(stream)
    if message is None:
        return None
    try:
        visitor = gate.admit(_credential(message))
    except RequestError as error:
        # What it sent may be in there.
        log.info("a peer is refused: %.200s", error)
        stream.send_control(_error(error))
        return None
    stream.send_control(
        {
            "type": ACK,
            "network_id": visitor.me.network,
            "subject_kind": visitor.principal.kind,
            "subject_id": visitor.principal.id,
        }
    )
    stream.bound_frames(MAX_PAYLOAD)
    return visitor


def _credential(message: Message) -> str:
    """Return the credential in a hello. Raises RequestError for what is none."""
    try:
        return parse_hello(message)
    except ProtocolError as error:
        raise RequestError(str(error)) from error


def _serve_requests(visit: Visit) -> None:
    while True:
        visit.stream.set_timeout(IDLE_SECONDS)
        message = _receive(visit.stream)
        if message is None:
            return
        request = parse_peer_request(message)
        visit.stream.set_timeout(None)
        try:
            if not _dispatch(visit, request):
                return
        except (ConnectionLost, ProtocolError):
            raise
        except CodewireError as error:
            visit.answer(request, _error(error))
        except Exception:
            log.exception("a peer's request failed")
            text = "internal error; the node's log has the details"
            visit.answer(request, {"type": ERROR, "error": text, "code": INTERNAL})
            return


def _dispatch(visit: Visit, request: Message) -> bool:
    """Have a request answered; say whether another may follow."""
    row = REQUESTS[request["type"]]
    log.debug("peer %s: %s", visit.visitor, row.type)
    streamer = STREAMS.get(row.type)
    if streamer is not None:
        streamer(visit, request)
    else:
        visit.answer(request, {"type": row.answer, **ANSWERS[row.type](visit, request)})
    return not row.streams


def _receive(stream: FrameStream) -> Message | None:
    """Return the next message, None at the end. Raises ProtocolError."""
    frame = stream.receive()
    if frame is None:
        return None
    kind, payload = frame
    if kind != CONTROL:
        raise ProtocolError("a data frame in the peer RPC")
    return decode_control(payload)


def _error(error: CodewireError) -> Message:
    return {"type": ERROR, "error": str(error), "code": code_of(error) or None}
