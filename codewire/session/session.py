"""One session: a process on a PTY, its log, where it is in its life (life.py).

Whoever tells it what happens is in lifecycle.py, ending.py and restoring.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from codewire.disk.lines import Lines
from codewire.errors import LogUnavailable
from codewire.io.clock import CLOCK, Clock, Moment
from codewire.io.filecalls import FileCalls, call_here
from codewire.io.processes import is_halted
from codewire.io.ptys import set_window_size, unread_bytes, window_size
from codewire.output.cursor import Cursor
from codewire.output.log import OutputLog
from codewire.output.opening import open_log, read_log, reopen_log
from codewire.session.agentstate import AgentState
from codewire.session.life import LIVELY, Life, State
from codewire.session.records.files import INPUT_KEYS, MESSAGES
from codewire.session.records.record import Record
from codewire.terminal.display import DEFAULT_SIZE
from codewire.terminal.questions import Questions
from codewire.terminal.state import Terminal
from codewire.terminal.turns import Pen
from codewire.wire.exits import Exit
from codewire.wire.sizes import clamped

if TYPE_CHECKING:
    from codewire.terminal.input import Input

T = TypeVar("T")

log = logging.getLogger(__name__)

# What a session's events.jsonl and messages.jsonl may have, the older half of it in a file beside.
EVENTS_BYTES = 4 << 20
MESSAGES_BYTES = 8 << 20


class Session:
    """A record with what is alive of it. Satisfies drain.Source."""

    def __init__(
        self,
        record: Record,
        log_path: str,
        events_path: str,
        pen: Pen | None = None,
        clock: Clock = CLOCK,
        calls: FileCalls = call_here,
    ) -> None:
        """`pen` is what sessions of a node take turns with when their screens are drawn.

        `calls` is how its files are called on.
        """
        self.record = record
        self._pen = pen
        self.id = record.id
        self.log_path = log_path
        self.events = Lines(events_path, EVENTS_BYTES // 2, calls=calls)
        self._messages: Lines | None = None
        self._clock = clock
        self._calls = calls
        # What was said of its files where asking may hang, by who was asked.
        self._heard: dict[Callable[..., Any], Any] | None = None
        self.master = -1
        self.input: Input | None = None
        self.life = Life()
        self.exit: Exit | None = None
        # Whether the keeper tells when a signal stops it: of a process it has no child of, only
        # /proc knows.
        self.tells_stops = False
        self.attached_count = 0
        self.lock = threading.Lock()
        # Who counts the lines of its output; it reads the log meanwhile.
        self.counting = threading.Lock()
        self._log: OutputLog | None = None
        self._last_size = DEFAULT_SIZE
        # The display learns of a new size and the terminal gets it in one.
        self._size_lock = threading.Lock()
        self._terminal: Terminal | None = None
        self.questions: Questions | None = None
        # What its agent does, for one that has a terminal.
        self.agent: AgentState | None = None
        self._watchers: tuple[threading.Event, ...] = ()
        self.on_drained_hook: Callable[[], None] = lambda: None
        self.on_hangup_hook: Callable[[], None] = lambda: None

    @property
    def terminal(self) -> Terminal:
        """What is known of its terminal: the screen, who looks, what was typed."""
        if self._terminal is None:
            keys_path = os.path.join(os.path.dirname(self.log_path), INPUT_KEYS)
            with self.lock:
                if self._terminal is None:
                    self._terminal = Terminal(self.size, self.resize, keys_path, self._pen)
        return self._terminal

    @property
    def messages(self) -> Lines:
        """The end of the file of its messages; most sessions never get one."""
        if self._messages is None:
            path = os.path.join(os.path.dirname(self.log_path), MESSAGES)
            with self.lock:
                if self._messages is None:
                    self._messages = Lines(path, MESSAGES_BYTES // 2)
        return self._messages

    @property
    def log(self) -> OutputLog:
        """The log while the session has a terminal; the drain writes it."""
        assert self._log is not None
        return self._log

    @property
    def live_log(self) -> OutputLog | None:
        """The log while the session has a terminal, else None."""
        return self._log

    def open_log(self, max_bytes: int, *, is_restored: bool = False) -> OutputLog:
        """Open the log for a session that has a terminal. Raises OSError.

        That of one which was there before (`is_restored`) raises nothing: see reopen_log.
        """
        if self._log is None:
            path, record = self.log_path, self.record
            if is_restored:
                self._log = reopen_log(path, max_bytes, record.gaps, record.counted, self._calls)
            else:
                self._log = open_log(path, max_bytes, record.gaps, calls=self._calls)
        return self._log

    def cursor(self, offset: int, waker: threading.Event) -> Cursor:
        """Return a reader at `offset`, in every state. Raises LogUnavailable."""
        with self.lock:
            if self._log is not None and self._log.is_lost:
                raise LogUnavailable(self._log.failure)
            if self._log is not None and self._log.retain():
                return Cursor(self._log, offset, waker)
        # The reader is its only user: closing the cursor closes the file.
        return Cursor(read_log(self.log_path, self.record.gaps, self._calls), offset, waker)

    def close_log(self) -> None:
        """Drop the session's own use of the log: nothing will be written any more."""
        with self.lock:
            output, self._log = self._log, None
        if output is not None:
            output.release()

    def log_status(self) -> tuple[int, int] | None:
        """Return the size of its log, with what was freed or lost, and when it last grew (ns).

        None where there is none.
        """
        live = self._log
        if live is not None and not live.is_lost:
            return live.end, live.grown_at_ns
        return self.ask(_file_status, self.log_path)

    def ask(self, function: Callable[..., T], *args: Any) -> T:
        """Return what a function says of its files once it has ended.

        Where that may hang it is asked once: listing sessions waits for no disk.
        """
        if self._calls is call_here:
            return function(*args)
        known = self._heard = self._heard or {}
        if function not in known:
            known[function] = self._calls(function, *args)
        heard: T = known[function]
        return heard

    def grow_count(self) -> int:
        """Return bytes since the session began (what was lost or freed included)."""
        current = self._log
        if current is not None:
            return current.end
        return self.record.counted

    def is_running(self) -> bool:
        """Say whether the session has not ended; its last bytes may still be on their way."""
        return self.life.is_running

    def is_halted(self) -> bool:
        """Say whether it runs but its process has been stopped by a signal (SIGSTOP, SIGTSTP)."""
        # Whatever is being killed is stopped first.
        if self.life.state not in LIVELY or self.record.kill_requested:
            return False
        return self.life.state is State.STOPPED if self.tells_stops else is_halted(self.record.pid)

    def idle_seconds(self) -> float:
        """Return how long ago it printed something, or began. For a session with a terminal.

        What is still to be read counts: a worker that got no processor for a while learns of the
        time before it learns of the output.
        """
        if self._has_unread():
            return 0.0
        ages_ns = [self.age_ns()]
        current = self._log
        if current is not None and current.end:
            grown_ns = current.grown_steady_ns or current.found_steady_ns
            ages_ns.append(self._clock.steady_ns() - grown_ns)
        return max(0.0, min(ages_ns) / 1e9)

    def age_ns(self) -> int:
        """Return how long ago it began."""
        record = self.record
        return self._clock.since(Moment(record.created_ns, record.began_steady_ns, record.boot))

    def _has_unread(self) -> bool:
        found: list[int] = []
        if self.input is not None:
            with contextlib.suppress(OSError):
                self.input.use(lambda fd: found.append(unread_bytes(fd)))
        return any(found)

    def wake(self) -> None:
        """Wake everyone who looks at this session."""
        current = self._log
        if current is not None:
            current.wake()
        for waker in self._watchers:
            waker.set()

    def watch(self, waker: threading.Event) -> None:
        """Set `waker` when the session ends."""
        with self.lock:
            self._watchers = (*self._watchers, waker)

    def unwatch(self, waker: threading.Event) -> None:
        """Undo `watch`. Idempotent."""
        with self.lock:
            self._watchers = tuple(w for w in self._watchers if w is not waker)

    def resize(self, rows: int, cols: int) -> None:
        """Set the terminal's size, cut to what is allowed; nothing once the terminal is closed."""
        rows, cols = clamped(rows, cols)
        output = self._log
        if self.input is None or output is None or self.size() == (rows, cols):
            return
        with self._size_lock:
            if self._terminal is not None:
                self._terminal.display.resized(output.end, rows, cols)
            self.input.use(lambda fd: set_window_size(fd, rows, cols))

    def size(self) -> tuple[int, int]:
        """Return the terminal's (rows, columns): the last known ones once it is closed."""
        found: list[tuple[int, int]] = []
        if self.input is not None:
            with self._size_lock:
                self.input.use(lambda fd: found.append(window_size(fd)))
        if found and all(found[0]):
            self._last_size = found[0]
        return self._last_size

    def duration_ms(self) -> int:
        """Return how long it has lived, in milliseconds."""
        record = self.record
        if record.duration_ms:
            return record.duration_ms
        if record.completed_ns:
            return max(0, (record.completed_ns - record.created_ns) // 1_000_000)
        return self.age_ns() // 1_000_000

    # drain.Source

    def on_writable(self) -> None:
        if self.input is not None:
            self.input.on_writable()

    def on_drained(self) -> None:
        self.on_drained_hook()

    def on_hangup(self) -> None:
        self.on_hangup_hook()


def _file_status(path: str) -> tuple[int, int] | None:
    """Return a regular file's size and its last change in nanoseconds."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
