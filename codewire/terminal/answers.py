"""Answers terminal queries of sessions nobody is attached to: one more cursor on each log.

One greenlet or thread for all sessions, woken by output of those alone that have no client. Which
queries are the node's to answer is said in questions.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque

from codewire.io.wait import give_way
from codewire.output.log import OutputLog
from codewire.term.modes import Modes
from codewire.term.queries import QUERY, State, answer, find_unfinished
from codewire.terminal.questions import Asker, Questions
from codewire.terminal.turns import ScreenUnknown

log = logging.getLogger(__name__)

READ_BYTES = 1 << 16
# A program that asks waits for the answer and prints nothing. While one goes on printing there is
# no hurry: looking may take one part in so many of the time.
FLOOD_PAUSE = 30
LONGEST_PAUSE = 0.05
# This far behind a flood, what is older than the last stretch is not looked at any more.
FAR_BYTES, NEAR_BYTES = 4 << 20, 1 << 18
# After a restart of the worker the clients that were attached come back first: what was asked
# meanwhile is for their terminals to answer.
RETURN_SECONDS = 1.0
# A query may need the screen drawn: so long under the lock that an attaching client waits for, and
# so long at a time for one session, while the others' queries wait.
LOCKED_SECONDS = 0.02
DRAW_SECONDS = 0.05
# Between two looks at a log that cannot be read.
RETRY_SECONDS = 1.0


class Answerer:
    """The loop that answers."""

    def __init__(self) -> None:
        self.is_on = os.environ.get("CW_NO_TTY_QUERIES") != "1"
        self._waiting: deque[Questions] = deque()
        self._bell = threading.Event()
        self._quiet_until = 0.0
        # By session: when it was tried last, and what it was.
        self._failing: dict[int, tuple[float, Questions]] = {}
        # Up to where a screen must be drawn before a query can be answered, 0 for none.
        self._undrawn = 0

    def add(self, session: Asker, output: OutputLog, *, is_restored: bool) -> Questions:
        """Watch a session's log from its end on; return who decides which queries are ours."""
        questions = Questions(session, self._ring)
        questions.offset = output.end
        questions.is_on = self.is_on
        if self.is_on:
            if is_restored:
                self._quiet_until = time.monotonic() + RETURN_SECONDS
            output.watch(questions)
            questions.set()
        return questions

    def _ring(self, questions: Questions) -> None:
        self._waiting.append(questions)
        self._bell.set()

    def run(self) -> None:
        """Answer for ever; with nothing to answer, only wait."""
        while True:
            self._bell.wait(RETRY_SECONDS if self._failing else None)
            self._bell.clear()
            self._retry()
            pause = self._quiet_until - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            while self._waiting:
                questions = self._waiting.popleft()
                questions.is_rung = False
                self._serve_or_say(questions)

    def _serve_or_say(self, questions: Questions) -> None:
        """Serve; what fails is said once, until it has worked again."""
        number = questions.session.id
        try:
            self._serve(questions)
        except Exception as error:
            if number in self._failing:
                return
            self._failing[number] = (time.monotonic(), questions)
            if isinstance(error, (OSError, MemoryError)):
                log.error("session %d: answering queries failed: %s", number, error or "no memory")
            else:
                log.exception("session %d: answering queries failed", number)
        else:
            self._failing.pop(number, None)

    def _retry(self) -> None:
        """Give those that failed another turn: a program that waits for an answer prints nothing.

        Whose log cannot be read has none until it can, or is closed.
        """
        now = time.monotonic()
        for number, (since, questions) in list(self._failing.items()):
            if now >= since + RETRY_SECONDS:
                self._failing[number] = (now, questions)
                questions.ring()

    def _serve(self, questions: Questions) -> None:
        """Read one stretch and answer; what is left waits for its next turn."""
        output = questions.session.live_log
        if output is None or not output.retain():
            return
        try:
            started, end = time.monotonic(), output.end
            if not self._step(questions, output):
                return
            self._draw(questions.session, output)
            spent = time.monotonic() - started
            questions.ring()
            give_way()
            if output.end != end:
                time.sleep(min(spent * FLOOD_PAUSE, LONGEST_PAUSE))
        finally:
            output.release()

    def _step(self, questions: Questions, output: OutputLog) -> int:
        """Look at one stretch; return how many bytes it had."""
        # Under the lock, so that no client attaches between the look and the answer.
        with questions.lock:
            end = output.end if questions.limit is None else questions.limit
            start = questions.offset
            if end - start > FAR_BYTES:
                start = end - NEAR_BYTES
            if start >= end:
                return 0
            chunk = output.read(start, min(READ_BYTES, end - start))
            stop = find_unfinished(chunk.data)
            for found in QUERY.finditer(chunk.data, 0, stop):
                end = chunk.offset + found.end()
                try:
                    _answer(questions.session, output, found[0], end, LOCKED_SECONDS)
                except ScreenUnknown:
                    # Once it is drawn that far.
                    questions.offset = chunk.offset + found.start()
                    self._undrawn = end
                    return 1
            questions.offset = chunk.offset + stop
            return questions.offset - start

    def _draw(self, session: Asker, output: OutputLog) -> None:
        """Draw on towards a query, while clients may come and go."""
        end, self._undrawn = self._undrawn, 0
        if end:
            with contextlib.suppress(ScreenUnknown):
                session.terminal.display.look(
                    output, lambda *_: None, end, seconds=DRAW_SECONDS, hurries=()
                )


def _answer(session: Asker, output: OutputLog, query: bytes, end: int, seconds: float) -> None:
    """Answer one query that ends at an offset. Raises ScreenUnknown when drawing takes longer."""
    display = session.terminal.display

    def look() -> tuple[Modes, int, int, int, int]:
        return display.look(
            output,
            lambda s, _: (s.modes, *display.cursor_at(end, s), *display.size()),
            end,
            seconds=seconds,
            hurries=(),
        )

    reply = answer(query, State(look))
    if reply and session.input is not None and not session.input.write_now(reply):
        log.info("session %d: a terminal query stays unanswered, input is full", session.id)
