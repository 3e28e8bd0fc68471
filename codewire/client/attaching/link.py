"""The connection of an attachment: frames both ways, and back at the same byte after a loss.

Never blocks on the node once attached: it reads and writes only what poll(2) has promised, so the
user can detach from a session that reads nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from codewire.client.numbers import whole_number
from codewire.client.reach.connection import PROMPT_SECONDS, Redial, check_answer, field
from codewire.errors import ConnectionLost, ProtocolError
from codewire.wire import events
from codewire.wire.control import decode_bytes, decode_control
from codewire.wire.frames import DATA

if TYPE_CHECKING:
    from codewire.client.api import Client
    from codewire.io.streams import FrameStream

# How often a dialling thread is looked after.
DIAL_POLL_SECONDS = 0.05

# A Unix socket that polls writable has at least three quarters of its buffer (208 KiB) free.
SEND_BYTES = 16 * 1024
# What a person types, or a small paste: sent without asking whether there is room.
KEY_BYTES = 1024


class Output(NamedTuple):
    """Bytes the session printed."""

    data: bytes


class Gap(NamedTuple):
    """So many bytes of output are gone from the log before the next Output."""

    size: int


class Ended(NamedTuple):
    """The session has ended; all of its output came before. `text` is the node's."""

    text: str


class Viewers(NamedTuple):
    """So many clients are attached now, this one included."""

    number: int


class StateChange(NamedTuple):
    """The session's state: `state`, `kind`, `reason`, `source` and `agent`, as far as known."""

    state: dict[str, Any]


class Detached(NamedTuple):
    """The node has confirmed the detachment."""


class Link:
    """An attachment's connection. `typed` holds what the user typed and the node has not got yet.

    Bytes that a worker had received but not yet handed to the session when it was killed are the
    one thing a reconnect cannot bring back: the protocol confirms no input.
    """

    def __init__(
        self,
        client: Client,
        session_id: int,
        include_history: bool,
        history_lines: int | None,
        replays_all: bool = False,
        from_session: int | None = None,
    ) -> None:
        """`from_session` is the session whose terminal this one is, if any."""
        self._client = client
        self._session_id = session_id
        self._request = {
            "type": "Attach",
            "id": session_id,
            "include_history": include_history,
            "history_lines": whole_number("history_lines", history_lines),
            # A node of ours then sends what a terminal needs instead of the whole log.
            "history": "all" if replays_all else "terminal",
            "from_session": from_session,
        }
        self._prologue = b""
        self._redial = Redial(client.route)
        self._dialling: _Dialling | None = None
        self._stream: FrameStream | None = None
        self._offset: int | None = None
        self._is_attached = False
        # Whether a signal had stopped the session until this attachment.
        self.was_continued = False
        self._wanted_size = self._sent_size = (0, 0)
        self._is_detaching = self._detach_sent = False
        self._wants_states = self._states_sent = False
        self._can_write = True
        self.typed = bytearray()
        self.next_dial: float | None = None

    def open(self) -> None:
        """Connect and attach. Blocks. Raises RequestError when the node refuses, NodeSilent."""
        stream = self._client.connect()
        while True:
            self._stream = stream
            try:
                self._redial.send(stream, self._request)
                message = self._redial.receive(stream, self._request)
            except ConnectionLost:
                message = None
            if message is not None:
                break
            stream.close()
            stream = self._redial.open()
        if check_answer(message).get("type") != "Attached":
            raise ProtocolError(f"bad answer to Attach: {message.get('type')}")
        # From here on poll(2) says when there is something to read or room to write.
        stream.set_timeout(None)
        self._take_attached(message)

    @property
    def is_up(self) -> bool:
        """Say whether the node is there and knows this attachment."""
        return self._is_attached

    @property
    def size(self) -> tuple[int, int]:
        """Return the (rows, cols) last asked for."""
        return self._wanted_size

    def fileno(self) -> int:
        """Return the descriptor to poll, -1 between two connections."""
        return -1 if self._stream is None else self._stream.fileno()

    def wants_to_write(self) -> bool:
        """Say whether `write` has something to send."""
        return (self._is_attached and self._can_write) and bool(
            self.typed
            or self._wanted_size != self._sent_size
            or self._wants_states != self._states_sent
            or (self._is_detaching and not self._detach_sent)
        )

    def resize(self, rows: int, cols: int) -> None:
        """Ask for a size of the session's terminal."""
        if rows > 0 and cols > 0:
            self._wanted_size = (rows, cols)

    def ask_states(self) -> None:
        """Ask to be told what the session does: StateChange items come, from a node that knows."""
        self._wants_states = True

    def detach(self) -> None:
        """Ask the node to let go, after everything typed; it answers with Detached."""
        self._is_detaching = True

    def write(self) -> None:
        """Send one frame of what is waiting; call when the descriptor is writable."""
        stream = self._stream
        if stream is None or not self.wants_to_write():
            return
        try:
            if self._wanted_size != self._sent_size:
                rows, cols = self._wanted_size
                stream.send_control({"type": "Resize", "cols": cols, "rows": rows})
                self._sent_size = self._wanted_size
            elif self._wants_states != self._states_sent:
                about = {"id": self._session_id, "event_types": [events.STATE]}
                stream.send_control({"type": "Subscribe", **about})
                self._states_sent = True
            elif self.typed:
                # Taken off only when it is out: a frame cut short is never read by the node.
                stream.send_data(bytes(self.typed[:SEND_BYTES]))
                del self.typed[:SEND_BYTES]
            else:
                stream.send_control({"type": "Detach", "id": self._session_id})
                self._detach_sent = True
        except ConnectionLost:
            # The peer has closed, but what it said before, perhaps the end notice, is still to be
            # read; the end of that is where the loss is noticed.
            self._can_write = False

    def write_key(self) -> None:
        """Send what was typed at once where nothing stands before it; else `write` will."""
        stream = self._stream
        is_first = self._wanted_size == self._sent_size and not self._is_detaching
        if stream is None or not is_first or len(self.typed) > KEY_BYTES:
            return
        if not self.wants_to_write():
            return
        try:
            if stream.try_send_data(bytes(self.typed)):
                self.typed.clear()
        except ConnectionLost:
            self._can_write = False

    def read(self) -> None:
        """Take in what has arrived; call when the descriptor is readable."""
        if self._stream is not None and not self._stream.fill():
            self._lose()

    def next_item(self) -> Output | Gap | Ended | Detached | Viewers | StateChange | None:
        """Return what has arrived, in order; None when nothing more has arrived whole.

        Raises ProtocolError, and RequestError when the node refuses to take the attachment back.
        """
        if self._prologue:
            prologue, self._prologue = self._prologue, b""
            return Output(prologue)
        while self._stream is not None:
            frame = self._stream.next_frame()
            if frame is None:
                return None
            kind, payload = frame
            if kind == DATA:
                if self._offset is not None:
                    self._offset += len(payload)
                return Output(payload)
            item = self._take_control(_decode(payload))
            if item is not None:
                return item
        return None

    def dial(self) -> None:
        """Try to get the attachment back; call when `next_dial` is due. Never waits for a network.

        Of a remote node that is there it asks for a sign of life. Raises ConnectionLost when the
        node is gone for good.
        """
        if self._stream is not None:
            self._look_after(self._stream)
            return
        if not self._client.route.may_block:
            stream = self._redial.try_open()
        else:
            if self._dialling is None:
                self._dialling = _Dialling(self._redial)
            if not self._dialling.is_over:
                self.next_dial = time.monotonic() + DIAL_POLL_SECONDS
                return
            dialling, self._dialling = self._dialling, None
            stream = dialling.result()
        if stream is None:
            self.next_dial = time.monotonic() + self._redial.pause()
            return
        may_block = self._client.route.may_block
        self.next_dial = time.monotonic() + PROMPT_SECONDS if may_block else None
        self._stream = stream
        try:
            request = {"type": "Attach", "id": self._session_id, "from_offset": self._offset}
            for name in ("history", "from_session"):
                if self._request[name]:
                    request[name] = self._request[name]
            stream.send_control(request)
        except ConnectionLost:
            self._lose()

    def _look_after(self, stream: FrameStream) -> None:
        if stream.probe():
            self.next_dial = time.monotonic() + PROMPT_SECONDS
        else:
            self._lose()

    def close(self) -> None:
        """Close the connection; the session runs on. Idempotent."""
        self._is_attached = False
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _lose(self) -> None:
        """Note the loss of the connection. Raises ConnectionLost if it cannot be resumed."""
        was_attached = self._is_attached
        self.close()
        if self._offset is None:
            raise ConnectionLost("connection lost")
        self.next_dial = time.monotonic() + (0 if was_attached else self._redial.pause())

    def _take_control(
        self, message: dict[str, Any]
    ) -> Gap | Ended | Detached | Viewers | StateChange | None:
        kind = message.get("type")
        if kind == "Attached":
            self._take_attached(message)
        elif kind == "Gap":
            self._offset = field(message, "offset", self._offset or 0)
            return Gap(field(message, "gap", 0))
        elif kind == "Viewers":
            return Viewers(field(message, "count", 1))
        elif kind == "State":
            return StateChange(message)
        elif kind == "Detached":
            return Detached()
        elif kind == "Error":
            if not self._is_attached:
                if self._redial.excuses(message):
                    self._lose()
                    return None
                check_answer(message)
            return Ended(field(message, "message", ""))
        return None

    def _take_attached(self, message: dict[str, Any]) -> None:
        self._is_attached = True
        self._redial.succeeded()
        if self._client.route.may_block:
            self.next_dial = time.monotonic() + PROMPT_SECONDS
        # A node of another make names no offset: then a lost connection is lost.
        self._offset = None if message.get("offset") is None else field(message, "offset", 0)
        self.was_continued = bool(message.get("continued"))
        if message.get("prologue") is not None:
            self._prologue = decode_bytes(message["prologue"])
        self._sent_size = (0, 0)
        self._detach_sent = self._states_sent = False
        self._can_write = True


class _Dialling:
    """One attempt to reach a remote node, in a thread: a network that is away answers nothing."""

    def __init__(self, redial: Redial) -> None:
        from threading import Thread

        self._redial = redial
        self._stream: FrameStream | None = None
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> FrameStream | None:
        """Return what Redial.try_open has returned, or raise what it has raised."""
        if self._error is not None:
            raise self._error
        return self._stream

    def _run(self) -> None:
        try:
            self._stream = self._redial.try_open()
        except BaseException as error:  # noqa: BLE001 - handed over to who asked
            self._error = error


def _decode(payload: bytes) -> dict[str, Any]:
    try:
        return decode_control(payload)
    except ProtocolError as error:
        raise ProtocolError(f"bad control frame: {error}") from error
