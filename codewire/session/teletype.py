"""A session's terminal as typing sees it: what it shows, who reads it, how to type into it."""

from __future__ import annotations

import termios
import threading
import time
from collections.abc import Callable

from codewire.agents.evidence import Verdict
from codewire.errors import LogUnavailable
from codewire.io.ptys import local_flags, unread_input
from codewire.io.readers import Foreground, foreground
from codewire.session.decisions import decision
from codewire.session.session import Session
from codewire.session.typing import Keyboard
from codewire.term.screen import Screen
from codewire.terminal.display import View, check_size
from codewire.terminal.input import InputClosed, never
from codewire.terminal.scene import BLANK, Scene, view
from codewire.terminal.turns import ScreenUnknown

NOBODY = Foreground((), None)


class SessionTeletype:
    """Typing into one session; `count` says how many bytes were typed. See submitting.Teletype."""

    def __init__(
        self,
        session: Session,
        keyboard: Keyboard,
        *,
        before: Callable[[], None] | None = None,
        is_cancelled: Callable[[], bool] = never,
        has_left: Callable[[], bool] = never,
        patience: float | None = None,
    ) -> None:
        """`before` is called right before the first byte; for the rest see Input.write."""
        self._session = session
        self._keyboard = keyboard
        self._before = before
        self._is_cancelled = is_cancelled
        self._has_left = has_left
        self._patience = patience
        self.count = 0

    def write(self, data: bytes) -> None:
        before, self._before = self._before, None
        try:
            self.count += self._keyboard.type_piece(
                self._session,
                data,
                self._is_cancelled,
                before,
                has_left=self._has_left,
                patience=self._patience,
            )
        except InputClosed as error:
            self.count += error.written
            raise InputClosed(self.count) from error

    def look(self) -> Scene:
        """Raises RequestError where the screen cannot be known, unless it reads whole lines."""
        try:
            check_size(*self._session.size())
        except ScreenUnknown:
            if self.is_canonical():
                return BLANK
            raise
        try:
            return self.see(view)
        except LogUnavailable:
            return BLANK

    def decision(self, scene: Scene) -> Verdict | None:
        return decision(self._session, scene)

    def see(self, what: Callable[[Screen, int], View]) -> View:
        """Return what `what` makes of the screen. Raises ScreenUnknown and LogUnavailable."""
        cursor = self._session.cursor(0, threading.Event())
        try:
            display = self._session.terminal.display
            return display.look(cursor.log, what, has_left=self._has_left)
        finally:
            cursor.close()

    def is_canonical(self) -> bool:
        return bool(self._flags() & termios.ICANON)

    def echoes(self) -> bool:
        return bool(self._flags() & termios.ECHO)

    def _flags(self) -> int:
        return self._use(local_flags, termios.ICANON | termios.ECHO)

    def unread(self) -> int:
        return self._use(unread_input, 0)

    def readers(self) -> Foreground:
        session = self._session
        found: list[Foreground] = []
        if session.input is not None:
            session.input.use(lambda fd: found.append(foreground(fd, session.record.pid)))
        return found[0] if found else NOBODY

    def _use(self, call: Callable[[int], int], unknown: int) -> int:
        found: list[int] = []
        if self._session.input is not None:
            try:
                self._session.input.use(lambda fd: found.append(call(fd)))
            except OSError:
                return unknown
        return found[0] if found else unknown

    def quiet_seconds(self) -> float:
        return self._session.idle_seconds()

    def age_seconds(self) -> float:
        return self._session.age_ns() / 1e9

    def is_young(self, seconds: float) -> bool:
        """Say whether it began less than so long ago, and nothing has been seen to arrive yet."""
        return not self._session.terminal.has_arrived and self.age_seconds() < seconds

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)
        if not self._session.is_running() or self._has_left() or self._is_cancelled():
            raise InputClosed(self.count)
