"""The overview's loop: this process's terminal, the board, and the nodes' feeds (cw top).

One poll(2) over stdin, the terminal, signals and news. Drawing waits for the terminal, nothing else
does: nodes are asked by threads of their own (feed.py).
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from codewire.client.attaching import attach
from codewire.client.attaching.terminal import (
    FATAL_SIGNALS,
    STDIN,
    RawTerminal,
    Signals,
    suspend,
    terminal_size,
)
from codewire.client.feedback import showing_session
from codewire.client.overview import canvas
from codewire.client.overview.board import Board, Wish
from codewire.client.overview.drawing import draw
from codewire.client.overview.feed import Feed
from codewire.client.overview.keyboard import Keyboard
from codewire.client.prompting import REFUSED, refusal
from codewire.errors import CodewireError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codewire.client.api import Client
    from codewire.term.paint import Paint

# Ages count on, once in so many seconds.
TICK_SECONDS = 1.0
# Two pictures are no closer, whatever happens.
DRAW_SECONDS = 0.04
# A lone ESC may begin a key.
ESCAPE_SECONDS = 0.05
READ_BYTES = 4096
# News that nobody takes, because somebody is attached: past this only the list is asked anew.
MAX_NEWS = 10_000


class News:
    """What the feeds have learnt, on its way to the loop: functions of the board."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[Board], None]] = deque(maxlen=MAX_NEWS)
        self._lock = threading.Lock()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        return self._reader

    def post(self, change: Callable[[Board], None]) -> None:
        """Add one; from any thread, never blocks."""
        with self._lock:
            is_first = not self._waiting
            self._waiting.append(change)
        if is_first:
            try:
                os.write(self._writer, b"!")
            except BlockingIOError:
                return

    def take(self) -> list[Callable[[Board], None]]:
        """Return all there are."""
        try:
            os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            pass
        with self._lock:
            found = list(self._waiting)
            self._waiting.clear()
        return found


def run(
    clients: Sequence[tuple[str, Client]], paint: Paint, detach_letter: str, words: str = ""
) -> int:
    """Show the sessions of some nodes, each with its label, until the user leaves.

    It begins with `words` as the filter. Returns the exit status. The terminal is as before on
    every way out. Raises UsageError without a terminal, NodeUnreachable. Main thread only.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError("top needs a terminal on stdin and stdout; 'cw list' prints a table")
    for _, client in clients:
        # Starts this machine's node where none runs; one that cannot be had is said at once.
        client.connect().close()
    overview = Overview(clients, paint, detach_letter)
    overview.board.filter = words
    return overview.run()


class Overview:
    """The loop's state."""

    def __init__(
        self, clients: Sequence[tuple[str, Client]], paint: Paint, detach_letter: str
    ) -> None:
        self._news = News()
        self.board = Board([label for label, _ in clients])
        self._paint = paint
        self._detach_letter = detach_letter
        self._feeds = [
            Feed(number, client, self._news.post, showing_session(client))
            for number, (_, client) in enumerate(clients)
        ]
        self._canvas = canvas.Canvas()
        self._keyboard = Keyboard()
        # Keys that were typed ahead.
        self._ahead: list[str] = []
        self._out = b""
        self._drawn = 0.0
        self._is_due = True

    def run(self) -> int:
        """Take turns with attachments until the user leaves."""
        for feed in self._feeds:
            feed.start()
        while True:
            wish = self._watch()
            if wish.what != "attach":
                return int(wish.text or 0)
            self._attach(wish)

    def _attach(self, wish: Wish) -> None:
        """Be attached to a session for a while; how it ended is the message afterwards."""
        feed, entry = self._feeds[wish.key[0]], self.board.entry(wish.key)
        # They were meant for what is no longer to be seen.
        self._ahead.clear()
        for each in self._feeds:
            each.rest(True)
        try:
            label = f"{entry.label} ({wish.key[1]})" if entry else ""
            attach.run(feed.client, wish.key[1], label=label, detach_letter=self._detach_letter)
        except CodewireError as error:
            self.board.message = str(error)
        finally:
            for each in self._feeds:
                each.rest(False)

    def _watch(self) -> Wish:
        """Show the overview until a wish needs the terminal, or ends it."""
        with Signals() as signals, RawTerminal() as terminal:
            terminal.teardown = canvas.LEAVE
            self._begin_picture()
            while True:
                wish = self._turn(signals, terminal)
                if wish is None:
                    continue
                if wish.what in ("attach", "quit"):
                    return wish
                self._do(wish, terminal)

    def _begin_picture(self) -> None:
        self._canvas.forget()
        self._out, self._is_due = canvas.ENTER, True

    def _turn(self, signals: Signals, terminal: RawTerminal) -> Wish | None:
        """Draw what is due, wait for what comes next, and take it."""
        self._draw(terminal)
        ready = self._poll(signals, terminal)
        wish = None
        if signals.fileno() in ready:
            wish = self._take_signals(signals.take())
        if self._news.fileno() in ready:
            for change in self._news.take():
                change(self.board)
            self._is_due = True
        if STDIN in ready:
            wish = wish or self._read()
        elif self._keyboard.is_waiting:
            wish = wish or self._press(self._keyboard.flush())
        elif self._ahead:
            wish = wish or self._press([])
        self._tell_feeds()
        return wish

    def _poll(self, signals: Signals, terminal: RawTerminal) -> dict[int, int]:
        poller = select.poll()
        for fd in (STDIN, signals.fileno(), self._news.fileno()):
            poller.register(fd, select.POLLIN)
        now = time.monotonic()
        if self._out:
            poller.register(terminal.output.fileno(), select.POLLOUT)
        wait = TICK_SECONDS
        if self._keyboard.is_waiting:
            wait = ESCAPE_SECONDS
        elif self._ahead:
            wait = 0.0
        elif self._is_due:
            wait = max(0.0, self._drawn + DRAW_SECONDS - now)
        return dict(poller.poll(wait * 1000))

    def _draw(self, terminal: RawTerminal) -> None:
        now = time.monotonic()
        is_due = self._is_due and now >= self._drawn + DRAW_SECONDS
        if not self._out and (is_due or now >= self._drawn + TICK_SECONDS):
            rows, cols = terminal_size()
            lines = draw(self.board, rows or 24, cols or 80, time.time_ns(), self._paint)
            self._out = self._canvas.update(lines, cols)
            self._drawn, self._is_due = now, False
        elif self._out.startswith(canvas.ENTER):
            self._drawn = 0.0
        if self._out:
            try:
                self._out = self._out[terminal.output.write(self._out) :]
            except OSError:
                # A closed window: the end of stdin is next.
                self._out = b""

    def _take_signals(self, numbers: set[int]) -> Wish | None:
        fatal = next((n for n in numbers if n in FATAL_SIGNALS), None)
        if fatal is not None:
            return Wish("quit", text=str(128 + fatal))
        if signal.SIGTSTP in numbers:
            return Wish("suspend")
        if signal.SIGCONT in numbers:
            return Wish("redraw")
        self._is_due = True
        return None

    def _read(self) -> Wish | None:
        try:
            data = os.read(STDIN, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            return Wish("quit", text=str(128 + signal.SIGHUP))
        return self._press(self._keyboard.feed(data))

    def _press(self, keys: list[str]) -> Wish | None:
        """Take keys up to one that asks for something; those behind it have their turn next."""
        self._is_due = True
        self._ahead += keys
        while self._ahead:
            wish = self.board.press(self._ahead.pop(0))
            if self.board.asks == "kill":
                # Only who has seen the question answers it: not the rest of a paste.
                self._ahead.clear()
            if wish is not None:
                return wish
        return None

    def _do(self, wish: Wish, terminal: RawTerminal) -> None:
        """Do what needs no other terminal."""
        if wish.what == "suspend":
            terminal.leave()
            suspend()
        if wish.what in ("suspend", "redraw"):
            terminal.enter_raw_mode()
            self._begin_picture()
            return
        feed, entry = self._feeds[wish.key[0]], self.board.entry(wish.key)
        label, session_id = entry.label if entry else str(wish.key[1]), wish.key[1]
        if wish.what == "kill":
            self.board.message = f"killing {label}…"
            feed.run(lambda client: _kill(client, session_id, label))
        elif wish.what == "prompt":
            self.board.message = f"typing to {label}…"
            feed.run(lambda client: _prompt(client, session_id, label, wish.text))
        self._is_due = True

    def _tell_feeds(self) -> None:
        """Tell the feeds which sessions are in sight."""
        board = self.board
        running = [entry.key for entry in board.visible() if entry.info.is_running]
        for number, feed in enumerate(self._feeds):
            selected = board.selected
            is_here = selected is not None and selected[0] == number
            others = [session_id for node, session_id in running if node == number]
            feed.look_at(selected[1] if selected and is_here else None, others)


def _kill(client: Client, session_id: int, label: str) -> str:
    client.kill(session_id)
    return f"{label} killed"


def _prompt(client: Client, session_id: int, label: str, text: str) -> str:
    sent = client.submit(session_id, text, prompt=True)
    if sent.verdict == REFUSED:
        return refusal(session_id, sent)
    return f"{label}: sent"
