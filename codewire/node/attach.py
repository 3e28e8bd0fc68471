"""Attach: a client's terminal on a session, output one way, keystrokes the other (wire.md 9.1)."""

from __future__ import annotations

import time
from typing import Any

from codewire.errors import ProtocolError, RequestError
from codewire.io.streams import FrameStream
from codewire.node.context import Message, Node
from codewire.node.peer import Peer
from codewire.session.input import InputClosed
from codewire.session.log import Cursor
from codewire.session.session import Session
from codewire.wire.control import decode_control
from codewire.wire.frames import DATA
from codewire.wire.requests import parse_request

FRAME_BYTES = 65536
# Keystrokes are reported as events in sums, not one by one.
INPUT_EVENT_SECONDS = 1.0


def history_offset(session: Session, cursor: Cursor, request: Message) -> int:
    """Return where a reader starts: a named offset, some last lines, all, or only what is new."""
    if request.get("from_offset") is not None:
        return min(int(request["from_offset"]), cursor.log.end)
    if request.get("include_history") is False:
        return cursor.log.end
    lines = request.get("history_lines")
    # From 0, so that a reader of everything is told when its beginning is gone.
    return 0 if lines is None else cursor.log.line_start(lines)


def attach(node: Node, stream: FrameStream, request: Message) -> None:
    """Serve one attached client until it detaches, goes away, or the session ends.

    A client that names an offset is resuming: it also gets the rest of a session that has ended.
    """
    session = node.session(request)
    if not session.is_running() and request.get("from_offset") is None:
        raise RequestError(f"session {session.id} is not running")
    Attachment(node, stream, session).run(request)


class Attachment:
    """One attached client."""

    def __init__(self, node: Node, stream: FrameStream, session: Session) -> None:
        self._node = node
        self._stream = stream
        self._session = session
        self._peer = Peer(stream)
        self._client_id = f"client-{next(node.client_numbers)}"
        self._detaching = False
        self._unreported = 0
        self._reported_at = time.monotonic()

    def run(self, request: Message) -> None:
        """Serve the client. Blocks."""
        session, sessions = self._session, self._node.sessions
        cursor = session.cursor(0, self._peer.waker)
        session.watch(self._peer.waker)
        sessions.publish_attached(session, self._client_id, True)
        try:
            cursor.offset = history_offset(session, cursor, request)
            start = max(cursor.offset, cursor.log.first)
            self._stream.send_control({"type": "Attached", "id": session.id, "offset": start})
            self._peer.run(lambda: self._pump(cursor), self._on_frame)
        finally:
            session.unwatch(self._peer.waker)
            cursor.close()
            self._report_input()
            sessions.publish_attached(session, self._client_id, False)

    def _pump(self, cursor: Cursor) -> None:
        """Send what the session prints, then why it ended."""
        peer, session = self._peer, self._session
        while not peer.is_gone:
            peer.waker.clear()
            if self._detaching:
                self._stream.send_control({"type": "Detached", "id": session.id})
                return
            # Looked at first: once it is set, everything printed is in the log.
            has_ended = session.ended.is_set()
            chunk = cursor.read(FRAME_BYTES)
            if chunk.gap:
                gap = {"type": "Gap", "offset": chunk.offset, "gap": chunk.gap}
                self._stream.send_control(gap)
            if chunk.data:
                self._stream.send_data(chunk.data)
            elif has_ended:
                text = f"session {session.record.status_text()}"
                self._stream.send_control({"type": "Error", "message": text})
                return
            else:
                peer.wait()

    def _on_frame(self, kind: int, payload: bytes) -> None:
        if kind == DATA:
            self._type(payload)
            return
        try:
            message = parse_request(decode_control(payload))
        except ProtocolError:
            # As upstream: a control frame that makes no sense is ignored here.
            return
        if message["type"] == "Detach":
            self._detaching = True
            self._peer.waker.set()
        elif message["type"] == "Resize":
            self._resize(message)

    def _type(self, data: bytes) -> None:
        try:
            self._node.sessions.key_in(self._session, data)
        except InputClosed:
            return
        self._unreported += len(data)
        if time.monotonic() - self._reported_at >= INPUT_EVENT_SECONDS:
            self._report_input()

    def _report_input(self) -> None:
        count, self._unreported = self._unreported, 0
        self._reported_at = time.monotonic()
        if count:
            self._node.sessions.publish_input(self._session, "attach", count)

    def _resize(self, message: dict[str, Any]) -> None:
        rows, cols = message.get("rows"), message.get("cols")
        if rows and cols:
            self._session.resize(rows, cols)
