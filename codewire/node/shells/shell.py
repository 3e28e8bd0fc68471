"""One SSH session on this node: what runs, and the bytes between it and the relay's client.

Binary messages are stdin and stdout. Where both sides can (`has_control`), text messages are

    relay → node   Resize {cols, rows}, Signal {signal}, EOF {}
    node → relay   Taken {bytes}, Stderr {data}, Exit {code} or {signal, core}

The relay sends WINDOW bytes of input more than were taken and no more, so a program that does not
read its stdin keeps nobody from seeing that its client is gone.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import signal
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, ProtocolError
from codewire.io.transient import is_transient
from codewire.io.wait import new_selector, spawn, wait_readable, wait_writable
from codewire.node.shells.order import Order, read_size
from codewire.node.shells.plumbing import Plumbing
from codewire.node.shells.trees import end_session
from codewire.wire.control import decode_control, encode_bytes
from codewire.wire.frames import CONTROL

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewire.io.lines import Line
    from codewire.io.websockets import WebSocketStream

log = logging.getLogger(__name__)

WINDOW = 1 << 20
# A window is opened again in quarters: fewer messages.
TAKEN_BYTES = WINDOW // 4
READ_BYTES = 1 << 16
# A machine that starts no process for so long will not.
START_SECONDS = 10.0
# What is blocked on a descriptor that no process ends (a daemon has it) looks up so often.
LOOK_SECONDS = 5.0
# What a terminal's EOF is where nobody has changed it (stty(1)): Ctrl-D.
EOF_KEY = b"\x04"
LINE_ENDS = (b"", b"\n", b"\r", EOF_KEY)
# What a program has printed is in its terminal a moment later; whoever goes on is not waited for.
DRAIN_SECONDS, LAST_SECONDS = 0.1, 1.0
# As a shell has it for what it cannot run.
NOT_RUN = 127


class Shell:
    """One session. `line` leads to the warden, `stream` to the relay."""

    def __init__(
        self, stream: WebSocketStream, line: Line, order: Order, plumbing: Plumbing
    ) -> None:
        self._stream = stream
        self._line = line
        self._order = order
        self._plumbing = plumbing
        # Guards what is below.
        self._changed = threading.Condition()
        self._input: deque[bytes] = deque()
        self._waiting = 0
        self._last = b""
        self._has_eof = False
        self._is_over = False
        self._exit: dict[str, Any] | None = None
        self._pid = 0
        self._ended_at = 0.0
        # Those who still have something to send.
        self._senders = {"line", "stdout"} | (set() if order.has_terminal else {"stderr"})

    def run(self) -> None:
        """Run it to its end, or to its client's. Blocks; raises CodewireError, OSError."""
        order, tty = self._order, self._plumbing.terminal_name
        env = {**order.env, "SSH_TTY": tty} if tty else order.env
        jobs: list[tuple[str, Callable[..., None], tuple[str, ...]]] = [
            ("line", self._follow, ()), ("stdin", self._write, ()),
            ("stdout", self._pump, ("stdout",)), ("stderr", self._pump, ("stderr",)),
        ]  # fmt: skip
        try:
            self._line.send_control({
                "type": "Start",
                "path": order.path, "argv": order.argv, "env": env, "cwd": order.cwd,
            })  # fmt: skip
            for name, job, given in list(jobs):
                if name != "stderr" or not order.has_terminal:
                    spawn(job, *given)
                jobs.remove((name, job, given))
            self._read()
        finally:
            self._leave()
            # Each closes its own; what was never begun is closed here.
            for name, _, _ in jobs:
                if name == "line":
                    self._line.close()
                    self._plumbing.close_end("tell_ended")
                elif name == "stdout":
                    self._plumbing.close_end("ended")
                if name != "line":
                    self._plumbing.close_end(name)

    def _leave(self) -> None:
        """Have whoever still waits for something come to an end."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._line.shutdown()
        self._stream.abort()
        self._plumbing.close_end("terminal")

    # From the relay

    def _read(self) -> None:
        """Take what comes, until the client is gone or what ran has ended."""
        while (frame := self._stream.receive()) is not None:
            kind, payload = frame
            if kind == CONTROL:
                self._obey(decode_control(payload))
            else:
                self._put(payload)

    def _put(self, data: bytes) -> None:
        if self._waiting > 2 * WINDOW and self._order.has_control:
            raise ProtocolError("more input than was asked for")
        with self._changed:
            # Another relay knows no window: its bytes wait in the socket.
            while self._waiting > WINDOW and not self._order.has_control and not self._is_over:
                self._changed.wait(LOOK_SECONDS)
            self._input.append(data)
            self._last = data[-1:]
            self._waiting += len(data)
            self._changed.notify_all()

    def _obey(self, message: dict[str, Any]) -> None:
        what = message.get("type")
        if what == "Resize":
            self._plumbing.resize(*read_size(message))
        elif what == "Signal":
            number = getattr(signal, f"SIG{message.get('signal')}", None)
            if isinstance(number, signal.Signals):
                group = self._plumbing.foreground()
                self._line.send_control({"type": "Signal", "number": int(number), "group": group})
        elif what == "EOF" and self._order.has_terminal:
            # Within a line the first one only hands over what there is of it.
            self._put(EOF_KEY if self._last in LINE_ENDS else EOF_KEY * 2)
        elif what == "EOF":
            with self._changed:
                self._has_eof = True
                self._changed.notify_all()

    def _next_input(self) -> bytes | None:
        """Return what to write next, None for nothing more. Blocks."""
        with self._changed:
            while not self._input and not self._has_eof and not self._is_over:
                self._changed.wait()
            return self._input.popleft() if self._input and not self._is_over else None

    def _write(self) -> None:
        """Write stdin, and tell the relay what has been taken."""
        taken, is_open = 0, True
        try:
            while (data := self._next_input()) is not None:
                is_open = is_open and self._write_all(data)
                with self._changed:
                    self._waiting -= len(data)
                    self._changed.notify_all()
                taken += len(data)
                if taken >= TAKEN_BYTES and self._order.has_control:
                    self._stream.send_control({"type": "Taken", "bytes": taken})
                    taken = 0
        except CodewireError as error:
            log.debug("a client is gone: %s", error)
        finally:
            self._plumbing.close_end("stdin")

    def _write_all(self, data: bytes) -> bool:
        """Write it all; False when nobody reads any more, and then the rest is thrown away."""
        view, fd = memoryview(data), self._plumbing.stdin
        while view and not self._is_over:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                wait_writable(fd, LOOK_SECONDS)
            except OSError as error:
                if not is_transient(error):
                    return False
        return True

    # To the relay

    def _pump(self, name: str) -> None:
        """Send what comes out of one descriptor, to its end."""
        fd: int = getattr(self._plumbing, name)
        try:
            while (data := self._receive(fd)) is not None:
                if name == "stdout":
                    self._stream.send_data(data)
                else:
                    self._stream.send_control({"type": "Stderr", "data": encode_bytes(data)})
        except CodewireError as error:
            log.debug("a client is gone: %s", error)
        finally:
            self._plumbing.close_end(name)
            if name == "stdout":
                self._plumbing.close_end("ended")
            self._sent(name)

    def _receive(self, fd: int) -> bytes | None:
        """Return the next bytes, None at the end."""
        while not self._is_over and not self._is_late():
            try:
                return os.read(fd, READ_BYTES) or None
            except BlockingIOError:
                if not self._await_output(fd):
                    return None
            except OSError as error:
                # EIO: nobody has the terminal any more.
                if error.errno == errno.EIO or not is_transient(error):
                    return None
        return None

    def _is_late(self) -> bool:
        return self._ended_at > 0 and time.monotonic() > self._ended_at + LAST_SECONDS

    def _await_output(self, fd: int) -> bool:
        """Wait for more; False when no more is to come."""
        if not self._order.has_terminal:
            wait_readable(fd, LOOK_SECONDS)
            return True
        if self._ended_at > 0:
            return wait_readable(fd, DRAIN_SECONDS)
        with new_selector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            selector.register(self._plumbing.ended, selectors.EVENT_READ)
            selector.select(LOOK_SECONDS)
        return True

    def _follow(self) -> None:
        """Take what the warden says, to the end of the line, which is closed here."""
        try:
            self._line.set_timeout(START_SECONDS)
            while self._exit is None and (frame := self._line.receive()) is not None:
                self._line.set_timeout(None)
                self._hear(decode_control(frame[1]))
        except TimeoutError:
            self._fail(f"not started within {START_SECONDS:.0f} s")
        except CodewireError as error:
            log.warning("the warden's word about a shell: %s", error)
        if self._exit is None and not self._is_over:
            # The warden is gone; what it had no time to name loses its client at least.
            if self._pid:
                end_session(self._pid)
            self._stream.shutdown()
        self._plumbing.close_end("tell_ended")
        self._sent("line")
        self._await_end()
        self._line.close()

    def _hear(self, said: dict[str, Any]) -> None:
        what, number = said.get("type"), said.get("errno")
        if what == "Exit":
            self._exit = _exit_of(said)
            if self._order.has_terminal:
                self._ended_at = time.monotonic()
                self._plumbing.close_end("tell_ended")
        elif what == "Started":
            self._pid = int(said.get("pid") or 0)
        else:
            self._fail(os.strerror(number) if isinstance(number, int) else "unknown error")

    def _await_end(self) -> None:
        """Return once the last sender needs the line no more."""
        with self._changed:
            while self._senders and not self._is_over:
                self._changed.wait(LOOK_SECONDS)

    def _spare(self) -> None:
        """What ended by itself leaves alone what it put into the background, as with sshd(8)."""
        try:
            self._line.send_control({"type": "Leave"})
        except CodewireError:
            pass

    def _fail(self, why: str) -> None:
        words = f"{self._order.path}: {why.lower()}"
        tell_failure(self._stream, words, has_control=self._order.has_control, leaves=False)
        self._exit = {"code": NOT_RUN}

    def _sent(self, name: str) -> None:
        """Note that one of the senders has no more; the last one says how it ended."""
        with self._changed:
            if self._senders != {name}:
                self._senders.discard(name)
                return
        if not self._is_over:
            # Before its client is told: whoever goes then must not take the background along.
            self._spare()
        with self._changed:
            self._senders.clear()
            self._changed.notify_all()
        if self._is_over:
            return
        try:
            if self._exit is not None and self._order.has_control:
                self._stream.send_control({"type": "Exit", **self._exit})
        except CodewireError as error:
            log.debug("a client is gone: %s", error)
        self._stream.shutdown()


def tell_failure(
    stream: WebSocketStream, words: str, *, has_control: bool, leaves: bool = True
) -> None:
    """Tell whoever is there why nothing runs; `leaves` says it is over. Raises CodewireError."""
    text = f"cw: {words}\r\n".encode("utf-8", "replace")
    if not has_control:
        stream.send_data(text)
        return
    stream.send_control({"type": "Stderr", "data": encode_bytes(text)})
    if leaves:
        stream.send_control({"type": "Exit", "code": NOT_RUN})


def _exit_of(said: dict[str, Any]) -> dict[str, Any]:
    """Return the warden's word with the signal's name as SSH has it (RFC 4254 6.10)."""
    number = said.get("signal")
    if not isinstance(number, int):
        return {"code": said.get("code")}
    try:
        name = signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        name = str(number)
    return {"signal": name, "core": bool(said.get("core"))}
