"""The attach loop: a terminal and a session's output and input, joined until one of them ends.

One thread, one poll(2) over stdin, stdout, the node's socket and the signals. Spec: cli.md 6.
"""

from __future__ import annotations

import os
import select
import signal
import time
from typing import NamedTuple

from codewire.client.attaching.keys import Keys
from codewire.client.attaching.link import Detached, Ended, Gap, Link, Output, StateChange, Viewers
from codewire.client.attaching.outerstatus import OuterStatus
from codewire.client.attaching.statusbar import StatusBar
from codewire.client.attaching.terminal import (
    FATAL_SIGNALS,
    STDIN,
    RawTerminal,
    Signals,
    suspend,
    terminal_size,
)
from codewire.errors import (
    CodewireError,
    ConnectionLost,
    NodeRefused,
    ProtocolError,
)
from codewire.term.modes import Modes
from codewire.term.restore import CLEAR, RESTORE_TITLE, SAVE_TITLE

# How long the node may take to confirm a detachment; it frees the session without that too.
DETACH_SECONDS = 2.0
# Typed ahead while the node is away or full. Past it stdin is not read: nothing is dropped, but a
# chord behind that much is not seen either.
TYPED_BYTES = 4 << 20
READ_BYTES = 16 * 1024

BAR_IDLE_SECONDS = 0.75
BAR_PERIOD_SECONDS = 10.0
# A replayed history flips in and out of the alternate screen; the session need not follow each.
SIZE_SETTLE_SECONDS = 0.1


class Ending(NamedTuple):
    """What is said on stderr in the end ("" for nothing), and the exit status."""

    text: str
    exit_code: int


class Look(NamedTuple):
    """What the user chose about the bar and the keys."""

    label: str
    shows_bar: bool
    detach_letter: str


class Attachment:
    """The loop's state: what is on its way to the terminal, and what is due when."""

    def __init__(
        self,
        session_id: int,
        link: Link,
        terminal: RawTerminal,
        signals: Signals,
        look: Look,
    ) -> None:
        self._session_id = session_id
        self._link = link
        self._terminal = terminal
        self._signals = signals
        self._look = look
        self._viewers = 1
        self._bar = StatusBar(look.shows_bar)
        self._modes = Modes()
        self._title_saved = False
        self._status = OuterStatus(os.environ.get("TERM", ""))
        self._out = b""
        self._written = 0
        self._lost_bytes = 0
        self._started = self._last_output = self._last_draw = time.monotonic()
        self._was_up = True
        self._keys = Keys(look.detach_letter, self._status, self._started)
        self._size_due: float | None = None
        self._detach_due: float | None = None

    def run(self) -> Ending:
        """Pump until something ends it; never raises CodewireError."""
        try:
            self._take_size()
            if self._bar.is_shown:
                self._out = CLEAR + self._out
            self._out += self._status.query
            while True:
                ending = self._take_items() or self._wait() or self._run_timers()
                if ending is not None:
                    return self._with_gap(ending)
        except ConnectionLost as error:
            why = f": {error}" if isinstance(error.__cause__, NodeRefused) else ""
            return Ending(f"[cw] connection lost{why}", 1)
        except ProtocolError as error:
            return Ending(f"[cw] connection error: {error}", 1)
        except CodewireError as error:
            return Ending(f"[cw] {error}", error.exit_code)
        except OSError:
            # Only the terminal's own descriptors raise here: it is gone.
            return Ending("", 128 + signal.SIGHUP)

    # From the node

    def _take_items(self) -> Ending | None:
        """Take what the node sent, as long as the terminal has room for it."""
        while self._has_room():
            item = self._link.next_item()
            if item is None:
                return None
            if isinstance(item, Output):
                self._out = self._bar.feed(item.data)
                self._note_switches()
                self._note_size_change()
            elif isinstance(item, Gap):
                self._take_gap(item.size)
            elif isinstance(item, Viewers):
                self._viewers = item.number
                self._bar.is_dirty = True
            elif isinstance(item, StateChange):
                self._status.take(item.state)
            elif isinstance(item, Ended):
                return Ending(f"[cw] {item.text}", 0)
            elif isinstance(item, Detached):
                return self._detached()
        return None

    def _note_switches(self) -> None:
        """Keep up to date what must be undone on the way out."""
        if b"\x1b" not in self._out:
            return
        if b"\x1b]" in self._out and not self._title_saved:
            self._title_saved = True
            self._out = SAVE_TITLE + self._out
        self._modes.note(self._out)
        self._prepare_leaving()

    def _prepare_leaving(self) -> None:
        title = RESTORE_TITLE if self._title_saved else b""
        self._terminal.teardown = self._modes.leave() + title + self._status.leave()

    def _take_gap(self, size: int) -> None:
        """Tell of lost bytes where they are missing, unless a full-screen program is on display."""
        if self._bar.is_alternate:
            self._lost_bytes += size
        else:
            self._out = b"\r\n[cw] %s\r\n" % gap_text(size).encode()

    def _with_gap(self, ending: Ending) -> Ending:
        if not self._lost_bytes:
            return ending
        return Ending(f"[cw] {gap_text(self._lost_bytes)}\n{ending.text}", ending.exit_code)

    def _detached(self, exit_code: int = 0) -> Ending:
        return Ending(f"[cw] detached from session {self._session_id}", exit_code)

    # The poll

    def _wait(self) -> Ending | None:
        """Wait for the first thing to happen and handle all that has."""
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        if self._out:
            poller.register(self._terminal.output, select.POLLOUT)
        if len(self._link.typed) < TYPED_BYTES and self._detach_due is None:
            poller.register(STDIN, select.POLLIN)
        link_fd = self._link.fileno()
        # Without a wish of ours the link is not polled: its POLLHUP would come again and again.
        wishes = (0 if self._out else select.POLLIN) | (
            select.POLLOUT if self._link.wants_to_write() else 0
        )
        if link_fd >= 0 and wishes:
            poller.register(link_fd, wishes)
        ending = None
        for fd, events in poller.poll(self._timeout_ms()):
            if fd == link_fd:
                self._serve_link(events, wishes)
            elif fd == STDIN:
                ending = ending or self._read_keys()
            elif fd == self._signals.fileno():
                ending = self._take_signals()
            else:
                self._write_screen()
        return ending

    def _has_room(self) -> bool:
        """Write what has come before polling for room: mostly there is, and a key's echo waits."""
        if self._out and not self._written and self._terminal.output.never_blocks:
            self._write_screen()
        return not self._out

    def _write_screen(self) -> None:
        self._last_output = time.monotonic()
        self._written += self._terminal.output.write(self._out, self._written)
        if self._written == len(self._out):
            self._out, self._written = b"", 0

    def _serve_link(self, events: int, wishes: int) -> None:
        gone = events & (select.POLLHUP | select.POLLERR)
        if wishes & select.POLLOUT and events & select.POLLOUT | gone:
            self._link.write()
        if wishes & select.POLLIN and events & select.POLLIN | gone:
            self._link.read()

    def _read_keys(self) -> Ending | None:
        try:
            data = os.read(STDIN, READ_BYTES)
        except BlockingIOError:
            # Another process made the terminal non-blocking and took the keys.
            return None
        if not data:
            # In raw mode only a terminal that has gone away reads as ended.
            return Ending("", 128 + signal.SIGHUP)
        for event in self._keys.feed(data, time.monotonic()):
            if not isinstance(event, bytes):
                return self._begin_detach()
            self._link.typed += event
        if self._status.is_known:
            self._link.ask_states()
        self._link.write_key()
        return None

    def _begin_detach(self) -> Ending | None:
        if not self._link.is_up:
            return self._detached()
        self._link.detach()
        self._detach_due = time.monotonic() + DETACH_SECONDS
        return None

    def _take_signals(self) -> Ending | None:
        numbers = self._signals.take()
        fatal = numbers & FATAL_SIGNALS
        if fatal:
            return self._detached(128 + min(fatal))
        if signal.SIGTSTP in numbers:
            self._terminal.leave()
            suspend()
        if numbers & {signal.SIGTSTP, signal.SIGCONT}:
            self._terminal.enter_raw_mode()
            self._status.again()
            self._out = self._modes.enter() + self._out[self._written :]
            self._written = 0
        if numbers & {signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT}:
            self._take_size()
        if numbers & {signal.SIGTSTP, signal.SIGCONT}:
            self._ask_to_draw()
        return None

    def _ask_to_draw(self) -> None:
        """Make a full-screen program draw everything: by another size, and back."""
        rows, cols = self._bar.session_size
        if self._modes.is_alternate and rows > 1:
            self._link.resize(rows - 1, cols)
            self._size_due = time.monotonic() + SIZE_SETTLE_SECONDS

    # What is due when

    def _timeout_ms(self) -> float | None:
        """Return how long poll may sleep; None when nothing is due."""
        times = [self._keys.due, self._size_due, self._detach_due, self._link.next_dial]
        due = [t for t in (*times, self._bar_due()) if t is not None]
        if not due:
            return None
        # Rounded up: poll counts whole milliseconds, and waking early would spin.
        return max(0.0, min(due) - time.monotonic()) * 1000 + 1

    def _run_timers(self) -> Ending | None:
        now = time.monotonic()
        if self._keys.due is not None and now >= self._keys.due:
            self._link.typed += self._keys.flush()
        if self._size_due is not None and now >= self._size_due:
            self._size_due = None
            self._link.resize(*self._bar.session_size)
        if self._detach_due is not None and now >= self._detach_due:
            return self._detached()
        if self._link.next_dial is not None and now >= self._link.next_dial:
            if self._detach_due is not None:
                return self._detached()
            self._link.dial()
        if not self._out and self._bar.is_between:
            self._out = self._status.due()
            if self._out:
                self._prepare_leaving()
        bar_due = self._bar_due()
        if bar_due is not None and now >= bar_due and not self._out:
            self._out = self._draw_bar()
        return None

    # Size and bar

    def _take_size(self) -> None:
        """Take the terminal's size: lay out the bar, tell the session, prepare the way out."""
        rows, cols = terminal_size()
        self._out += self._bar.resize(rows, cols)
        if self._bar.may_draw:
            self._out += self._draw_bar()
        self._link.resize(*self._bar.session_size)
        # The end message lands below everything that was on the screen.
        self._terminal.epilogue = self._bar.remove() + b"\x1b[%d;1H" % max(rows, 1)

    def _note_size_change(self) -> None:
        """The session gets the bar's row while it uses the alternate screen."""
        if self._size_due is None and self._bar.session_size != self._link.size:
            self._size_due = time.monotonic() + SIZE_SETTLE_SECONDS

    def _bar_due(self) -> float | None:
        """Return when the bar is to be drawn next, None while it may not be."""
        if not self._bar.may_draw or self._out:
            return None
        if self._bar.is_dirty or self._was_up != self._link.is_up:
            return self._last_output + BAR_IDLE_SECONDS
        return self._last_draw + BAR_PERIOD_SECONDS

    def _draw_bar(self) -> bytes:
        self._last_draw = time.monotonic()
        self._was_up = self._link.is_up
        state = "running" if self._was_up else "reconnecting..."
        age = short_age(self._last_draw - self._started)
        others = f" | +{self._viewers - 1} attached" if self._viewers > 1 else ""
        key = f"Ctrl+{self._look.detach_letter.upper()} d"
        return self._bar.draw(f" [cw] {self._look.label} | {state} | {age}{others} | {key}")


def gap_text(size: int) -> str:
    """Return the words for bytes of output that no log has any more."""
    return f"{size} bytes of output are gone (log budget or full disk)"


def short_age(seconds: float) -> str:
    """Return a duration as the bar shows it.

    >>> short_age(42), short_age(430), short_age(3800)
    ('42s', '7m', '1h3m')
    """
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    return f"{whole // 3600}h{whole % 3600 // 60}m"
