"""The user's terminal while attached: raw mode, its way back, its size, and signals as bytes.

Descriptors 0 and 1 are shared with other processes, so they stay blocking: nothing is read or
written here before poll(2) has said so.
"""

from __future__ import annotations

import os
import select
import signal
import termios
from typing import TYPE_CHECKING, Any

from codewire.errors import CodewireError, UsageError
from codewire.io.ptys import window_size
from codewire.term.restore import TEARDOWN

if TYPE_CHECKING:
    from collections.abc import Callable

STDIN, STDOUT, STDERR = 0, 1, 2

# What ends an attachment from outside; Ctrl+C typed at the terminal goes to the session instead.
FATAL_SIGNALS = frozenset((signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT))
WATCHED_SIGNALS = (*FATAL_SIGNALS, signal.SIGWINCH, signal.SIGCONT)

# One write after POLLOUT blocks at most until the terminal has taken this much.
WRITE_BYTES = 4096
# A terminal that takes nothing for this long while the client ends is left as it is.
FAREWELL_SECONDS = 1.0


def require_terminal() -> None:
    """Raise UsageError unless stdin and stdout are terminals."""
    if not (os.isatty(STDIN) and os.isatty(STDOUT)):
        raise UsageError(
            "attach needs a terminal on stdin and stdout; use 'cw watch', 'cw logs' or 'cw send'"
        )


class Signals:
    """Turns signals into bytes on a pipe, so that one poll sees them. A context manager.

    While entered no watched signal raises or ends the process: not even Ctrl+C at a wrong moment
    can leave the terminal raw. Main thread only (signal(2) in Python).
    """

    def __enter__(self) -> Signals:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._old_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, _ignore) for number in WATCHED_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old.items():
            # None: installed by something that is not Python; it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        return self._reader

    def take(self) -> set[int]:
        """Return the numbers of the signals that came since the last call; never blocks."""
        try:
            return set(os.read(self._reader, 4096))
        except BlockingIOError:
            return set()


class RawTerminal:
    """stdin in raw mode while entered; on every way out the modes and the screen come back.

    `epilogue` is written after the fixed teardown: what depends on the size (the bar's row).
    """

    def __init__(self) -> None:
        self.epilogue = b""
        try:
            self._saved = termios.tcgetattr(STDIN)
        except termios.error as error:
            raise CodewireError(f"enabling raw mode: {error.args[-1]}") from error

    def __enter__(self) -> RawTerminal:
        self.enter_raw_mode()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            write_bounded(TEARDOWN + self.epilogue)
        finally:
            # TCSANOW: draining could wait for ever on a terminal nobody reads.
            _hangup_proof(termios.tcsetattr, STDIN, termios.TCSANOW, self._saved)

    def enter_raw_mode(self) -> None:
        """Make stdin raw; again after SIGCONT, because the shell set its own modes meanwhile."""
        try:
            termios.tcsetattr(STDIN, termios.TCSANOW, raw_attributes(self._saved))
        except termios.error as error:
            raise CodewireError(f"enabling raw mode: {error.args[-1]}") from error


def raw_attributes(attributes: list[Any]) -> list[Any]:
    """Return terminal attributes as cfmakeraw(3) makes them: 8 bit, no echo, no signals."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = attributes
    iflag &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP)
    iflag &= ~(termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
    oflag &= ~termios.OPOST
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    cflag = (cflag & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    characters = list(characters)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [iflag, oflag, cflag, lflag, ispeed, ospeed, characters]


def terminal_size() -> tuple[int, int]:
    """Return (rows, cols) of stdout, (0, 0) where it does not know. Raises CodewireError."""
    try:
        return window_size(STDOUT)
    except OSError as error:
        raise CodewireError(f"getting terminal size: {(error.strerror or '').lower()}") from error


def write_some(data: bytes, start: int = 0) -> int:
    """Write some of `data` from `start` on to stdout, which polls writable; return how much."""
    try:
        return os.write(STDOUT, data[start : start + WRITE_BYTES])
    except BlockingIOError:
        # Another process that shares the terminal made it non-blocking.
        return 0


def write_bounded(data: bytes) -> None:
    """Write `data` to stdout as far as the terminal takes it in FAREWELL_SECONDS; never raises."""
    poller = select.poll()
    poller.register(STDOUT, select.POLLOUT)
    while data and poller.poll(FAREWELL_SECONDS * 1000):
        written = _hangup_proof(write_some, data)
        if not written:
            return
        data = data[written:]


def stderr_takes_text() -> bool:
    """Say whether a last line on stderr would go out: not to a closed or a blocked terminal."""
    poller = select.poll()
    poller.register(STDERR, select.POLLOUT)
    events = poller.poll(FAREWELL_SECONDS * 1000)
    return bool(events) and events[0][1] == select.POLLOUT


def _hangup_proof(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function`; None if the terminal is gone (closed window): nothing is left to restore."""
    try:
        return function(*args)
    except (OSError, termios.error):
        return None


def _ignore(_number: int, _frame: object) -> None:
    """Stand in for a signal's handler: its number arrives through the wakeup descriptor."""
