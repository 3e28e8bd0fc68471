"""News of one node for the overview: its events as they come, its screens as they are asked for.

Two threads: one waits for events, one asks. What they learn are functions of the board, run by the
loop's thread (`Post`). A node that goes away is looked for again, for ever; it is never started.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from codewire.client.api import Client
from codewire.client.overview.drawing import last_line
from codewire.errors import CodewireError, RequestError
from codewire.wire import events
from codewire.wire.answers.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from codewire.client.overview.board import Board, Key

    Post = Callable[[Callable[[Board], None]], None]

EVENTS = (events.STATE, events.CREATED, events.STATUS, events.STOPPED, events.CONTINUED)
# The screen that is looked at is asked for once in so many seconds, and of the others one.
LOOK_SECONDS = 1.0
# A list has every session's last output in it: at most one in so many seconds, and without any
# event one now and then, for what no event tells (who is attached).
LIST_SECONDS, RELIST_SECONDS = 1.0, 60.0
RETRY_SECONDS = 2.0
MAX_WORDS = 200


class Feed:
    """One node. `wish` says what is looked at."""

    def __init__(self, number: int, client: Client, post: Post, own_session: int | None) -> None:
        """`own_session` is the one whose terminal the overview is on: its screen is not shown."""
        self._number = number
        self.client = Client(route=client.route, autostart=False, notify=self._told)
        self._post = post
        self._own = own_session
        self._lock = threading.Lock()
        self._selected: int | None = None
        self._others: deque[int] = deque()
        self._is_stale = True
        self._is_resting = False
        self._bell = threading.Event()

    def start(self) -> None:
        """Begin to ask and to listen."""
        for work in (self._listen, self._ask):
            threading.Thread(target=self._for_ever, args=(work,), daemon=True).start()

    def look_at(self, selected: int | None, others: Sequence[int]) -> None:
        """Say which session's screen is shown, and which lines are in sight."""
        with self._lock:
            is_new = selected != self._selected
            self._selected = selected
            if set(others) != set(self._others):
                self._others = deque(others)
        if is_new:
            self._bell.set()

    def rest(self, is_resting: bool) -> None:
        """Stop asking while nobody looks; the first thing afterwards is the list."""
        self._is_resting = is_resting
        if not is_resting:
            self.refresh()

    def refresh(self) -> None:
        """Have the list asked for anew."""
        self._is_stale = True
        self._bell.set()

    def run(self, what: Callable[[Client], str]) -> None:
        """Do something in a thread of its own, and show what it returns, or why it failed."""

        def work() -> None:
            try:
                words = what(self.client)
            except CodewireError as error:
                words = str(error)
            except Exception as error:  # noqa: BLE001 - a thread's top: somebody waits for a word
                words = f"{type(error).__name__}: {error}"
            self._post(lambda board: _say(board, words))
            self.refresh()

        threading.Thread(target=work, daemon=True).start()

    def _told(self, line: str) -> None:
        words = line.removeprefix("[cw] ")
        self._post(lambda board: _say(board, words))

    def _for_ever(self, work: Callable[[], None]) -> None:
        while True:
            try:
                work()
            except CodewireError as error:
                words = str(error)
            except Exception as error:  # noqa: BLE001 - a thread's top: the overview must show it
                words = f"{type(error).__name__}: {error}"
            else:
                words = "the node has closed the connection"
            self._fail(words.partition("\n")[0][:MAX_WORDS])
            time.sleep(RETRY_SECONDS)

    def _fail(self, words: str) -> None:
        number = self._number

        def tell(board: Board) -> None:
            board.troubles[number] = words

        self._post(tell)
        self._is_stale = True

    # Listening

    def _listen(self) -> None:
        for happening in self.client.subscribe(None, (), EVENTS):
            if isinstance(happening, Event) and happening.type == events.STATE:
                self._take_state(happening)
            else:
                # A session more or less; or another worker, and what it told before is missed.
                self.refresh()

    def _take_state(self, event: Event) -> None:
        key: Key = (self._number, event.session_id)
        state, kind, reason = (str(event.data.get(name) or "") for name in ("to", "kind", "reason"))
        since = event.timestamp
        self._post(lambda board: board.changed(key, state, kind, reason, since, ""))

    # Asking

    def _ask(self) -> None:
        listed = -RELIST_SECONDS
        while True:
            now = time.monotonic()
            if not self._is_resting:
                age = now - listed
                if (self._is_stale and age >= LIST_SECONDS) or age >= RELIST_SECONDS:
                    self._is_stale, listed = False, now
                    self._list()
                self._look()
            self._wait(now)

    def _wait(self, began: float) -> None:
        """Wait for the next turn; another selection is looked at soon, but not at every key."""
        self._bell.wait(max(0.1, began + LOOK_SECONDS - time.monotonic()))
        self._bell.clear()
        time.sleep(0.05)

    def _list(self) -> None:
        number, sessions = self._number, self.client.list_sessions()
        self._post(lambda board: board.listed(number, sessions))

    def _look(self) -> None:
        with self._lock:
            selected = self._selected
            other = self._others[0] if self._others else None
            self._others.rotate(-1)
        for session_id in dict.fromkeys((selected, other)):
            if session_id is not None and session_id != self._own:
                self._look_at(session_id)

    def _look_at(self, session_id: int) -> None:
        key: Key = (self._number, session_id)
        try:
            screen = self.client.screen(session_id, ansi=True)
        except RequestError:
            # It has gone meanwhile, its screen takes too long to draw, or the node knows none.
            return
        line = last_line(screen.lines)
        self._post(lambda board: board.looked(key, screen, line))


def _say(board: Board, words: str) -> None:
    board.message = words
