"""The user's terminal while attached: raw mode, its way back, its size, and signals as bytes.

Descriptors 0, 1 and 2 are shared with other processes, so they stay blocking; what is written goes
through an open file of our own, because even a terminal that polls writable may block a write.
"""

from __future__ import annotations

import os
import select
import signal
import termios
import time
from typing import Any

from codewire.client.api import print_notice
from codewire.errors import CodewireError, UsageError
from codewire.io.ptys import window_size
from codewire.term.restore import RESET, TEARDOWN
from codewire.term.width import harmless

STDIN, STDOUT, STDERR = 0, 1, 2

# What ends an attachment from outside; Ctrl+C typed at the terminal goes to the session instead.
FATAL_SIGNALS = frozenset((signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT))
WATCHED_SIGNALS = (*FATAL_SIGNALS, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)

OWN_FLAGS = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
READ_BYTES = WRITE_BYTES = 16 * 1024
# What a shared, blocking descriptor is given at once: signals interrupt a write that waits.
SHARED_WRITE_BYTES = 1024
# After an attachment has ended: the rest of a paste, what was typed too much, and answers of the
# terminal that are on their way are no commands for the shell. They are read until nothing has come
# for so long, and no longer than that.
QUIET_SECONDS = 0.1
SWALLOW_SECONDS = 1.0
# A terminal that takes nothing for this long while the client ends is left as it is.
FAREWELL_SECONDS = 1.0


def has_terminal() -> bool:
    """Say whether stdin and stdout are terminals."""
    return os.isatty(STDIN) and os.isatty(STDOUT)


def require_terminal() -> None:
    """Raise UsageError unless stdin and stdout are terminals."""
    if not has_terminal():
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


class TerminalOutput:
    """Writes to the terminal of a descriptor without ever waiting for it; `close` ends it.

    Where the terminal cannot be opened once more (it belongs to the user before `su`, say), the
    descriptor itself is used, a little at a time.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._is_own = False
        try:
            self._fd = os.open(os.ttyname(fd), OWN_FLAGS)
            self._is_own = True
        except OSError:
            pass

    def fileno(self) -> int:
        return self._fd

    @property
    def never_blocks(self) -> bool:
        """Say whether `write` may be called without polling first."""
        return self._is_own

    def write(self, data: bytes, start: int = 0) -> int:
        """Write some of `data` from `start` on and return how much.

        Poll first, unless it never blocks.
        """
        limit = WRITE_BYTES if self._is_own else SHARED_WRITE_BYTES
        try:
            return os.write(self._fd, data[start : start + limit])
        except BlockingIOError:
            return 0

    def write_bounded(self, data: bytes) -> None:
        """Write `data` as far as the terminal takes it in FAREWELL_SECONDS; never raises."""
        # A blocking write waits for all that does not fit; a single byte always fits.
        limit = WRITE_BYTES if self._is_own else 1
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        deadline = time.monotonic() + FAREWELL_SECONDS
        while data and poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            try:
                data = data[os.write(self._fd, data[:limit]) :]
            except BlockingIOError:
                continue
            except OSError:
                # A closed window: nothing is left to write to.
                return

    def close(self) -> None:
        """Close the file if it is ours. Idempotent."""
        if self._is_own:
            self._is_own = False
            os.close(self._fd)


class RawTerminal:
    """stdin in raw mode while entered; on every way out the modes and the screen come back.

    `teardown` is what the session's output makes necessary; after it comes the fixed one, then
    `epilogue`: what depends on the size (the bar's row).
    """

    def __init__(self) -> None:
        self.teardown = self.epilogue = b""
        try:
            self._saved = termios.tcgetattr(STDIN)
        except termios.error as error:
            raise CodewireError(f"enabling raw mode: {error.args[-1]}") from error
        self.output = TerminalOutput(STDOUT)

    def __enter__(self) -> RawTerminal:
        self.enter_raw_mode()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.leave()
        finally:
            self.output.close()

    def leave(self) -> None:
        """Give the terminal back as it was; `enter_raw_mode` takes it again."""
        try:
            self.output.write_bounded(self.teardown + TEARDOWN + self.epilogue)
            swallow_input()
        finally:
            self._restore_modes()

    def _restore_modes(self) -> None:
        try:
            # TCSANOW: draining could wait for ever on a terminal nobody reads.
            termios.tcflush(STDIN, termios.TCIFLUSH)
            termios.tcsetattr(STDIN, termios.TCSANOW, self._saved)
        except termios.error:
            # A closed window: there are no modes to restore.
            pass

    def enter_raw_mode(self) -> None:
        """Make stdin raw; again after SIGCONT, because the shell set its own modes meanwhile."""
        try:
            termios.tcsetattr(STDIN, termios.TCSANOW, raw_attributes(self._saved))
        except termios.error as error:
            raise CodewireError(f"enabling raw mode: {error.args[-1]}") from error


def suspend() -> None:
    """Stop this process as SIGTSTP does, until SIGCONT; at once back where no shell controls it."""
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        os.kill(os.getpid(), signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, handler)


def swallow_input() -> None:
    """Read stdin and drop it until nothing has come for QUIET_SECONDS; never raises."""
    poller = select.poll()
    poller.register(STDIN, select.POLLIN)
    deadline = time.monotonic() + SWALLOW_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        try:
            found = poller.poll(min(left, QUIET_SECONDS) * 1000)
            if not found or not os.read(STDIN, READ_BYTES):
                return
        except BlockingIOError:
            continue
        except OSError:
            return


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


def say_last(text: str) -> None:
    """Say a line on stderr, unless it is a terminal that is gone or takes nothing.

    The node, perhaps another machine's, chose some of the words.
    """
    text = harmless(text)
    if not os.isatty(STDERR):
        print_notice(text)
        return
    output = TerminalOutput(STDERR)
    try:
        output.write_bounded(f"{text}\n".encode(errors="replace"))
    finally:
        output.close()


def _ignore(_number: int, _frame: object) -> None:
    """Stand in for a signal's handler: its number arrives through the wakeup descriptor."""


def reset_terminal() -> None:
    """Bring the terminal on stdin to order: its line settings as by `stty sane`, and its modes."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = termios.tcgetattr(STDIN)
    iflag |= termios.BRKINT | termios.ICRNL | termios.IMAXBEL | termios.IXON
    iflag &= ~(termios.IGNBRK | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.PARMRK)
    oflag |= termios.OPOST | termios.ONLCR
    cflag |= termios.CREAD
    lflag |= termios.ISIG | termios.ICANON | termios.IEXTEN
    lflag |= termios.ECHO | termios.ECHOE | termios.ECHOK
    lflag &= ~(termios.ECHONL | termios.NOFLSH | termios.TOSTOP)
    sane = [iflag, oflag, cflag, lflag, ispeed, ospeed, characters]
    termios.tcsetattr(STDIN, termios.TCSANOW, sane)
    output = TerminalOutput(STDIN)
    try:
        output.write_bounded(RESET)
    finally:
        output.close()
