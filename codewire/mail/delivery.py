"""Typing mail into a terminal (spec/wire.md 14.3), but not into a shell, which would run it.

One text at a time goes into a terminal, whole. A program that reads nothing holds up nobody: its
mail waits in line, and the sender is told. At a dialog nothing is typed: what an inbox keeps waits
until the dialog is gone, across workers (untyped.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from codewire.errors import OutOfThreads, RequestError
from codewire.io.wait import spawn
from codewire.mail.foreground import UNKNOWN, Shell, find_shell
from codewire.mail.untyped import Untyped, Waiting
from codewire.session.lifecycle import Lifecycle
from codewire.session.session import Session
from codewire.session.submitting import BLOCKED, Typing, submit
from codewire.session.teletype import SessionTeletype
from codewire.term.paste import bracketed, harmless, plain
from codewire.terminal.input import PATIENCE_SECONDS, InputClosed
from codewire.terminal.submitting import REFUSED, Refused
from codewire.wire.codes import NOT_RUNNING

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
# How often a dialog is looked at while mail waits for it to go.
DIALOG_SECONDS = 0.25
WAITS = "waits for a decision; the text is typed when that is over"
WITHOUT_TYPING = "; it is in the inbox and was not typed"
HOW_TO_FORCE = "; use the inbox, or force it"


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


class Typed(NamedTuple):
    """What became of a text: "" or why it is not typed yet, and whether it still waits."""

    note: str
    is_waiting: bool = False


def check_running(session: Session) -> None:
    """Raise RequestError unless mail can be for a session."""
    if not session.is_running():
        raise RequestError(f"session {session.id} is not running", NOT_RUNNING)


def message_text(sender: str, body: str) -> str:
    """Return what the recipient's terminal shows for a message."""
    return f"[Codewire message from {sender}]\n{body}"


def request_text(request_id: str, sender: str, body: str) -> str:
    """Return what the recipient's terminal shows for a request."""
    hint = f'Reply with: cw reply {request_id} "<response>"'
    return f"[Codewire request {request_id} from {sender}]\n{body}\n\n{hint}"


class _Job:
    def __init__(self, text: str, force: bool, kept_as: str = "") -> None:
        """`kept_as` is the id of the letter in the inbox, "" where no inbox keeps the text."""
        self.text = text
        self.force = force
        self.kept_as = kept_as
        self.done = threading.Event()
        self.failure: RequestError | None = None
        self.note = ""
        self.is_waiting = False

    def wait(self, note: str) -> None:
        """Tell the sender that the text is typed later."""
        self.note, self.is_waiting = note, True
        self.done.set()


class Typist:
    """Types texts into sessions. Methods may be called from any greenlet or thread."""

    def __init__(
        self,
        sessions: Lifecycle,
        untyped: Untyped | None = None,
        is_wanted: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`untyped` keeps what waits; `is_wanted` says of a letter that it still matters."""
        self._sessions = sessions
        self._untyped = untyped
        self._is_wanted = is_wanted
        self._lock = threading.Lock()
        self._lines: dict[int, deque[_Job]] = {}

    def restore(self) -> None:
        """Line up again what a killed worker had not begun to type."""
        if self._untyped is None:
            return
        for waiting in self._untyped.load():
            session = self._sessions.registry.find(waiting.session_id)
            if session is None or not session.is_running():
                self._untyped.forget(waiting.id)
                continue
            try:
                self._line_up(session, _Job(waiting.text, waiting.force, waiting.id))
            except DeliveryFailed:
                self._untyped.forget(waiting.id)

    def check(self, session: Session) -> None:
        """Raise WouldBeRun if a shell would run what is typed."""
        shell = self._shell(session)
        if shell:
            raise WouldBeRun(session, shell)

    def is_waiting(self, letter_id: str) -> bool:
        """Say whether a letter is still to be typed."""
        return self._untyped is not None and self._untyped.holds(letter_id)

    def type(self, session: Session, text: str, force: bool, kept_as: str = "") -> Typed:
        """Type a text and press Enter; return "" or, when that is still to come, why.

        `force` types into a shell or dialog as well, without Enter where a shell knows pastes. A
        text that is `kept_as` a letter in an inbox waits at a dialog, any other is refused. Blocks
        for some seconds at most. Raises WouldBeRun and DeliveryFailed; then nothing more of the
        text will be typed.
        """
        job = _Job(text, force, kept_as)
        if kept_as and self._untyped is not None:
            self._untyped.keep(Waiting(kept_as, session.id, text, force))
        try:
            self._line_up(session, job)
        except DeliveryFailed:
            self._forget(job)
            raise
        if not job.done.wait(REPORT_SECONDS):
            return Typed(
                f"session {session.id} is not reading its terminal; the text is typed when it does",
                True,
            )
        if job.failure is not None:
            raise job.failure
        return Typed(job.note, job.is_waiting)

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
                self._perform_when_possible(session, job, line)
            except WouldBeRun as error:
                job.failure = error
            except Refused as error:
                job.failure = DeliveryFailed(f"session {session.id}: {_words(error)}")
            except InputClosed:
                reason = "reads nothing" if session.is_running() else "is not running"
                job.failure = DeliveryFailed(f"session {session.id} {reason}")
            except RequestError as error:
                job.failure = DeliveryFailed(str(error))
            except Exception:
                log.exception("typing into session %d failed", session.id)
                job.failure = DeliveryUnknown(session)
            finally:
                self._forget(job)
                job.done.set()
                with self._lock:
                    line.popleft()
                    is_empty = not line
                    if is_empty:
                        del self._lines[session.id]
            if is_empty:
                return

    def _perform_when_possible(self, session: Session, job: _Job, line: deque[_Job]) -> None:
        """Type a text, if need be after the dialog that the session waits in."""
        while not job.kept_as or self._is_wanted(job.kept_as):
            try:
                self._perform(session, job)
                return
            except Refused as error:
                if not error.is_dialog or not job.kept_as:
                    raise
                self._hold_up(session, line, error)
            time.sleep(DIALOG_SECONDS)

    def _hold_up(self, session: Session, line: deque[_Job], error: Refused) -> None:
        """Answer everybody in line: letters wait, and what no inbox keeps is refused."""
        if not session.is_running():
            raise InputClosed(0)
        with self._lock:
            refused = [job for job in line if not job.kept_as]
            for job in refused:
                line.remove(job)
            kept = list(line)
        for job in refused:
            job.failure = DeliveryFailed(f"session {session.id}: {_words(error)}")
            job.done.set()
        for job in kept:
            job.wait(f"session {session.id} {WAITS}")

    def _forget(self, job: _Job) -> None:
        if job.kept_as and self._untyped is not None:
            self._untyped.forget(job.kept_as)

    def _perform(self, session: Session, job: _Job) -> None:
        shell = self._shell(session)
        if shell and not job.force:
            raise WouldBeRun(session, shell)
        if job.force:
            self._type_blindly(session, job, shell)
            return
        found: list[Shell] = []
        typing = Typing(
            harmless(job.text),
            "message",
            as_paste=True,
            check_reader=partial(self._check_reader, session),
        )
        try:
            outcome = submit(
                session,
                self._sessions.keyboard,
                typing,
                before=lambda: self._forget(job),
                is_cancelled=partial(_is_taken_over, session, found),
                patience=PATIENCE_SECONDS,
            )
        except InputClosed:
            if found:
                raise WouldBeRun(session, found[0]) from None
            raise
        if outcome.verdict == REFUSED:
            raise DeliveryFailed(f"session {session.id}: {outcome.reason}")

    def _check_reader(self, session: Session) -> bool:
        """Raise WouldBeRun if who reads now is a shell; say whether it is known who does."""
        shell = _found_shell(session)
        if shell == Shell(UNKNOWN):
            return False
        if shell is not None:
            raise WouldBeRun(session, shell)
        return True

    def _type_blindly(self, session: Session, job: _Job, shell: Shell | None) -> None:
        """Type whatever the screen shows, as it was asked for."""
        type_in = partial(self._sessions.keyboard.type_in, session, source="message")
        pastes = SessionTeletype(session, self._sessions.keyboard).look().pastes
        self._forget(job)
        if not pastes:
            type_in(data=b"\n" + plain(job.text) + b"\n\n", patience=PATIENCE_SECONDS)
            return
        type_in(data=bracketed(job.text), patience=PATIENCE_SECONDS)
        if not shell:
            time.sleep(ENTER_DELAY_SECONDS)
            type_in(data=b"\r", patience=PATIENCE_SECONDS)

    def _shell(self, session: Session) -> Shell | None:
        """Return the shell that would run what is typed. Blocks while one may be starting."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            shell = _found_shell(session)
            if shell != Shell(UNKNOWN) or time.monotonic() > deadline:
                return shell
            time.sleep(START_PAUSE_SECONDS)


def _words(error: Refused) -> str:
    """Return a refusal in one line."""
    screen = " / ".join(line.strip() for line in error.screen.splitlines() if line.strip())
    return f"{error.reason}{f' ({screen})' if screen and error.reason == BLOCKED else ''}"


def _found_shell(session: Session) -> Shell | None:
    found: list[Shell | None] = [None]
    if session.input is not None:
        session.input.use(partial(_look, session, found))
    return found[0]


def _is_taken_over(session: Session, found: list[Shell]) -> bool:
    """Say whether a shell has come to the foreground. Called while the master is held."""
    shell = find_shell(session.master, session.record.pid)
    if shell is not None and shell != Shell(UNKNOWN):
        found[:] = [shell]
        return True
    return False


def _look(session: Session, found: list[Shell | None], fd: int) -> None:
    found[0] = find_shell(fd, session.record.pid)
