"""Logs and WatchSession: a session's output as text (wire.md 9.2, 9.3).

Offsets in answers say how far the text goes in raw bytes, so a client that lost its connection
resumes exactly there; what a decoder still holds back is not counted as delivered.
"""

from __future__ import annotations

from codewire.io.deadline import Deadline
from codewire.io.streams import FrameStream
from codewire.node.caller import Caller
from codewire.node.context import Message, Node, Streamer
from codewire.node.handlers.attach import history_offset
from codewire.node.handlers.peer import Peer
from codewire.output.cursor import Cursor
from codewire.session.session import Session
from codewire.term.strip import AnsiStripper
from codewire.wire.utf8 import Utf8Stream

# One frame of a followed log; a log read once comes in larger pieces, most logs in one.
FOLLOW_BYTES = 65536
ONCE_BYTES = 1 << 20


class TextReader:
    """Turns a cursor into text pieces with the offset each one reaches."""

    def __init__(self, cursor: Cursor, strip: bool) -> None:
        self._cursor = cursor
        self._stripper = AnsiStripper(is_continued=cursor.offset > 0) if strip else None
        self._decoder = Utf8Stream()

    def read(self, limit: int, until: int | None = None) -> tuple[str, int, bool]:
        """Return (text, gap, whether anything was read); nothing is read at or past `until`."""
        if until is not None:
            limit = min(limit, max(0, until - self._cursor.offset))
        chunk = self._cursor.read(limit)
        data = chunk.data
        if chunk.gap:
            # What a sequence or a character began before the gap does not go on after it.
            self._decoder = Utf8Stream()
            self._stripper = AnsiStripper(is_continued=True) if self._stripper is not None else None
        if self._stripper is not None:
            data = self._stripper.feed(data)
        return self._decoder.feed(data), chunk.gap, bool(chunk.data or chunk.gap)

    def finish(self) -> str:
        """Return what the decoder still holds: the text ends here, all of it is delivered."""
        self._stripper = None
        return self._decoder.feed(b"", final=True)

    @property
    def offset(self) -> int:
        """How far the text handed out goes, in raw bytes."""
        held = self._decoder.pending
        if self._stripper is not None:
            held += self._stripper.pending
        return self._cursor.offset - held


def logs(node: Node, stream: FrameStream, request: Message, caller: Caller) -> None:
    """Answer Logs, once or following. Raises RequestError."""
    session = node.session(request)
    peer = Peer(stream)
    cursor = session.cursor(0, peer.waker)
    try:
        cursor.offset = _tail_offset(cursor, request)
        reader = TextReader(cursor, request.get("strip_ansi") is not False)
        if not request.get("follow"):
            _send_once(stream, session, cursor, reader, request.get("max_bytes"))
            return
        session.watch(peer.waker)
        deadline = Deadline.after(node.timeout(request) or None)
        marks = Marks(session) if request.get("mark_typed") else None
        with node.showing.on(request.get("from_session"), session.id):
            peer.run(
                lambda: _follow(stream, session, peer, reader, deadline, marks),
                outlives_half_close=True,
            )
    finally:
        session.unwatch(peer.waker)
        cursor.close()


def _tail_offset(cursor: Cursor, request: Message) -> int:
    if request.get("from_offset") is not None:
        return min(int(request["from_offset"]), cursor.log.end)
    tail = request.get("tail")
    return 0 if tail is None else cursor.log.line_start(tail)


def _send_once(
    stream: FrameStream,
    session: Session,
    cursor: Cursor,
    reader: TextReader,
    max_bytes: int | None,
) -> None:
    """Send the log from the cursor to its end as it is now, or `max_bytes` of it.

    A character or escape sequence that is not whole yet is left for the next read, unless nothing
    more can come or it is all there was room for.
    """
    is_final = not session.is_running()
    start, end = cursor.offset, cursor.log.end
    until = end if max_bytes is None else min(end, start + max_bytes)
    while True:
        text, gap, _ = reader.read(ONCE_BYTES, until)
        done = cursor.offset >= until
        if done and ((is_final and until == end) or reader.offset == start < until):
            text += reader.finish()
        stream.send_control(_log_data(text, reader.offset, gap, done))
        if done:
            return


def _log_data(text: str, offset: int, gap: int, done: bool) -> Message:
    return {
        "type": "LogData",
        "data": text or None,
        "done": done,
        "offset": offset,
        "gap": gap or None,
    }


class Marks:
    """What was typed into a session, for a client that must tell its echo from output."""

    def __init__(self, session: Session) -> None:
        self._typed = session.terminal.typed
        self._seen = 0
        self._last: list[list[object]] = []

    def take(self) -> list[list[object]] | None:
        """Return [offset, line] of what was typed since the last call; None for nothing."""
        entries = self._typed.since(self._seen)
        self._seen = max((number for number, _, _ in entries), default=self._seen)
        found: list[list[object]] = [
            [offset, line.decode("utf-8", "replace")] for _, offset, line in entries
        ]
        if not found or found == self._last:
            return None
        self._last = found
        return found


def _follow(
    stream: FrameStream,
    session: Session,
    peer: Peer,
    reader: TextReader,
    deadline: Deadline,
    marks: Marks | None,
) -> None:
    is_first = True
    while not peer.is_gone:
        peer.waker.clear()
        has_ended = not session.is_running()
        text, gap, anything = reader.read(FOLLOW_BYTES)
        # Looked at after the log: an echo comes after what it is an echo of was noted.
        typed = marks.take() if marks is not None else None
        left = deadline.left()
        if not anything and (has_ended or left == 0):
            last = _log_data(reader.finish() if has_ended else "", reader.offset, 0, True)
            stream.send_control({**last, "typed": typed, "timed_out": not has_ended or None})
            return
        if text or gap or is_first:
            message = _log_data(text, reader.offset, gap, False)
            stream.send_control({**message, "typed": typed} if typed else message)
            is_first = False
        if not anything:
            peer.wait(left)


def watch(node: Node, stream: FrameStream, request: Message, caller: Caller) -> None:
    """Answer WatchSession: raw text until the session ends. Raises RequestError."""
    session = node.session(request)
    peer = Peer(stream)
    cursor = session.cursor(0, peer.waker)
    session.watch(peer.waker)
    try:
        if request.get("history_lines") is None and request.get("tail") is not None:
            request["history_lines"] = request["tail"]
        cursor.offset = history_offset(session, cursor, request)
        with node.showing.on(request.get("from_session"), session.id):
            peer.run(lambda: _watch(stream, session, peer, TextReader(cursor, False)))
    finally:
        session.unwatch(peer.waker)
        cursor.close()


def _watch(stream: FrameStream, session: Session, peer: Peer, reader: TextReader) -> None:
    while not peer.is_gone:
        peer.waker.clear()
        has_ended = not session.is_running()
        text, gap, anything = reader.read(FOLLOW_BYTES)
        if not anything and has_ended:
            rest = reader.finish()
            if rest:
                stream.send_control(_update("running", rest, reader.offset, 0))
            done = {"type": "WatchUpdate", "status": session.record.status_text(), "done": True}
            stream.send_control({**done, "offset": reader.offset})
            return
        if text or gap:
            stream.send_control(_update("running", text, reader.offset, gap))
        if not anything:
            peer.wait()


def _update(status: str, text: str, offset: int, gap: int) -> Message:
    return {
        "type": "WatchUpdate",
        "status": status,
        "output": text,
        "done": False,
        "offset": offset,
        "gap": gap or None,
    }


STREAMS: dict[str, Streamer] = {"Logs": logs, "WatchSession": watch}
