"""One session of an SSH connection, joined with what a node runs for it.

What the node's side looks like is in speech.py: ours takes messages, a Go node keys only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncssh

from codewire.errors import CodewireError
from codewire.relay.ssh.speech import GoSpeech, OwnSpeech, Speech
from codewire.wire.control import control_frame, decode_control
from codewire.wire.frames import CONTROL, DATA, FrameDecoder, encode_frame

if TYPE_CHECKING:
    from codewire.relay.ssh.asking import Relay

# What it may have in its way before the node's output has to wait.
OUTPUT_BYTES = 1 << 18
# How often a client that is not read from is looked after.
LOOK_SECONDS = 0.5
# Between two keys that end what a Go node runs: each program has to see its own.
KEY_SECONDS = 0.25
MAX_VARIABLES = 64
MAX_ENVIRONMENT = 8192
# ssh's own failures (ssh(1)).
FAILED = 255


def _origin(channel: asyncssh.SSHServerChannel[bytes]) -> dict[str, str]:
    """Return what sshd(8) tells a session of where it comes from; {} where that is not known."""
    theirs, ours = channel.get_extra_info("peername"), channel.get_extra_info("sockname")
    if not (theirs and ours):
        return {}
    (host, port), (own_host, own_port) = theirs[:2], ours[:2]
    host, own_host = host.removeprefix("::ffff:"), own_host.removeprefix("::ffff:")
    return {
        "SSH_CLIENT": f"{host} {port} {own_port}",
        "SSH_CONNECTION": f"{host} {port} {own_host} {own_port}",
    }


class Session(asyncssh.SSHServerSession[bytes]):
    """One channel. Its line to the relay is there from `session_started` on."""

    def __init__(self, relay: Relay, ticket: str) -> None:
        self._relay = relay
        self._ticket = ticket
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._asked: dict[str, Any] = {}
        self._wire: Wire | None = None
        self._speech: Speech | None = None
        self._pending: list[bytes] = []
        self._has_eof = False
        self._is_reading = True
        self.is_over = False

    # What the client asks for

    def connection_made(self, chan: Any) -> None:
        """Begin."""
        self._channel = chan
        chan.set_write_buffer_limits(OUTPUT_BYTES)

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        """Take a terminal; 0 columns or rows are none (spec/relay.md 6.1)."""
        cols, rows = term_size[:2]
        self._asked |= {"pty": True, "term": term_type}
        if cols and rows:
            self._asked |= {"cols": cols, "rows": rows}
        return True

    def shell_requested(self) -> bool:
        """Take a login shell."""
        return True

    def exec_requested(self, command: str) -> bool:
        """Take a command."""
        self._asked["command"] = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Take a subsystem; which there are the node knows."""
        self._asked["subsystem"] = subsystem
        return True

    def session_started(self) -> None:
        """Have the relay ask the node; the client waits with its input."""
        assert self._channel is not None
        loop = asyncio.get_running_loop()
        self._wire = Wire(self)
        loop.create_task(self._open(self._wire))
        # asyncssh begins to read when this returns.
        loop.call_soon(self._pause, True)

    async def _open(self, wire: Wire) -> None:
        assert self._channel is not None
        given = self._channel.get_environment()
        environment = dict(list(given.items())[:MAX_VARIABLES])
        if sum(len(name) + len(value) for name, value in environment.items()) > MAX_ENVIRONMENT:
            environment = {}
        environment |= _origin(self._channel)
        question = {
            "type": "Open", "ticket": self._ticket, "env": environment or None,
            **({} if "pty" in self._asked else {"cols": 80, "rows": 24}), **self._asked,
        }  # fmt: skip
        try:
            sock = self._relay.open()
            await asyncio.get_running_loop().create_unix_connection(lambda: wire, sock=sock)
            wire.send(control_frame(question))
        except (CodewireError, OSError):
            self.fail("cw: the relay cannot be asked")

    # From the relay

    def take(self, kind: int, payload: bytes) -> None:
        """Act on a frame. Raises CodewireError."""
        if self.is_over:
            return
        if self._speech is not None:
            self._speech.take(kind, payload)
            return
        answer = decode_control(payload) if kind == CONTROL else {}
        if answer.get("type") != "Opened":
            self.fail(str(answer.get("reason") or "cw: the relay cannot say why"))
            return
        make = OwnSpeech if answer.get("control") is True else GoSpeech
        try:
            self._speech = make(self, self._asked)
        except CodewireError as error:
            self.fail(f"cw: {error}")
            return
        self.regulate()

    def lose(self) -> None:
        """Note that the line has ended."""
        if self.is_over:
            return
        if self._speech is None:
            self.fail("cw: the relay cannot say why")
        else:
            self._speech.lose()

    # To the client, for the speech

    def send(self, frame: bytes) -> None:
        """Send a frame to the node."""
        if self._wire is not None:
            self._wire.send(frame)

    def write(self, data: bytes) -> None:
        """Show the client output."""
        if self._channel is not None and not self.is_over:
            self._channel.write(data)

    def write_error(self, data: bytes) -> None:
        """Show the client output of the other kind."""
        if self._channel is not None and not self.is_over:
            self._channel.write_stderr(data)

    def fail(self, words: str) -> None:
        """End the session with a reason."""
        self.write_error(f"{words}\r\n".encode("utf-8", "replace"))
        self.end(FAILED)

    def end(self, code: int | None = None, signal: str = "", core: bool = False) -> None:
        """End the session: with an exit code, by a signal, or without a word."""
        if self.is_over or self._channel is None:
            return
        self.is_over = True
        if signal:
            self._channel.exit_with_signal(signal, core)
        elif code is not None:
            self._channel.exit(code)
        else:
            self._channel.close()
        self._hang_up()

    # From the client

    def data_received(self, data: bytes, datatype: Any) -> None:
        """Pass on input; what has come before it is wanted is little, and kept."""
        self._pending.append(data)
        self.regulate()

    def eof_received(self) -> bool:
        """Pass on the end of input; output goes on."""
        self._has_eof = True
        self.regulate()
        return True

    def signal_received(self, signal: str) -> None:
        """Pass on a signal."""
        if self._speech is not None:
            self._speech.control({"type": "Signal", "signal": signal})

    def terminal_size_changed(self, width: int, height: int, *pixels: int) -> None:
        """Pass on a new size."""
        if width and height:
            self._asked |= {"cols": width, "rows": height}
            if self._speech is not None:
                self._speech.control({"type": "Resize", "cols": width, "rows": height})

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or closed the session: what runs for it ends."""
        was_over, self.is_over = self.is_over, True
        self._channel = None
        keys = () if was_over or self._speech is None else self._speech.last_keys
        self._hang_up(keys)

    def _hang_up(self, keys: tuple[bytes, ...] = ()) -> None:
        """End the line, after the keys that a node without messages is typed, one by one."""
        if self._wire is None:
            return
        if not keys:
            self._wire.close()
            return
        self._wire.send(encode_frame(DATA, keys[0]))
        asyncio.get_running_loop().call_later(KEY_SECONDS, self._hang_up, keys[1:])

    # Flow

    def pause_writing(self) -> None:
        """The client takes no more for now: the node waits."""
        if self._wire is not None:
            self._wire.pause()

    def resume_writing(self) -> None:
        """It does again."""
        if self._wire is not None:
            self._wire.resume()

    def regulate(self) -> None:
        """Read from the client while what it sends can be passed on."""
        speech, wire = self._speech, self._wire
        if speech is None or wire is None or self.is_over:
            return
        if speech.is_ready and self._pending:
            # Taken first: a full line says so at once, and calls this again.
            pending, self._pending = self._pending, []
            speech.send(b"".join(pending))
        if speech.is_ready and self._has_eof:
            self._has_eof = False
            speech.send_eof()
        self._pause(not speech.is_ready or wire.is_full)

    def _pause(self, is_paused: bool) -> None:
        if self._channel is None or is_paused is not self._is_reading:
            return
        self._is_reading = not is_paused
        if is_paused:
            self._channel.pause_reading()
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
        else:
            self._channel.resume_reading()

    def _look(self) -> None:
        """Find out whether a client that is not read from has closed: asyncssh does not say."""
        if self._channel is None or self._is_reading:
            return
        if self._channel.is_closing() and not self.is_over:
            self.connection_lost(None)
        else:
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)


class Wire(asyncio.Protocol):
    """A session's line to the relay, in frames."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._decoder = FrameDecoder()
        self._transport: asyncio.Transport | None = None
        self._is_closed = False
        self.is_full = False

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        if self._is_closed:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand over whole frames."""
        self._decoder.feed(data)
        try:
            while (frame := self._decoder.next_frame()) is not None:
                self._session.take(*frame)
        except CodewireError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end has closed."""
        self._transport = None
        self._session.lose()

    def pause_writing(self) -> None:
        """The relay takes no more for now."""
        self.is_full = True
        self._session.regulate()

    def resume_writing(self) -> None:
        """It does again."""
        self.is_full = False
        self._session.regulate()

    def send(self, frame: bytes) -> None:
        """Send a frame, or keep it until there is room."""
        if self._transport is not None and not self._is_closed:
            self._transport.write(frame)

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """End the line at once. Idempotent."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.abort()
