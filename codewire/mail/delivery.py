"""Typing mail into a terminal (spec/wire.md 14.3), but not into a shell, which would run it.

One text at a time goes into a terminal, whole. A program that reads nothing holds up nobody: its
mail waits in line, and the sender is told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from functools import partial
from weakref import WeakKeyDictionary

from codewire.errors import LogUnavailable, OutOfThreads, RequestError
from codewire.io.wait import give_way, spawn
from codewire.mail.foreground import UNKNOWN, Shell, find_shell
from codewire.session.lifecycle import Lifecycle
from codewire.session.session import Session
from codewire.term.paste import PasteMode, bracketed, plain
from codewire.terminal.input import PATIENCE_SECONDS, InputClosed

log = logging.getLogger(__name__)

# How long a sender waits to hear that its text was typed.
REPORT_SECONDS = 5.0
# Texts that may wait for one terminal.
MAX_WAITING = 100
# Between a paste and Enter: some programs take keys that come in one read with it for its text.
ENTER_DELAY_SECONDS = 0.05
# A process that is being started has no command line for a moment.
START_SECONDS = 0.5
START_PAUSE_SECONDS = 0.01
# Whether bracketed paste is on is looked up in this much of the output at most.
SCAN_BYTES = 64 << 20
READ_BYTES = 1 << 20


class WouldBeRun(RequestError):
    """Typing was refused: a shell would run the text."""

    def __init__(self, session: Session, shell: Shell) -> None:
        super().__init__(f"{shell} of session {session.id} and would run the text")


class DeliveryFailed(RequestError):
    """The text could not be typed; the message says why."""


class DeliveryUnknown(RequestError):
    """Something unforeseen happened while the text was typed."""

    def __init__(self, session: Session) -> None:
        super().__init__(
            f"it is not known whether the text was typed into session {session.id}: "
            "see the node's log"
        )


def message_text(sender: str, body: str) -> str:
    """Return what the recipient's terminal shows for a message."""
    return f"[Codewire message from {sender}]\n{body}"


def request_text(request_id: str, sender: str, body: str) -> str:
    """Return what the recipient's terminal shows for a request."""
    hint = f'Reply with: cw reply {request_id} "<response>"'
    return f"[Codewire request {request_id} from {sender}]\n{body}\n\n{hint}"


class _Job:
    def __init__(self, text: str, force: bool) -> None:
        self.text = text
        self.force = force
        self.done = threading.Event()
        self.failure: RequestError | None = None


class Typist:
    """Types texts into sessions. Methods may be called from any greenlet or thread."""

    def __init__(self, sessions: Lifecycle) -> None:
        self._sessions = sessions
        self._lock = threading.Lock()
        self._lines: dict[int, deque[_Job]] = {}
        self._modes: WeakKeyDictionary[Session, tuple[PasteMode, int]] = WeakKeyDictionary()

    def check(self, session: Session) -> None:
        """Raise WouldBeRun if a shell would run what is typed."""
        shell = self._shell(session)
        if shell:
            raise WouldBeRun(session, shell)

    def type(self, session: Session, text: str, force: bool) -> str:
        """Type a text and press Enter; return "" or, when that is still to come, why.

        `force` types into a shell as well, without Enter where that shell knows pastes. Blocks for
        some seconds at most. Raises WouldBeRun and DeliveryFailed; then nothing more of the
        text will be typed.
        """
        job = _Job(text, force)
        self._line_up(session, job)
        if not job.done.wait(REPORT_SECONDS):
            return (
                f"session {session.id} is not reading its terminal; the text is typed when it does"
            )
        if job.failure is not None:
            raise job.failure
        return ""

    def _line_up(self, session: Session, job: _Job) -> None:
        with self._lock:
            line = self._lines.get(session.id)
            if line is not None:
                if len(line) >= MAX_WAITING:
                    raise DeliveryFailed(f"session {session.id} is not reading its terminal")
                line.append(job)
                return
            line = self._lines[session.id] = deque([job])
        try:
            spawn(self._work_off, session, line)
        except OutOfThreads as error:
            self._give_up(session, error)

    def _give_up(self, session: Session, error: OutOfThreads) -> None:
        """Nobody can type what is lined up."""
        with self._lock:
            line = self._lines.pop(session.id, ())
        for job in line:
            job.failure = DeliveryFailed(str(error))
            job.done.set()

    def _work_off(self, session: Session, line: deque[_Job]) -> None:
        """Type the texts in a line until it is empty."""
        while True:
            job = line[0]
            try:
                self._perform(session, job)
            except WouldBeRun as error:
                job.failure = error
            except InputClosed:
                reason = "reads nothing" if session.is_running() else "is not running"
                job.failure = DeliveryFailed(f"session {session.id} {reason}")
            except Exception:
                log.exception("typing into session %d failed", session.id)
                job.failure = DeliveryUnknown(session)
            finally:
                job.done.set()
                with self._lock:
                    line.popleft()
                    is_empty = not line
                    if is_empty:
                        del self._lines[session.id]
            if is_empty:
                return

    def _perform(self, session: Session, job: _Job) -> None:
        shell = self._shell(session)
        if shell and not job.force:
            raise WouldBeRun(session, shell)
        if not self._takes_pastes(session):
            self._keys(session, b"\n" + plain(job.text) + b"\n\n", job)
            return
        self._keys(session, bracketed(job.text), job)
        if not shell:
            time.sleep(ENTER_DELAY_SECONDS)
            self._keys(session, b"\r", job)

    def _keys(self, session: Session, data: bytes, job: _Job) -> None:
        """Type bytes, but stop as soon as a shell comes to the foreground."""
        found: Shell | None = None

        def is_taken_over() -> bool:
            # Called while the master cannot be closed.
            nonlocal found
            found = None if job.force else find_shell(session.master, session.record.pid)
            return found is not None

        try:
            self._sessions.keyboard.type_in(
                session, data, "message", is_taken_over, patience=PATIENCE_SECONDS
            )
        except InputClosed:
            if found:
                raise WouldBeRun(session, found) from None
            raise

    def _shell(self, session: Session) -> Shell | None:
        """Return the shell that would run what is typed. Blocks while one may be starting."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            found: list[Shell | None] = [None]
            if session.input is not None:
                session.input.use(partial(_look, session, found))
            if found[0] != Shell(UNKNOWN) or time.monotonic() > deadline:
                return found[0]
            time.sleep(START_PAUSE_SECONDS)

    def _takes_pastes(self, session: Session) -> bool:
        """Say whether bracketed paste is on; reads what was printed since the last time."""
        mode, offset = self._modes.get(session) or (PasteMode(), 0)
        try:
            cursor = session.cursor(offset, threading.Event())
        except LogUnavailable:
            return False
        try:
            end = cursor.log.end
            if end - offset > SCAN_BYTES:
                cursor.offset = end - SCAN_BYTES
                mode.skip()
            while cursor.offset < end:
                chunk = cursor.read(READ_BYTES)
                if chunk.gap:
                    mode.skip()
                if not chunk.data:
                    break
                mode.feed(chunk.data)
                give_way()
            self._modes[session] = (mode, cursor.offset)
        finally:
            cursor.close()
        return mode.is_on


def _look(session: Session, found: list[Shell | None], fd: int) -> None:
    found[0] = find_shell(fd, session.record.pid)
