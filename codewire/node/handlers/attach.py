"""Attach: a client's terminal on a session, output one way, keystrokes the other (wire.md 9.1)."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from codewire.errors import OutOfThreads, ProtocolError, RequestError
from codewire.io.streams import FrameStream
from codewire.io.wait import spawn
from codewire.node.caller import Caller
from codewire.node.context import Message, Node, Streamer
from codewire.node.handlers.ahead import Ahead
from codewire.node.handlers.peer import Peer
from codewire.output.cursor import Cursor
from codewire.output.log import Chunk, OutputLog
from codewire.session.agentstate import Shown
from codewire.session.session import Session
from codewire.term.canvas import is_emulated as terminal_is_emulated
from codewire.term.modes import Modes
from codewire.term.queries import STATUS_BYTES, Replay, find_unfinished, mask_queries
from codewire.term.screen import Screen
from codewire.terminal.display import MODES_BYTES, SCREEN_BYTES, scan_modes
from codewire.terminal.input import InputClosed
from codewire.terminal.turns import ScreenUnknown
from codewire.terminal.viewers import Viewer
from codewire.wire.codes import NOT_RUNNING
from codewire.wire.control import decode_control, encode_bytes
from codewire.wire.frames import DATA
from codewire.wire.requests import parse_request
from codewire.wire.sizes import clamped

# One frame: large for many watchers of a flood, small while somebody types, who waits for it.
FRAME_BYTES = 1 << 18
TYPING_FRAME_BYTES = 1 << 14
TAIL_BYTES = 4096
# Below this, reading and sending costs less than sendfile's two system calls.
FILE_BYTES = 1 << 15
# Keystrokes are reported as events in sums, not one by one.
INPUT_EVENT_SECONDS = 1.0
# What a terminal gets of a session that scrolls, unless it asks for more or less.
HISTORY_LINES = 2000
# A terminal that takes none meanwhile gets the last ones.
MAX_NOTICES = 20
# Between the two size changes that make a full-screen program draw everything again: long enough
# for it to see the first one.
NUDGE_SECONDS = 0.1


def history_offset(session: Session, cursor: Cursor, request: Message) -> int:
    """Return where a reader starts: a named offset, some last lines, all, or only what is new."""
    if request.get("from_offset") is not None:
        return min(int(request["from_offset"]), cursor.log.end)
    if request.get("include_history") is False:
        return cursor.log.end
    lines = request.get("history_lines")
    # From 0, so that a reader of everything is told when its beginning is gone.
    return 0 if lines is None else cursor.log.line_start(lines)


def attach(node: Node, stream: FrameStream, request: Message, caller: Caller) -> None:
    """Serve one attached client until it detaches, goes away, or the session ends.

    A client that names an offset is resuming: it also gets the rest of a session that has ended.
    """
    session = node.session(request)
    if not session.is_running() and request.get("from_offset") is None:
        raise RequestError(f"session {session.id} is not running", NOT_RUNNING)
    with node.showing.on(request.get("from_session"), session.id):
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
        self._viewer = Viewer()
        # From here on its terminal answers queries; those before are not shown to it.
        self._live_from = 0
        self._wants_redraw = False
        self._replay = mask_queries
        # How many clients ours was last told of; only a terminal of our own kind is told.
        self._is_terminal = False
        self._told_viewers = 1
        self._notices: deque[Message] = deque(maxlen=MAX_NOTICES)
        # Told to who has subscribed: a client whose terminal shows states.
        self._wants_states = False
        self._told_state: Shown | None = None
        self._ahead = Ahead()
        self._has_left = False
        # The last bytes sent: a query may be cut anywhere.
        self._sent_last = b""
        self._unreported = 0
        self._reported_at = time.monotonic()

    def run(self, request: Message) -> None:
        """Serve the client. Blocks."""
        session, sessions = self._session, self._node.sessions
        continued = sessions.ending.go_on(session)
        cursor = session.cursor(0, self._peer.waker)
        session.watch(self._peer.waker)
        sessions.publish_attached(session, self._client_id, True)
        session.terminal.viewers.add(self._viewer)
        session.wake()
        self._is_terminal = request.get("history") is not None
        if request.get("notices"):
            self._node.notices.add(self._post)
        questions = session.questions
        resumed = request.get("from_offset")
        cursor.offset = cursor.log.end
        if questions is not None:
            self._live_from = questions.attached(cursor.log, resumed)
        try:
            prologue = self._begin(cursor, request)
            start = max(cursor.offset, cursor.log.first)
            self._stream.send_control(
                {
                    "type": "Attached",
                    "id": session.id,
                    "offset": start,
                    "prologue": encode_bytes(prologue) if prologue else None,
                    "continued": continued or None,
                }
            )
            self._peer.run(lambda: self._pump(cursor), self._on_frame)
        finally:
            self._node.notices.remove(self._post)
            session.terminal.viewers.remove(self._viewer)
            if questions is not None:
                questions.detached(cursor.offset)
            session.unwatch(self._peer.waker)
            cursor.close()
            self._report_input()
            sessions.publish_attached(session, self._client_id, False)
            session.wake()

    def _begin(self, cursor: Cursor, request: Message) -> bytes:
        """Set the cursor to where the client begins; return what its terminal gets before that."""
        if request.get("history") != "terminal" or request.get("from_offset") is not None:
            wants_none = request.get("include_history") is False
            cursor.offset = history_offset(self._session, cursor, request)
            if wants_none and self._session.questions is not None:
                # Not in the middle of a query, which nobody would answer then.
                cursor.offset = min(cursor.offset, self._live_from)
            return b""
        return self._begin_terminal(cursor, request)

    def _begin_terminal(self, cursor: Cursor, request: Message) -> bytes:
        """As `_begin` for a client that is a terminal: it gets modes, and a screen or lines."""
        log = cursor.log
        offset, is_alternate, has_region, shown = self._shown(log)
        cursor.offset = self._live_from = offset
        self._wants_redraw = is_alternate
        if is_alternate or request.get("include_history") is False:
            return shown
        lines = request.get("history_lines")
        start = log.line_start(HISTORY_LINES if lines is None else lines, cursor.offset)
        modes = Modes()
        cursor.offset = scan_modes(modes, log, max(log.first, start - MODES_BYTES), start)
        self._replay = Replay(modes.is_alternate).feed
        # One that was set for another size is in force no more: the screen knows.
        return modes.enter(region=has_region)

    def _shown(self, log: OutputLog) -> tuple[int, bool, bool, bytes]:
        """Return (offset, is the alternate screen shown, has it a region, what shows it)."""
        session, until = self._session, self._live_from or log.end
        is_emulated = terminal_is_emulated(*session.size())

        def view(screen: Screen, reached: int) -> tuple[int, bool, bool, bytes]:
            is_alternate, has_region = screen.modes.is_alternate, screen.has_region
            if is_alternate and is_emulated:
                shown = screen.paint(with_region=False)
            else:
                # Of a screen that is not known, only that it is the alternate one.
                shown = screen.modes.enter(region=has_region and not is_alternate)
            return reached - screen.pending, is_alternate, has_region, shown

        try:
            return session.terminal.display.look(log, view, until, has_left=self._stream.has_left)
        except ScreenUnknown:
            # Not drawn in time: a full-screen program will draw it again for its new size.
            modes = Modes()
            reached = scan_modes(modes, log, max(log.first, until - SCREEN_BYTES), until)
            return reached, modes.is_alternate, False, modes.enter(region=False)

    def _read_masked(self, cursor: Cursor) -> Chunk:
        """Return the next bytes; queries that somebody else has answered are blotted out.

        Only for a terminal of our own kind: other clients get the log byte for byte (wire.md 9.1).
        """
        left = self._live_from - cursor.offset
        chunk = cursor.read(min(FRAME_BYTES, left))
        stop = find_unfinished(chunk.data) if len(chunk.data) < left else len(chunk.data)
        if stop:
            cursor.offset = chunk.offset + stop
            return chunk._replace(data=self._replay(chunk.data[:stop]))
        return chunk

    def _pump(self, cursor: Cursor) -> None:
        """Send what the session prints, then why it ended."""
        peer, session = self._peer, self._session
        while not peer.is_gone:
            peer.waker.clear()
            if self._detaching:
                self._stream.send_control({"type": "Detached", "id": session.id})
                return
            if self._is_terminal and self._told_viewers != session.attached_count:
                self._told_viewers = session.attached_count
                self._stream.send_control({"type": "Viewers", "count": self._told_viewers})
            while self._notices:
                self._stream.send_control({"type": "Notice", **self._notices.popleft()})
            if self._wants_states:
                self._tell_state()
            # Looked at first: once it is set, everything printed is in the log.
            has_ended = not session.is_running()
            if self._forward(cursor):
                continue
            if has_ended:
                text = f"session {session.record.status_text()}"
                self._stream.send_control({"type": "Error", "message": text})
                return
            peer.wait()

    def _post(self, notice: Message) -> None:
        self._notices.append(notice)
        self._peer.waker.set()

    def _tell_state(self) -> None:
        """Tell the client what the session does, for the terminal around it."""
        agent, before = self._session.agent, self._told_state
        if agent is None or agent.told is before:
            return
        now = self._told_state = agent.told
        if before is not None and now.is_same(before):
            return
        told = {key: getattr(now, key) or None for key in ("state", "kind", "reason", "source")}
        agent_name = agent.program.name or None
        self._stream.send_control({"type": "State", **told, "agent": agent_name})

    def _forward(self, cursor: Cursor) -> bool:
        """Send the next bytes of the log; return whether there were any."""
        log = cursor.log
        left = log.end - cursor.offset
        if left <= 0:
            return False
        masks = self._is_terminal and cursor.offset < self._live_from
        limit = TYPING_FRAME_BYTES if self._node.sessions.keyboard.is_typing() else FRAME_BYTES
        is_small = min(limit, left) < FILE_BYTES
        if masks or is_small or not (self._stream.sends_files and log.is_sendable):
            chunk = self._read_masked(cursor) if masks else cursor.read(limit)
            self._tell_gap(chunk.offset, chunk.gap)
            if chunk.data:
                self._note_sent(chunk.data, chunk.end)
                self._stream.send_data(chunk.data)
            return bool(chunk.data)
        offset, count, gap = cursor.claim(limit)
        self._tell_gap(offset, gap)
        if count:
            # What a program waits for an answer to is the last that it has printed.
            tail = log.read(max(offset, offset + count - TAIL_BYTES), min(count, TAIL_BYTES))
            self._note_sent(tail.data, tail.end)
            self._stream.send_file(log.fileno(), offset, count, log.holds)
        return bool(count)

    def _note_sent(self, data: bytes, end: int) -> None:
        """Answer what is the node's to answer, before it is sent."""
        if self._session.questions is not None:
            self._session.questions.answer_status(self._sent_last + data, end)
        self._sent_last = data[1 - STATUS_BYTES :]

    def _tell_gap(self, offset: int, gap: int) -> None:
        if gap:
            self._stream.send_control({"type": "Gap", "offset": offset, "gap": gap})

    def _on_frame(self, kind: int, payload: bytes) -> None:
        if kind == DATA:
            self._type(payload)
        else:
            self._on_control(payload)

    def _on_control(self, payload: bytes) -> None:
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
        elif message["type"] == "Subscribe":
            self._wants_states = True
            self._peer.waker.set()

    def _type(self, data: bytes) -> None:
        """Type what the client sent, and what came while its program did not read."""
        if not self._has_left:
            self._ahead.add(data)
        while (waiting := self._ahead.take()) is not None:
            self._session.terminal.viewers.typed(self._viewer)
            self._unreported += self._key_in(waiting)
        if time.monotonic() - self._reported_at >= INPUT_EVENT_SECONDS:
            self._report_input()

    def _key_in(self, data: bytes) -> int:
        """Type; return how many bytes were typed before the session ended or the client left."""
        try:
            self._node.sessions.keyboard.key_in(self._session, data, self._wants_to_leave)
        except InputClosed as error:
            if self._detaching or self._stream.has_left():
                # Nothing behind what was not typed is typed either.
                self._has_left = True
                self._ahead.drop()
            return error.written
        return len(data)

    def _wants_to_leave(self) -> bool:
        """Say whether the client has left; reads what it sends while its input waits."""
        for kind, payload in self._ahead.receive(self._stream):
            if kind == DATA:
                self._ahead.add(payload)
            else:
                self._on_control(payload)
        return self._detaching or self._stream.has_left()

    def _report_input(self) -> None:
        count, self._unreported = self._unreported, 0
        self._reported_at = time.monotonic()
        if count:
            self._node.sessions.keyboard.publish_input(self._session, "attach", count)

    def _resize(self, message: dict[str, Any]) -> None:
        rows, cols = message.get("rows"), message.get("cols")
        if not rows or not cols:
            return
        size = rows, cols = clamped(rows, cols)
        if self._wants_redraw and rows > 1 and size == self._session.size():
            # The program is not told of a size it has already: change it, and change it back.
            self._session.terminal.viewers.resize(self._viewer, (rows - 1, cols))
            try:
                spawn(self._resize_back, size)
            except OutOfThreads:
                self._resize_back(size)
        else:
            self._session.terminal.viewers.resize(self._viewer, size)
        self._wants_redraw = False

    def _resize_back(self, size: tuple[int, int]) -> None:
        time.sleep(NUDGE_SECONDS)
        if self._viewer.size == (size[0] - 1, size[1]) and not self._peer.is_gone:
            self._session.terminal.viewers.resize(self._viewer, size)


STREAMS: dict[str, Streamer] = {"Attach": attach}
