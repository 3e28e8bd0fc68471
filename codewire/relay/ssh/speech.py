"""The two ways to speak with a node: ours in messages, Go's by keys (forgoing.py).

Knows nothing of SSH: a session gives it what the client sends, and is told what to show.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from codewire.errors import CodewireError
from codewire.relay.ssh.forgoing import HANG_UP, NO_SUBSYSTEM, Fence, end_input
from codewire.wire.control import control_frame, decode_bytes, decode_control
from codewire.wire.frames import CONTROL, DATA, encode_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

# As node/shells/shell.py: what a node may have of a client's input and not have taken.
WINDOW = 1 << 20
LOST = "cw: the connection to the node was lost"
MAX_CODE = 255


class Listener(Protocol):
    """The session, as far as it is needed here."""

    def send(self, frame: bytes) -> None:
        """Send a frame to the node."""

    def write(self, data: bytes) -> None:
        """Show output."""

    def write_error(self, data: bytes) -> None:
        """Show output of the other kind."""

    def fail(self, words: str) -> None:
        """End with a reason."""

    def end(self, code: int | None = None, signal: str = "", core: bool = False) -> None:
        """End with an exit code, or by a signal."""

    def regulate(self) -> None:
        """Look whether the client may send."""


class Speech:
    """What both have."""

    def __init__(self, session: Listener) -> None:
        self._session = session

    @property
    def is_ready(self) -> bool:
        """Say whether the node takes input."""
        return True

    def send(self, data: bytes) -> None:
        """Pass on input."""
        self._session.send(encode_frame(DATA, data))

    def send_eof(self) -> None:
        """Pass on the end of input."""

    def control(self, message: dict[str, Any]) -> None:
        """Pass on what is no input."""

    def take(self, kind: int, payload: bytes) -> None:
        """Act on the node's frame. Raises CodewireError."""

    def lose(self) -> None:
        """Note that the node's side has ended."""

    def hang_up(self) -> None:
        """Tell the node that the client is gone, as far as it is not seen."""


class OwnSpeech(Speech):
    """A node that has `back-control`."""

    def __init__(self, session: Listener, asked: Mapping[str, Any]) -> None:
        super().__init__(session)
        self._under_way = 0

    @property
    def is_ready(self) -> bool:
        """Say whether the node takes input: a window's worth, and then as much as it has taken."""
        return self._under_way < WINDOW

    def send(self, data: bytes) -> None:
        """Pass on input."""
        self._under_way += len(data)
        super().send(data)

    def send_eof(self) -> None:
        """Pass on the end of input."""
        self.control({"type": "EOF"})

    def control(self, message: dict[str, Any]) -> None:
        """Pass on a signal or a size."""
        self._session.send(control_frame(message))

    def take(self, kind: int, payload: bytes) -> None:
        """Act on the node's frame. Raises CodewireError."""
        if kind == DATA:
            self._session.write(payload)
            return
        message = decode_control(payload)
        what = message.get("type")
        if what == "Stderr":
            self._session.write_error(decode_bytes(message.get("data")))
        elif what == "Taken":
            self._under_way = max(0, self._under_way - int(message.get("bytes") or 0))
            self._session.regulate()
        elif what == "Exit":
            self._exit(message)

    def _exit(self, message: dict[str, Any]) -> None:
        code, signal = message.get("code"), message.get("signal")
        if isinstance(signal, str) and signal.isalnum():
            self._session.end(signal=signal, core=message.get("core") is True)
        else:
            self._session.end(code if isinstance(code, int) and 0 <= code <= MAX_CODE else MAX_CODE)

    def lose(self) -> None:
        """Without its Exit, nobody knows how it ended."""
        self._session.fail(LOST)


class GoSpeech(Speech):
    """A node of the older make."""

    def __init__(self, session: Listener, asked: Mapping[str, Any]) -> None:
        """Raises CodewireError for what such a node cannot do."""
        super().__init__(session)
        if "subsystem" in asked:
            raise CodewireError(NO_SUBSYSTEM)
        self._fence: Fence | None = None
        self._last = b""
        if "command" in asked:
            nonce = os.urandom(8).hex()
            self._fence = Fence(asked["command"], nonce, has_terminal="pty" in asked)
            super().send(self._fence.typed)

    @property
    def is_ready(self) -> bool:
        """Say whether the command is there to take input, and not the shell before it."""
        return self._fence is None or self._fence.is_open

    def send(self, data: bytes) -> None:
        """Type it."""
        self._last = data[-1:]
        super().send(data)

    def send_eof(self) -> None:
        """Type the key."""
        super().send(end_input(self._last))

    def take(self, kind: int, payload: bytes) -> None:
        """Show output; a command's alone, and its exit code ends it."""
        if kind == CONTROL:
            return
        if self._fence is None:
            self._session.write(payload)
            return
        was_open = self._fence.is_open
        output = self._fence.feed(payload)
        if output:
            self._session.write(output)
        if self._fence.code is not None:
            self._session.end(self._fence.code)
        elif self._fence.is_open and not was_open:
            self._session.regulate()

    def lose(self) -> None:
        """A shell that ended did so by itself, for all that can be seen; a command did not."""
        if self._fence is None:
            self._session.end(0)
        else:
            self._session.fail(LOST)

    def hang_up(self) -> None:
        """Type what ends most programs: the shell would stay otherwise."""
        super().send(HANG_UP)
